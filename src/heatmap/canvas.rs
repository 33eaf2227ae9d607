//! A rectangle of pixels without transparency.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, ImageError};

use super::ramp::{Colour, mixed};

pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub fn new(width: usize, height: usize, ground: Colour) -> Self {
        Canvas { width, height, pixels: vec![ground; width * height] }
    }

    /// Puts `share` of a colour over a pixel; what lies outside is left out.
    pub fn blend(&mut self, x: usize, y: usize, colour: Colour, share: f32) {
        if x >= self.width {
            return;
        }
        if let Some(pixel) = self.pixels.get_mut(y * self.width + x) {
            *pixel = mixed(*pixel, colour, share);
        }
    }

    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Colour) {
        for line in y..y + height {
            for column in x..x + width {
                self.blend(column, line, colour, 1.0);
            }
        }
    }

    pub fn png(&self) -> Result<Vec<u8>, ImageError> {
        let mut png = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive).write_image(
            self.pixels.as_flattened(),
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(png)
    }
}
