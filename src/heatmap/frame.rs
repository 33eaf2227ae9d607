//! Which part of the world a picture shows, and where in it a position is.

use crate::stats::HeatmapBounds;

/// Sixteen map units are a foot, as everywhere in the statistics.
pub const UNITS_PER_METRE: f64 = 16.0 / 0.3048;
/// A picture is never higher than this many times its width, nor flatter than one part of it.
const MOST_UNEVEN: f64 = 1.6;
/// Around data without an overview: so much of its extent.
const MARGIN: f64 = 0.05;
/// Twenty metres: a place with one kill is shown with what is around it.
const SMALLEST_EXTENT: f64 = 1050.0;

/// A rectangle of the world, in map units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub min_x: f64,
    pub min_y: f64,
    pub max_x: f64,
    pub max_y: f64,
}

impl From<HeatmapBounds> for Frame {
    fn from(bounds: HeatmapBounds) -> Self {
        Frame {
            min_x: bounds.min_x.into(),
            min_y: bounds.min_y.into(),
            max_x: bounds.max_x.into(),
            max_y: bounds.max_y.into(),
        }
    }
}

impl Frame {
    /// Around data: with a margin, not too small, and of a shape that fits a page.
    pub fn around(bounds: HeatmapBounds) -> Self {
        let Frame { min_x, min_y, max_x, max_y } = bounds.into();
        let wide = ((max_x - min_x) * (1.0 + 2.0 * MARGIN)).max(SMALLEST_EXTENT);
        let high = ((max_y - min_y) * (1.0 + 2.0 * MARGIN)).max(SMALLEST_EXTENT);
        let (wide, high) = (wide.max(high / MOST_UNEVEN), high.max(wide / MOST_UNEVEN));
        let (middle_x, middle_y) = ((min_x + max_x) / 2.0, (min_y + max_y) / 2.0);
        Frame {
            min_x: middle_x - wide / 2.0,
            min_y: middle_y - high / 2.0,
            max_x: middle_x + wide / 2.0,
            max_y: middle_y + high / 2.0,
        }
    }

    /// Of an overview: exactly its world, on a canvas whose sides have no wilder ratio than [`MOST_UNEVEN`].
    pub fn of_overview(bounds: HeatmapBounds) -> Self {
        let Frame { min_x, min_y, max_x, max_y } = bounds.into();
        let (wide, high) = (max_x - min_x, max_y - min_y);
        let (more_wide, more_high) =
            ((high / MOST_UNEVEN - wide).max(0.0) / 2.0, (wide / MOST_UNEVEN - high).max(0.0) / 2.0);
        Frame {
            min_x: min_x - more_wide,
            min_y: min_y - more_high,
            max_x: max_x + more_wide,
            max_y: max_y + more_high,
        }
    }

    pub fn width(&self) -> f64 {
        self.max_x - self.min_x
    }

    pub fn height(&self) -> f64 {
        self.max_y - self.min_y
    }

    /// Pixels that it is high when it is so many wide.
    pub fn pixels_high(&self, pixels_wide: u32) -> u32 {
        (f64::from(pixels_wide) * self.height() / self.width()).round().max(1.0) as u32
    }
}

/// Metres between two lines of a grid whose lines are at least `least_pixels` apart.
pub fn grid_metres(pixels_per_unit: f64, least_pixels: f64) -> f64 {
    let least = least_pixels / (pixels_per_unit * UNITS_PER_METRE);
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|step| *step >= least).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grids_have_round_lengths() {
        assert_eq!(grid_metres(1.0 / UNITS_PER_METRE, 60.0), 100.0);
        assert_eq!(grid_metres(1.0 / UNITS_PER_METRE, 15.0), 20.0);
        assert_eq!(grid_metres(10.0 / UNITS_PER_METRE, 50.0), 5.0);
    }

    proptest! {
        #[test]
        fn a_frame_holds_its_data_in_a_shape_that_fits(
            (min_x, min_y) in (-1_000_000..1_000_000, -1_000_000..1_000_000),
            (wide, high) in (0..100_000, 0..100_000),
        ) {
            let bounds = HeatmapBounds { min_x, min_y, max_x: min_x + wide, max_y: min_y + high };
            for frame in [Frame::around(bounds), Frame::of_overview(HeatmapBounds { max_x: bounds.max_x + 64, max_y: bounds.max_y + 64, ..bounds })] {
                prop_assert!(frame.min_x <= bounds.min_x.into() && frame.max_x >= bounds.max_x.into());
                prop_assert!(frame.min_y <= bounds.min_y.into() && frame.max_y >= bounds.max_y.into());
                let ratio = frame.height() / frame.width();
                prop_assert!((1.0 / MOST_UNEVEN - 1e-9..=MOST_UNEVEN + 1e-9).contains(&ratio), "{ratio}");
            }
        }
    }
}
