//! `timestamp`: level.time from scripts, an epoch value or RFC 3339 from tools.

use super::number;
use crate::event::Millis;

/// A level of 10⁸ seconds would have run for three years; an epoch value that small would be of 1973.
const FIRST_EPOCH_SECONDS: f64 = 1e8;
/// From here on a number is epoch milliseconds: as seconds it would be of the year 5138.
const FIRST_EPOCH_MILLIS: f64 = 1e11;
/// What the store's `DateTime64` can hold: 1900-01-01 to 2299-12-31.
const STORABLE_MILLIS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=10_413_791_999_999;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Timestamp {
    /// Seconds since the map was loaded.
    LevelTime(f64),
    /// The sender's own time; `exact` unless digits or an offset were lost.
    Sent { at: Millis, exact: bool },
}

pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let Some(number) = number::parse(text) else {
        return parse_rfc3339(text);
    };
    if number < 0.0 {
        return None;
    }
    if number < FIRST_EPOCH_SECONDS {
        return Some(Timestamp::LevelTime(number));
    }
    let (at, exact_decimals) = match number < FIRST_EPOCH_MILLIS {
        true => ((number * 1000.0).round() as i64, 3),
        false => (number.round() as i64, 0),
    };
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.trim_end_matches('0').len());
    STORABLE_MILLIS
        .contains(&at)
        .then_some(Timestamp::Sent { at: Millis(at), exact: decimals <= exact_decimals })
}

/// Date, time and offset (`2026-11-23T00:44:17.250+01:00`); a space may stand for the `T`.
fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        bytes.get(range)?.iter().try_fold(0_i64, |number, byte| match byte {
            b'0'..=b'9' => Some(number * 10 + i64::from(byte - b'0')),
            _ => None,
        })
    };
    let stands = |place: usize, allowed: &[u8]| bytes.get(place).is_some_and(|byte| allowed.contains(byte));
    let separated =
        stands(4, b"-") && stands(7, b"-") && stands(10, b"Tt ") && stands(13, b":") && stands(16, b":");
    if !separated {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    // 60 is a leap second.
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }

    let mut place = 19;
    let mut millis = 0;
    let mut exact = true;
    if stands(place, b".") {
        let decimals = bytes[place + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if decimals == 0 {
            return None;
        }
        for (position, byte) in bytes[place + 1..place + 1 + decimals].iter().enumerate() {
            let digit = i64::from(byte - b'0');
            match position {
                0 => millis += digit * 100,
                1 => millis += digit * 10,
                2 => millis += digit,
                _ => exact &= digit == 0,
            }
        }
        place += 1 + decimals;
    }

    let offset_minutes = match bytes.get(place)? {
        b'Z' | b'z' if bytes.len() == place + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == place + 6 && stands(place + 3, b":") => {
            let (hours, minutes) = (digits(place + 1..place + 3)?, digits(place + 4..place + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            exact = false;
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    let at = (minutes * 60 + second) * 1000 + millis;
    STORABLE_MILLIS.contains(&at).then_some(Timestamp::Sent { at: Millis(at), exact })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
