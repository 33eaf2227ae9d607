//! Plays of a map over time, as a small chart shows them: without gaps, and never more points than it has room for.

use chrono::{Days, NaiveDate, Weekday};

use super::answers::{Plays, PlaysOverTime};

/// Up to here each day has a point of its own.
const MOST_DAYS: i64 = 62;
/// Two years.
const MOST_WEEKS: usize = 105;
/// Days that are read; older ones are behind the oldest week shown.
pub(super) const MOST_READ: i64 = 7 * (MOST_WEEKS as i64 + 1);

/// `played` are days with plays, in any order; the span shown ends with `last`, and begins with `first` or with the first
/// play.
pub(super) fn over_time(
    played: &[(NaiveDate, u64)],
    first: Option<NaiveDate>,
    last: NaiveDate,
) -> PlaysOverTime {
    let (earliest, latest) =
        (played.iter().map(|(day, _)| *day).min(), played.iter().map(|(day, _)| *day).max());
    // A server's clock may run ahead of ours.
    let last = latest.map_or(last, |latest| latest.max(last));
    let Some(first) = first.or(earliest).filter(|first| *first <= last) else {
        return PlaysOverTime { step: "day", points: Vec::new() };
    };
    let is_by_day = (last - first).num_days() < MOST_DAYS;
    let (step, length) = if is_by_day { ("day", 1) } else { ("week", 7) };
    let start_of = |day: NaiveDate| if is_by_day { day } else { day.week(Weekday::Mon).first_day() };
    let mut points = Vec::new();
    let mut from = Some(start_of(first));
    while let Some(at) = from.filter(|at| *at <= last) {
        points.push(Plays { from: at, plays: 0 });
        from = at.checked_add_days(Days::new(length));
    }
    let behind = points.len().saturating_sub(MOST_WEEKS);
    let mut points = points.split_off(behind);
    for (day, plays) in played {
        let start = start_of(*day);
        if let Ok(found) = points.binary_search_by_key(&start, |point| point.from) {
            points[found].plays += plays;
        }
    }
    PlaysOverTime { step, points }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn days_without_plays_have_a_point_too() {
        let shown = over_time(&[(date("2026-11-20"), 2)], None, date("2026-11-22"));
        let points: Vec<(String, u64)> =
            shown.points.iter().map(|point| (point.from.to_string(), point.plays)).collect();
        let expected = [("2026-11-20", 2), ("2026-11-21", 0), ("2026-11-22", 0)];
        assert_eq!(shown.step, "day");
        assert_eq!(points, expected.map(|(day, plays)| (day.to_owned(), plays)));
        assert!(over_time(&[], None, date("2026-11-22")).points.is_empty());
    }

    #[test]
    fn a_long_time_is_told_by_its_weeks() {
        let played = [(date("2026-01-01"), 1), (date("2026-11-21"), 2), (date("2026-11-22"), 3)];
        let shown = over_time(&played, None, date("2026-11-22"));
        assert_eq!((shown.step, shown.points[0].from), ("week", date("2025-12-29")));
        assert_eq!(shown.points.last(), Some(&Plays { from: date("2026-11-16"), plays: 5 }));
    }

    proptest! {
        #[test]
        fn no_play_within_two_years_is_lost_and_points_follow_each_other(
            days in prop::collection::vec((0_u64..700, 1_u64..9), 1..40),
        ) {
            let last = date("2026-11-22");
            let played: Vec<_> = days
                .iter()
                .map(|(ago, plays)| (last.checked_sub_days(Days::new(*ago)).unwrap(), *plays))
                .collect();
            let shown = over_time(&played, None, last);
            let length = if shown.step == "day" { 1 } else { 7 };
            prop_assert!(shown.points.len() <= MOST_WEEKS);
            prop_assert!(shown.points.windows(2).all(|pair| (pair[1].from - pair[0].from).num_days() == length));
            prop_assert_eq!(
                shown.points.iter().map(|point| point.plays).sum::<u64>(),
                days.iter().map(|(_, plays)| plays).sum::<u64>()
            );
        }
    }
}
