//! A rectangle of pixels without transparency.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, ImageError, ImageFormat};

/// sRGB.
pub type Colour = [u8; 3];

pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub fn new(width: usize, height: usize, ground: Colour) -> Self {
        Canvas { width, height, pixels: vec![ground; width * height] }
    }

    /// A canvas that has a PNG on it already.
    pub fn on(png: &[u8]) -> Result<Self, ImageError> {
        let ground = image::load_from_memory_with_format(png, ImageFormat::Png)?.into_rgb8();
        let pixels = ground.pixels().map(|pixel| pixel.0).collect();
        Ok(Canvas { width: ground.width() as usize, height: ground.height() as usize, pixels })
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

/// `share` of the second colour over the first.
pub fn mixed(under: Colour, over: Colour, share: f32) -> Colour {
    let mix = |one: u8, other: u8| {
        (f32::from(one) + (f32::from(other) - f32::from(one)) * share.clamp(0.0, 1.0)).round() as u8
    };
    [mix(under[0], over[0]), mix(under[1], over[1]), mix(under[2], over[2])]
}
