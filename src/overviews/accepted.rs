//! An uploaded picture, looked at before anything of it is kept.
//!
//! Its kind is told by its first bytes, whatever it is called. Size and memory are bounded before a pixel is decoded: a
//! file of a few bytes can ask for gigabytes. Then it is decoded and encoded anew, which drops everything that is no
//! pixel: comments, places, profiles, and whatever was hidden behind the end.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, ImageReader, Limits, RgbImage};
use sha2::{Digest, Sha256};

/// Of the file that is sent.
pub const MOST_BYTES: usize = 4 << 20;
/// Of what is kept: photographs grow as PNG.
const MOST_KEPT_BYTES: usize = 16 << 20;
pub const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;
/// A picture of the largest size with an alpha channel of 16 bits, and what its decoder needs besides.
const MOST_MEMORY: u64 = 192 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ImageRefusal {
    #[error("must be a PNG, JPEG or WebP picture")]
    Kind,
    #[error("must be {} to {} pixels wide and high", SIDES.start(), SIDES.end())]
    Size,
    #[error("is damaged or needs too much memory")]
    Unreadable(#[source] image::ImageError),
    #[error("has too much detail: save it smaller")]
    TooDetailed,
}

/// What is kept of an upload.
pub struct AcceptedImage {
    pub png: Vec<u8>,
    /// SHA-256 of `png` in hexadecimal.
    pub hash: String,
    pub width: u32,
    pub height: u32,
}

impl AcceptedImage {
    /// Checks and encodes anew. Takes up to a second: not for an HTTP worker.
    ///
    /// # Errors
    /// What is wrong with the picture, as the rest of a sentence about it.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageRefusal> {
        let pixels = decoded(bytes)?;
        let (width, height) = pixels.dimensions();
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
            .write_image(pixels.as_raw(), width, height, ExtendedColorType::Rgb8)
            .map_err(ImageRefusal::Unreadable)?;
        if png.len() > MOST_KEPT_BYTES {
            return Err(ImageRefusal::TooDetailed);
        }
        let hash = Sha256::digest(&png).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(AcceptedImage { png, hash, width, height })
    }
}

fn decoded(bytes: &[u8]) -> Result<RgbImage, ImageRefusal> {
    let format = image::guess_format(bytes).map_err(|_| ImageRefusal::Kind)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(ImageRefusal::Kind);
    }
    let (width, height) = reader(bytes, format).into_dimensions().map_err(ImageRefusal::Unreadable)?;
    if !SIDES.contains(&width) || !SIDES.contains(&height) {
        return Err(ImageRefusal::Size);
    }
    let image = reader(bytes, format).decode().map_err(ImageRefusal::Unreadable)?;
    Ok(on_black(&image))
}

fn reader(bytes: &[u8], format: ImageFormat) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(*SIDES.end());
    limits.max_image_height = Some(*SIDES.end());
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    reader
}

/// Without transparency: what is not there is black, as outside of a level.
fn on_black(image: &DynamicImage) -> RgbImage {
    let pixels = image.to_rgba8();
    let shade = |channel: u8, alpha: u8| (u16::from(channel) * u16::from(alpha) / 255) as u8;
    RgbImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [red, green, blue, alpha] = pixels.get_pixel(x, y).0;
        image::Rgb([shade(red, alpha), shade(green, alpha), shade(blue, alpha)])
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use image::{Rgb, Rgba, RgbaImage};

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn sample(side: u32) -> DynamicImage {
        RgbImage::from_pixel(side, side, Rgb([10, 200, 30])).into()
    }

    #[test]
    fn pictures_of_three_kinds_become_png() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let accepted = AcceptedImage::of(&encoded(&sample(64), format)).unwrap();
            assert_eq!((accepted.width, accepted.height), (64, 64), "{format:?}");
            assert_eq!(image::guess_format(&accepted.png).unwrap(), ImageFormat::Png);
        }
    }

    #[test]
    fn nothing_but_pixels_is_kept() {
        let mut hiding = encoded(&sample(64), ImageFormat::Png);
        hiding.extend_from_slice(b"<script>alert(1)</script>");
        let accepted = AcceptedImage::of(&hiding).unwrap();
        assert_eq!(accepted.png, AcceptedImage::of(&encoded(&sample(64), ImageFormat::Png)).unwrap().png);
        assert!(!accepted.png.windows(7).any(|part| part == b"<script"));
        let glass: DynamicImage = RgbaImage::from_pixel(64, 64, Rgba([200, 200, 200, 0])).into();
        let accepted = AcceptedImage::of(&encoded(&glass, ImageFormat::Png)).unwrap();
        assert_eq!(decoded(&accepted.png).unwrap().get_pixel(0, 0).0, [0, 0, 0]);
    }

    #[test]
    fn what_is_no_picture_of_a_sane_size_is_refused() {
        let refusal = |bytes: &[u8]| AcceptedImage::of(bytes).err().unwrap();
        for text in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", b"BM", b"hello"] {
            assert!(matches!(refusal(text), ImageRefusal::Kind), "{text:?}");
        }
        assert!(matches!(refusal(&encoded(&sample(63), ImageFormat::Png)), ImageRefusal::Size));
        let whole = encoded(&sample(64), ImageFormat::Png);
        assert!(matches!(refusal(&whole[..whole.len() / 2]), ImageRefusal::Unreadable(_)));
    }

    #[test]
    fn a_header_that_asks_for_gigabytes_gets_nothing() {
        let mut bomb = encoded(&sample(64), ImageFormat::Png);
        // Width and height in the first chunk, whose checksum then is as wrong as the promise.
        bomb[16..24].copy_from_slice(&[0, 1, 0x11, 0x70, 0, 1, 0x11, 0x70]);
        let refused = AcceptedImage::of(&bomb).err().unwrap();
        assert!(matches!(refused, ImageRefusal::Size | ImageRefusal::Unreadable(_)), "{refused}");
        let mut wide = Vec::new();
        // A line of 5,000 pixels is a valid picture, and too wide.
        PngEncoder::new(&mut wide).write_image(&vec![0; 5000 * 64], 5000, 64, ExtendedColorType::L8).unwrap();
        assert!(matches!(
            AcceptedImage::of(&wide).err().unwrap(),
            ImageRefusal::Size | ImageRefusal::Unreadable(_)
        ));
    }
}
