//! The picture: title, the world from above with what happened in it, legend and scale.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use actix_web::web::Bytes;
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};

use super::density::Density;
use super::frame::{Frame, UNITS_PER_METRE, grid_metres};
use super::lettering::{fitting, text_height, text_width, write};
use super::ramp::{colour, place};
use crate::pictures::{Canvas, Colour, Drawing, PictureError, mixed};
use crate::stats::{Heatmap, HeatmapBounds};

/// The night theme's colours (`static/css/tokens.css`): a picture stands anywhere and has no theme.
const GROUND: Colour = [0x11, 0x15, 0x0d];
const PLATE: Colour = [0x1b, 0x21, 0x15];
const GRID: Colour = [0x2c, 0x36, 0x22];
const TEXT: Colour = [0xec, 0xe7, 0xd4];
const MUTED: Colour = [0xb4, 0xb2, 0x97];

/// An overview steps back behind what is drawn on it: white becomes a grey that the brightest colour outshines.
const OVERVIEW_STRENGTH: f32 = 0.5;
/// Densities below this share of the highest are not drawn: there the blur shows that it is made of boxes.
const FAINTEST_SHARE: f32 = 0.02;
/// How far the ground shines through the faintest colour; not at all through the brightest.
const FAINTEST_COVER: f32 = 0.15;
/// From this width on letters are twice as large.
const LARGE_FROM: u32 = 640;
/// Pixels between lines of the grid, at least, for each pixel of a letter's dots.
const GRID_PIXELS: f64 = 56.0;

/// What a picture says about itself beside the map's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Captions {
    pub title: String,
    /// Kind, count, filters.
    pub remarks: String,
}

/// What lies under the density.
#[derive(Clone)]
pub enum Backdrop {
    /// A grid of round lengths.
    Grid,
    /// A map from above.
    Overview {
        /// A digest of the PNG.
        hash: String,
        png: Bytes,
        /// The part of the world that it shows.
        bounds: HeatmapBounds,
    },
}

impl Backdrop {
    pub fn frame(&self, data: HeatmapBounds) -> Frame {
        match self {
            Backdrop::Grid => Frame::around(data),
            Backdrop::Overview { bounds, .. } => Frame::of_overview(*bounds),
        }
    }
}

/// Everything that a picture is made of: equal ones look alike to the last pixel.
#[derive(Clone)]
pub struct Picture {
    pub heatmap: Arc<Heatmap>,
    pub backdrop: Backdrop,
    pub captions: Captions,
    /// In pixels.
    pub width: u32,
}

/// Places of the parts, in pixels.
struct Layout {
    /// Pixels of a letter's dot.
    dot: usize,
    margin: usize,
    map_top: usize,
    map_width: usize,
    map_height: usize,
    footer_top: usize,
    height: usize,
}

impl Layout {
    fn of(frame: &Frame, width: u32) -> Self {
        let dot = if width >= LARGE_FROM { 2 } else { 1 };
        let (margin, line) = (8 * dot, text_height(dot));
        let map_width = width as usize - 2 * margin;
        let map_height = frame.pixels_high(map_width as u32) as usize;
        let map_top = margin + 2 * (line + margin / 2) + margin / 2;
        let footer_top = map_top + map_height + margin;
        let height = footer_top + 2 * (line + margin / 2) + line + margin;
        Layout { dot, margin, map_top, map_width, map_height, footer_top, height }
    }
}

/// Width and height of the picture of a frame.
pub fn picture_size(frame: &Frame, width: u32) -> (u32, u32) {
    (width, Layout::of(frame, width).height as u32)
}

/// Writes what is hashed as it is, for a digest that nobody can make collide.
struct Collected(Vec<u8>);

impl Hasher for Collected {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl Drawing for Picture {
    fn identity(&self) -> Vec<u8> {
        let mut all = Collected(Vec::with_capacity(self.heatmap.points.len() * 16 + 256));
        let Heatmap { map_name, kind, cell_size, bounds, points } = &*self.heatmap;
        (map_name, kind, cell_size, self.width, &self.captions).hash(&mut all);
        let HeatmapBounds { min_x, min_y, max_x, max_y } = bounds;
        (min_x, min_y, max_x, max_y, points.len()).hash(&mut all);
        for point in points {
            (point.x, point.y, point.count).hash(&mut all);
        }
        if let Backdrop::Overview { hash, bounds, .. } = &self.backdrop {
            (hash, bounds.min_x, bounds.min_y, bounds.max_x, bounds.max_y).hash(&mut all);
        }
        all.0
    }

    fn png(&self) -> Result<Vec<u8>, PictureError> {
        let frame = self.backdrop.frame(self.heatmap.bounds);
        let layout = Layout::of(&frame, self.width);
        let mut canvas = Canvas::new(self.width as usize, layout.height, GROUND);
        self.title(&mut canvas, &layout);
        canvas.fill(layout.margin, layout.map_top, layout.map_width, layout.map_height, PLATE);
        if let Backdrop::Overview { png, bounds, .. } = &self.backdrop {
            let pixels =
                image::load_from_memory_with_format(png, ImageFormat::Png).map_err(PictureError::Ground)?;
            overview(&mut canvas, &layout, &frame, &pixels.into_rgb8(), *bounds);
        }
        let scale = layout.map_width as f64 / frame.width();
        let metres = grid_metres(scale, GRID_PIXELS * layout.dot as f64);
        if matches!(self.backdrop, Backdrop::Grid) {
            grid(&mut canvas, &layout, &frame, metres);
        }
        let density = Density::of(&self.heatmap, &frame, layout.map_width, layout.map_height);
        let highest = density.highest();
        draw(&mut canvas, &layout, &density, highest);
        self.legend(&mut canvas, &layout, highest);
        scale_bar(&mut canvas, &layout, scale, metres);
        canvas.png().map_err(PictureError::Encode)
    }
}

impl Picture {
    fn title(&self, canvas: &mut Canvas, layout: &Layout) {
        let Layout { dot, margin, map_width, .. } = *layout;
        let title = fitting(&self.captions.title, map_width, dot);
        write(canvas, &title, (margin, margin), dot, TEXT);
        let remarks = fitting(&self.captions.remarks, map_width, dot);
        write(canvas, &remarks, (margin, margin + text_height(dot) + margin / 2), dot, MUTED);
    }

    /// The ramp with the counts of its ends and its middle.
    fn legend(&self, canvas: &mut Canvas, layout: &Layout, highest: f32) {
        let Layout { dot, margin, footer_top, .. } = *layout;
        let line = text_height(dot);
        let bar_width = layout.map_width / 2;
        let metres = f64::from(self.heatmap.cell_size) / UNITS_PER_METRE;
        let what = fitting(&format!("per cell of {metres:.1} m"), bar_width + margin, dot);
        write(canvas, &what, (margin, footer_top), dot, MUTED);
        let bar_top = footer_top + line + margin / 2;
        for column in 0..bar_width {
            let share = column as f32 / (bar_width - 1) as f32;
            // The ramp's place goes by the root of the density.
            canvas.fill(margin + column, bar_top, 1, line, colour(place(share * share, 1.0)));
        }
        let numbers_top = bar_top + line + margin / 2;
        for (share, density) in [(0.0, 0.0), (0.5, highest / 4.0), (1.0, highest)] {
            let text = number(density);
            let middle = margin + (bar_width as f64 * share) as usize;
            let left = middle.saturating_sub(text_width(&text, dot) / 2).max(margin);
            write(canvas, &text, (left, numbers_top), dot, MUTED);
        }
    }
}

fn number(density: f32) -> String {
    match density {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{density:.1}"),
        _ => format!("{density:.0}"),
    }
}

/// The overview where its world lies in the frame, dimmed.
fn overview(canvas: &mut Canvas, layout: &Layout, frame: &Frame, pixels: &RgbImage, bounds: HeatmapBounds) {
    let scale = layout.map_width as f64 / frame.width();
    let world = Frame::from(bounds);
    let (width, height) =
        ((world.width() * scale).round().max(1.0), (world.height() * scale).round().max(1.0));
    let left = ((world.min_x - frame.min_x) * scale).round() as usize;
    let top = ((frame.max_y - world.max_y) * scale).round() as usize;
    let scaled = resize(pixels, width as u32, height as u32, FilterType::Triangle);
    for (x, y, pixel) in scaled.enumerate_pixels() {
        let (x, y) = (left + x as usize, top + y as usize);
        if x < layout.map_width && y < layout.map_height {
            let dimmed = mixed([0, 0, 0], pixel.0, OVERVIEW_STRENGTH);
            canvas.blend(layout.margin + x, layout.map_top + y, dimmed, 1.0);
        }
    }
}

/// Lines at round lengths from the world's origin.
fn grid(canvas: &mut Canvas, layout: &Layout, frame: &Frame, metres: f64) {
    let step = metres * UNITS_PER_METRE;
    let scale = layout.map_width as f64 / frame.width();
    let lines = |min: f64, max: f64| {
        let (first, last) = ((min / step).ceil() as i64, (max / step).floor() as i64);
        (first..=last).map(move |index| index as f64 * step)
    };
    for x in lines(frame.min_x, frame.max_x) {
        let column = (((x - frame.min_x) * scale) as usize).min(layout.map_width - 1);
        canvas.fill(layout.margin + column, layout.map_top, 1, layout.map_height, GRID);
    }
    for y in lines(frame.min_y, frame.max_y) {
        let line = (((frame.max_y - y) * scale) as usize).min(layout.map_height - 1);
        canvas.fill(layout.margin, layout.map_top + line, layout.map_width, 1, GRID);
    }
}

fn draw(canvas: &mut Canvas, layout: &Layout, density: &Density, highest: f32) {
    for (index, value) in density.values.iter().enumerate() {
        let share = value / highest;
        if highest > 0.0 && share >= FAINTEST_SHARE {
            let (x, y) = (layout.margin + index % density.width, layout.map_top + index / density.width);
            let cover = FAINTEST_COVER + (1.0 - FAINTEST_COVER) * share.sqrt();
            canvas.blend(x, y, colour(place(*value, highest)), cover);
        }
    }
}

/// A length in metres, at the right of the legend.
fn scale_bar(canvas: &mut Canvas, layout: &Layout, scale: f64, metres: f64) {
    let Layout { dot, margin, footer_top, map_width, .. } = *layout;
    let length = ((metres * UNITS_PER_METRE * scale).round() as usize).min(map_width / 3);
    let right = margin + map_width;
    let text = if metres >= 1.0 { format!("{metres:.0} m") } else { format!("{metres} m") };
    write(canvas, &text, (right.saturating_sub(text_width(&text, dot)), footer_top), dot, MUTED);
    let bar_top = footer_top + text_height(dot) + margin / 2;
    canvas.fill(right - length, bar_top + text_height(dot) / 2, length, dot, TEXT);
    for end in [right - length, right - dot] {
        canvas.fill(end, bar_top, dot, text_height(dot), TEXT);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::stats::HeatmapPoint;
    use image::Rgb;
    use proptest::prelude::*;

    fn picture(points: Vec<HeatmapPoint>, backdrop: Backdrop, width: u32) -> Picture {
        let bounds = HeatmapBounds { min_x: -2048, min_y: -2048, max_x: 2048, max_y: 2048 };
        let heatmap =
            Heatmap { map_name: Some("dm/mohdm1".into()), kind: "kills", cell_size: 128, bounds, points };
        let captions = Captions { title: "dm/mohdm1".to_owned(), remarks: "Kills".to_owned() };
        Picture { heatmap: Arc::new(heatmap), backdrop, captions, width }
    }

    fn decoded(picture: &Picture) -> RgbImage {
        image::load_from_memory_with_format(&picture.png().unwrap(), ImageFormat::Png).unwrap().to_rgb8()
    }

    fn brightness(pixel: &Rgb<u8>) -> u32 {
        pixel.0.iter().map(|channel| u32::from(*channel)).sum()
    }

    /// The brightest pixel of the map.
    fn brightest(drawn: &RgbImage, layout: &Layout) -> (usize, usize) {
        let (left, top) = (layout.margin as u32, layout.map_top as u32);
        let inside = |x: u32, y: u32| {
            (left..left + layout.map_width as u32).contains(&x)
                && (top..top + layout.map_height as u32).contains(&y)
        };
        let (x, y, _) = drawn
            .enumerate_pixels()
            .filter(|(x, y, _)| inside(*x, *y))
            .max_by_key(|(_, _, pixel)| brightness(pixel))
            .unwrap();
        ((x - left) as usize, (y - top) as usize)
    }

    fn white_overview() -> Backdrop {
        let bounds = HeatmapBounds { min_x: -4096, min_y: -4096, max_x: 4096, max_y: 4096 };
        let mut png = std::io::Cursor::new(Vec::new());
        RgbImage::from_pixel(64, 64, Rgb([255, 255, 255])).write_to(&mut png, ImageFormat::Png).unwrap();
        Backdrop::Overview { hash: "white".to_owned(), png: png.into_inner().into(), bounds }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_hottest_cell_is_the_brightest_place_on_any_ground(
            (x, y) in (-15..14, -15..14),
            others in proptest::collection::vec((-16..16, -16..16), 0..20),
            width in 256..400_u32,
            is_on_white in any::<bool>(),
        ) {
            let cell = |x: i32, y: i32, count| HeatmapPoint { x: x * 128, y: y * 128, count };
            let mut points = vec![cell(x, y, 1000)];
            points.extend(others.into_iter().map(|(x, y)| cell(x, y, 1)));
            let backdrop = if is_on_white { white_overview() } else { Backdrop::Grid };
            let picture = picture(points, backdrop, width);
            let frame = picture.backdrop.frame(picture.heatmap.bounds);
            let layout = Layout::of(&frame, width);
            let drawn = decoded(&picture);
            prop_assert_eq!(drawn.dimensions(), picture_size(&frame, width));
            let (column, line) = brightest(&drawn, &layout);
            let scale = layout.map_width as f64 / frame.width();
            let (left, top) = ((f64::from(x * 128) - frame.min_x) * scale, (frame.max_y - f64::from(y * 128 + 128)) * scale);
            let cell_pixels = 128.0 * scale + 2.0;
            prop_assert!((left - 2.0..=left + cell_pixels).contains(&(column as f64)), "{} {}", column, left);
            prop_assert!((top - 2.0..=top + cell_pixels).contains(&(line as f64)), "{} {}", line, top);
        }
    }

    #[test]
    fn a_map_without_positions_is_a_grid() {
        let mut empty = picture(Vec::new(), Backdrop::Grid, 256);
        Arc::get_mut(&mut empty.heatmap).unwrap().bounds = HeatmapBounds::default();
        let drawn = decoded(&empty);
        assert!(drawn.pixels().any(|pixel| pixel.0 == GRID));
        assert!(drawn.pixels().any(|pixel| pixel.0 == TEXT));
    }

    #[test]
    fn whatever_is_seen_is_part_of_the_identity() {
        let first = picture(vec![HeatmapPoint { x: 0, y: 0, count: 1 }], Backdrop::Grid, 256);
        let mut others = vec![
            picture(vec![HeatmapPoint { x: 0, y: 0, count: 2 }], Backdrop::Grid, 256),
            picture(vec![HeatmapPoint { x: 0, y: 0, count: 1 }], Backdrop::Grid, 257),
            picture(vec![HeatmapPoint { x: 0, y: 0, count: 1 }], white_overview(), 256),
        ];
        others.push(Picture { captions: Captions::default(), ..first.clone() });
        assert!(others.iter().all(|other| other.identity() != first.identity()));
        assert_eq!(first.clone().identity(), first.identity());
    }
}
