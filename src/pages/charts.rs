//! Charts that are drawn here and need no script: the shape of one path, and what stands below and beside it. Each goes
//! with a table that says the same.

use std::fmt::Write as _;
use std::time::Duration;

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

/// A value as it went, newest at the right.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Line {
    /// The `d` of an SVG path in a box of 600 by 120; empty where nothing is known.
    pub path: String,
    /// What the top of the box stands for.
    pub most: f64,
}

impl Line {
    /// `values` with how long ago each was, the oldest first; the box is `span` wide.
    pub fn new(values: &[(Duration, f64)], span: Duration) -> Self {
        let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let mut path = String::new();
        for (ago, value) in values {
            let across = WIDTH * (1.0 - ago.as_secs_f64() / span.as_secs_f64()).clamp(0.0, 1.0);
            let height = if most > 0.0 { HEIGHT * value / most } else { 0.0 };
            let command = if path.is_empty() { 'M' } else { 'L' };
            // Writing to a text can't fail.
            let _ = write!(path, "{command}{across:.1} {:.1}", HEIGHT - height);
        }
        Self { path, most }
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
    fn a_line_ends_at_the_right_and_its_highest_value_is_at_the_top() {
        let seconds = Duration::from_secs;
        let line = Line::new(&[(seconds(10), 1.0), (seconds(5), 4.0), (seconds(0), 2.0)], seconds(10));
        assert_eq!(line, Line { path: "M0.0 90.0L300.0 0.0L600.0 60.0".to_owned(), most: 4.0 });
        assert_eq!(Line::new(&[], seconds(10)), Line { path: String::new(), most: 0.0 });
        assert_eq!(Line::new(&[(seconds(0), 0.0)], seconds(10)).path, "M600.0 120.0");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(Bars::new(&[], |_| String::new()), None);
        let flat = Bars::new(&[0], |_| "now".to_owned()).unwrap();
        assert_eq!((flat.path.as_str(), flat.most, flat.labels.len()), ("", 0, 1));
    }
}
