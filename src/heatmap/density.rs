//! Counts of cells, spread over pixels and smoothed.

use super::frame::Frame;
use crate::stats::Heatmap;

/// Three box blurs are a Gaussian blur to within three per cent (Wells, 1986).
const PASSES: usize = 3;
/// A blur of so much of a cell on each side hides the grid and little else.
const BLUR_CELLS: f64 = 0.5;
/// A place has to be seen on a picture of a large map too: part of the width that the blur has at least.
const LEAST_BLUR: f64 = 1.0 / 250.0;

/// Density over a rectangle of pixels, top line first; in counts a cell of the heatmap.
pub struct Density {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

impl Density {
    /// Spreads each cell evenly over its pixels, at least one, then smooths.
    pub fn of(heatmap: &Heatmap, frame: &Frame, width: usize, height: usize) -> Self {
        let mut density = Density { width, height, values: vec![0.0; width * height] };
        let scale = width as f64 / frame.width();
        let cell_pixels = f64::from(heatmap.cell_size) * scale;
        let across = |at: f64| (at - frame.min_x) * scale;
        // North is up.
        let down = |at: f64| (frame.max_y - at) * scale;
        for point in &heatmap.points {
            let (x, y) = (f64::from(point.x), f64::from(point.y));
            let columns = pixels(across(x), cell_pixels, width);
            let lines = pixels(down(y + f64::from(heatmap.cell_size)), cell_pixels, height);
            let count = columns.len() * lines.len();
            // The whole of a cell that is smaller than a pixel, in counts a pixel's cell.
            let share = (point.count as f64 * cell_pixels * cell_pixels / count.max(1) as f64) as f32;
            for line in lines {
                for value in &mut density.values[line * width..][columns.clone()] {
                    *value += share;
                }
            }
        }
        let radius = (cell_pixels * BLUR_CELLS).max(width as f64 * LEAST_BLUR).ceil();
        density.smooth(radius as usize);
        density
    }

    pub fn highest(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }

    fn smooth(&mut self, radius: usize) {
        let mut line = vec![0.0; self.width.max(self.height)];
        for _ in 0..PASSES {
            for row in self.values.chunks_exact_mut(self.width) {
                line[..row.len()].copy_from_slice(row);
                blurred(&line[..row.len()], radius, |at, value| row[at] = value);
            }
            for column in 0..self.width {
                for (at, value) in line[..self.height].iter_mut().enumerate() {
                    *value = self.values[at * self.width + column];
                }
                let (width, values) = (self.width, &mut self.values);
                blurred(&line[..self.height], radius, |at, value| values[at * width + column] = value);
            }
        }
    }
}

/// Whole pixels that a cell covers of `most`; none outside.
fn pixels(from: f64, length: f64, most: usize) -> std::ops::Range<usize> {
    let most = most as f64;
    if from >= most || from + length <= 0.0 {
        return 0..0;
    }
    let first = from.round().clamp(0.0, most - 1.0);
    let end = (from + length).round().clamp(first + 1.0, most);
    first as usize..end as usize
}

/// Means of `2 * radius + 1` neighbours; what would come from outside is nothing.
fn blurred(line: &[f32], radius: usize, mut put: impl FnMut(usize, f32)) {
    let of = (2 * radius + 1) as f64;
    let mut sum: f64 = line.iter().take(radius).map(|value| f64::from(*value)).sum();
    for at in 0..line.len() {
        if let Some(next) = line.get(at + radius) {
            sum += f64::from(*next);
        }
        put(at, (sum / of).max(0.0) as f32);
        if at >= radius {
            sum -= f64::from(line[at - radius]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{HeatmapBounds, HeatmapPoint};
    use proptest::prelude::*;

    fn heatmap(points: Vec<HeatmapPoint>, cell_size: i32) -> Heatmap {
        let bounds = HeatmapBounds { min_x: 0, min_y: 0, max_x: 4096, max_y: 4096 };
        Heatmap { map_name: None, kind: "kills", cell_size, bounds, points }
    }

    const FRAME: Frame = Frame { min_x: -4096.0, min_y: -4096.0, max_x: 8192.0, max_y: 8192.0 };

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_added_far_from_the_edge(
            cells in proptest::collection::vec((0..32, 0..32, 1..1000_u64), 1..50),
            width in 64_usize..256,
        ) {
            let points: Vec<_> =
                cells.iter().map(|(x, y, count)| HeatmapPoint { x: x * 128, y: y * 128, count: *count }).collect();
            let heatmap = heatmap(points, 128);
            let density = Density::of(&heatmap, &FRAME, width, width);
            let cell_pixels = 128.0 * width as f64 / FRAME.width();
            let total: f64 = density.values.iter().map(|value| f64::from(*value)).sum::<f64>() / (cell_pixels * cell_pixels);
            let expected = heatmap.total() as f64;
            prop_assert!((total - expected).abs() < expected * 0.001, "{total} of {expected}");
        }
    }

    #[test]
    fn a_cell_is_highest_where_it_is_with_north_up() {
        let density =
            Density::of(&heatmap(vec![HeatmapPoint { x: 0, y: 4096, count: 7 }], 256), &FRAME, 96, 96);
        let highest = density.highest();
        let at = density.values.iter().position(|value| *value == highest).unwrap_or_default();
        // A third of the way from the west, a third from the north; 128 units to a pixel.
        assert!((32..34).contains(&(at % 96)) && (30..32).contains(&(at / 96)), "{} {}", at % 96, at / 96);
    }

    #[test]
    fn what_lies_outside_of_the_frame_is_not_drawn() {
        let far =
            vec![HeatmapPoint { x: 1_000_000, y: 0, count: 7 }, HeatmapPoint { x: -9000, y: 0, count: 7 }];
        assert_eq!(Density::of(&heatmap(far, 128), &FRAME, 96, 96).highest(), 0.0);
    }
}
