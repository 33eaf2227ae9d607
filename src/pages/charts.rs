//! Charts that are drawn here and need no script: the shape of one path, and what stands below and beside it. Each goes
//! with a table that says the same.

use std::fmt::Write as _;

use serde::Serialize;

/// The box in which a chart is drawn; it is stretched to whatever room there is.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;
/// Of a bar's place, so that bars stand apart.
const BAR: f64 = 0.84;
/// A bar alone is no wall.
const WIDEST_BAR: f64 = 60.0;
/// On a phone one bar of a month's hours has half a pixel: a lone one must be seen all the same.
const NARROWEST_BAR: f64 = 2.0;
/// Behind so many bars there is no room between them.
const MOST_BARS_APART: usize = 200;

/// A row of bars from the ground.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Bars {
    /// The `d` of an SVG path in a box of 600 by 120.
    pub path: String,
    /// What a bar of full height stands for.
    pub most: u64,
    /// Below the first bar, the middle one and the last one.
    pub labels: Vec<String>,
}

impl Bars {
    /// `label` names a bar by its place; nothing is drawn of no values.
    pub fn new(values: &[u64], label: impl Fn(usize) -> String) -> Option<Self> {
        let last = values.len().checked_sub(1)?;
        let most = values.iter().copied().max()?;
        let place = WIDTH / values.len() as f64;
        let width = if values.len() > MOST_BARS_APART { place } else { (place * BAR).min(WIDEST_BAR) };
        let width = width.max(NARROWEST_BAR);
        let mut path = String::new();
        for (at, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
            let height = HEIGHT * *value as f64 / most as f64;
            let from = (at as f64 * place + (place - width) / 2.0).clamp(0.0, WIDTH - width);
            // Writing to a text can't fail.
            let _ = write!(path, "M{from:.1} {HEIGHT}v-{height:.1}h{width:.2}v{height:.1}z");
        }
        let mut shown = vec![0, last / 2, last];
        shown.dedup();
        Some(Self { path, most, labels: shown.into_iter().map(label).collect() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_highest_bar_fills_the_box_and_empty_ones_are_not_drawn() {
        let bars = Bars::new(&[1, 0, 2], |at| at.to_string()).unwrap();
        assert_eq!(bars.path, "M70.0 120v-60.0h60.00v60.0zM470.0 120v-120.0h60.00v120.0z");
        assert_eq!((bars.most, bars.labels), (2, vec!["0".to_owned(), "1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(Bars::new(&[], |_| String::new()), None);
        let flat = Bars::new(&[0], |_| "now".to_owned()).unwrap();
        assert_eq!((flat.path.as_str(), flat.most, flat.labels.len()), ("", 0, 1));
    }
}
