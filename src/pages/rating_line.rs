//! How a player's rating went, drawn: the line of estimates inside the band in which skill lies.

use mohaa_domain::rating::Rating;
use serde_json::{Value, json};

use crate::ratings::{RatedMatch, RatingAfter};

/// Of the box that is drawn in.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 64.0;

/// Points of line and band over matches, the latest first as answers have them, and what they say in words. Nothing for
/// who was never rated.
pub(super) fn rating_line(latest_first: &[RatedMatch]) -> Option<Value> {
    let oldest = latest_first.last()?;
    let states: Vec<Rating> = std::iter::once(oldest.before)
        .chain(latest_first.iter().rev().map(|one| one.after))
        .map(RatingAfter::rating)
        .collect();
    let first = states.first()?;
    let last = states.last()?;
    let lows = states.iter().map(|one| one.low());
    let highs = states.iter().map(|one| one.high());
    let (bottom, top) = (lows.fold(f64::MAX, f64::min), highs.fold(f64::MIN, f64::max));
    let step = WIDTH / (states.len() - 1) as f64;
    let points = |figure: fn(Rating) -> f64| -> Vec<String> {
        let point = |(at, one): (usize, &Rating)| {
            let height = HEIGHT * (top - figure(*one)) / (top - bottom);
            format!("{:.1},{height:.1}", at as f64 * step)
        };
        states.iter().enumerate().map(point).collect()
    };
    let mut band = points(Rating::high);
    band.extend(points(Rating::low).into_iter().rev());
    Some(json!({
        "line": points(|one| one.value).join(" "),
        "band": band.join(" "),
        "matches": latest_first.len(),
        "from": first.value,
        "to": last.value,
        "top": top,
        "bottom": bottom,
    }))
}
