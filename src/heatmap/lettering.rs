//! Text on a picture, in a face of eight by eight pixels: names of maps, numbers and a few words of ours, which are ASCII.

use font8x8::{BASIC_FONTS, UnicodeFonts as _};

use crate::pictures::{Canvas, Colour};

const GLYPH: usize = 8;

/// Pixels that a text is wide at `size` pixels a dot.
pub fn text_width(text: &str, size: usize) -> usize {
    text.chars().count() * GLYPH * size
}

/// Pixels that a line is high at `size` pixels a dot.
pub fn text_height(size: usize) -> usize {
    GLYPH * size
}

/// Writes a text whose upper left corner is at `(x, y)`; characters that the face lacks become `?`.
pub fn write(canvas: &mut Canvas, text: &str, (x, y): (usize, usize), size: usize, colour: Colour) {
    for (index, character) in text.chars().enumerate() {
        let glyph = BASIC_FONTS.get(character).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
        for (line, dots) in glyph.iter().enumerate() {
            for column in (0..GLYPH).filter(|column| dots >> column & 1 == 1) {
                let left = x + (index * GLYPH + column) * size;
                canvas.fill(left, y + line * size, size, size, colour);
            }
        }
    }
}

/// As much of a text as fits into so many pixels, with three dots where something is missing.
pub fn fitting(text: &str, pixels: usize, size: usize) -> String {
    let most = pixels / (GLYPH * size);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(3)).collect();
    format!("{kept}...").chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_not_fit_is_cut() {
        assert_eq!(fitting("dm/mohdm1", 72, 1), "dm/mohdm1");
        assert_eq!(fitting("dm/mohdm1", 71, 1), "dm/mo...");
        assert_eq!(fitting("dm/mohdm1", 16, 1), "..");
        assert_eq!(fitting("dm/mohdm1", 0, 1), "");
    }
}
