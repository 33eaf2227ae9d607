//! One line of text in one face: as large as fits, in the colours of a name.

use ab_glyph::{Font as _, FontVec, GlyphId, PxScale, ScaleFont as _, point};
use mohaa_domain::name::{can_be_seen, is_shown, segments};

use super::faces::Face;
use crate::pictures::{Canvas, Colour};

/// What `^0` to `^9` mean on a dark ground: `--name-0` to `--name-9` of `static/css/tokens.css` by night.
const NAME_COLOURS: [Colour; 10] = [
    [0x9a, 0x9a, 0x88],
    [0xff, 0x8f, 0x80],
    [0x8f, 0xd8, 0x73],
    [0xf2, 0xd6, 0x4b],
    [0x94, 0xb0, 0xff],
    [0x66, 0xd6, 0xde],
    [0xf2, 0x9a, 0xea],
    [0xff, 0xff, 0xff],
    [0xff, 0xae, 0x5c],
    [0xbc, 0xbc, 0xb4],
];

/// Letters of a name at most; the game shows 31.
const LONGEST_NAME: usize = 64;
/// Letters of anything else, which has names in it.
const LONGEST_TEXT: usize = 256;
const NAMELESS: &str = "–";
const CUT: char = '…';
/// By how much a line that is too long gets smaller at once, in pixels.
const STEP: f32 = 2.0;

/// Letters with their colours, from left to right.
#[derive(Clone)]
pub struct Line<'a> {
    face: &'a Face,
    letters: Vec<(char, Colour)>,
}

/// A line that has found its size.
pub struct Fitted<'a> {
    line: Line<'a>,
    /// Pixels of an em.
    size: f32,
}

impl<'a> Line<'a> {
    /// Text in one colour.
    pub fn plain(face: &'a Face, text: &str, colour: Colour) -> Self {
        Line { face, letters: visible(text).map(|letter| (letter, colour)).take(LONGEST_TEXT).collect() }
    }

    /// A raw name, in `colour` where its codes say nothing. A name of nothing that can be seen is a dash.
    pub fn name(face: &'a Face, raw: &str, colour: Colour) -> Self {
        if !can_be_seen(raw) {
            return Line::plain(face, NAMELESS, colour);
        }
        let coloured = segments(raw).flat_map(|segment| {
            let code = segment.color.map(usize::from);
            let own = code.and_then(|code| NAME_COLOURS.get(code)).copied().unwrap_or(colour);
            visible(segment.text).map(move |letter| (letter, own))
        });
        Line { face, letters: coloured.take(LONGEST_NAME).collect() }
    }

    /// As large as it fits into so many pixels, and cut where it is too long even for the least size.
    pub fn fitting(mut self, width: f32, sizes: std::ops::RangeInclusive<f32>) -> Fitted<'a> {
        let (least, mut size) = sizes.into_inner();
        while size > least && self.width(size) > width {
            size -= STEP;
        }
        let colour = self.letters.last().map(|(_, colour)| *colour);
        if let Some(colour) = colour.filter(|_| self.width(size) > width) {
            self.letters.push((CUT, colour));
            while self.width(size) > width && self.letters.len() > 1 {
                self.letters.remove(self.letters.len() - 2);
            }
        }
        Fitted { line: self, size }
    }

    /// Pixels that it is wide at a size.
    fn width(&self, size: f32) -> f32 {
        self.placed(size).last().map_or(0.0, |placed| placed.right)
    }

    /// The letters where they stand, in pixels from the line's left.
    fn placed(&self, size: f32) -> Vec<Placed<'a>> {
        let mut right = 0.0;
        let mut before: Option<(&FontVec, GlyphId)> = None;
        let place = |(letter, colour): &(char, Colour)| {
            let glyph = self.face.glyph(*letter);
            let mut left = right;
            right = match glyph {
                Some((font, glyph)) => {
                    let scaled = font.as_scaled(scale(font, size));
                    if let Some((_, earlier)) = before.filter(|(earlier, _)| std::ptr::eq(*earlier, font)) {
                        left += scaled.kern(earlier, glyph);
                    }
                    left + scaled.h_advance(glyph)
                }
                None => left + size * BOX_ADVANCE,
            };
            before = glyph;
            Placed { glyph, colour: *colour, left, right }
        };
        self.letters.iter().map(place).collect()
    }
}

/// Stands for a letter that no font has: width, height, distance to the next letter and thickness, in parts of the size.
const BOX_WIDTH: f32 = 0.5;
const BOX_HEIGHT: f32 = 0.68;
const BOX_ADVANCE: f32 = 0.62;
const BOX_LINE: f32 = 0.06;

struct Placed<'a> {
    glyph: Option<(&'a FontVec, GlyphId)>,
    colour: Colour,
    left: f32,
    right: f32,
}

impl Fitted<'_> {
    /// No larger than this.
    pub fn at_most(mut self, size: f32) -> Self {
        self.size = self.size.min(size);
        self
    }

    /// Pixels of an em.
    pub fn size(&self) -> f32 {
        self.size
    }

    /// Pixels.
    pub fn width(&self) -> f32 {
        self.line.width(self.size)
    }

    /// Writes it on a canvas: `x` is its left, `baseline` what its letters stand on, in pixels.
    pub fn write(&self, canvas: &mut Canvas, x: f32, baseline: f32) {
        for Placed { glyph, colour, left, .. } in self.line.placed(self.size) {
            let Some((font, glyph)) = glyph else {
                self.write_box(canvas, x + left, baseline, colour);
                continue;
            };
            let at = glyph.with_scale_and_position(scale(font, self.size), point(x + left, baseline));
            let Some(outline) = font.outline_glyph(at) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|column, row, cover| {
                let (column, row) = (corner.x + column as f32, corner.y + row as f32);
                if column >= 0.0 && row >= 0.0 {
                    canvas.blend(column as usize, row as usize, colour, cover);
                }
            });
        }
    }

    /// The same with `right` as its right end.
    pub fn write_to(&self, canvas: &mut Canvas, right: f32, baseline: f32) {
        self.write(canvas, right - self.width(), baseline);
    }

    fn write_box(&self, canvas: &mut Canvas, left: f32, baseline: f32, colour: Colour) {
        let [width, height, line] = [BOX_WIDTH, BOX_HEIGHT, BOX_LINE].map(|part| (part * self.size) as usize);
        let (left, top, line) = (left as usize, (baseline as usize).saturating_sub(height), line.max(1));
        canvas.fill(left, top, width, line, colour);
        canvas.fill(left, top + height.saturating_sub(line), width, line, colour);
        canvas.fill(left, top, line, height, colour);
        canvas.fill(left + width.saturating_sub(line), top, line, height, colour);
    }
}

/// What has a place of its own: neither invisible nor drawn over the letter before.
fn visible(text: &str) -> impl Iterator<Item = char> {
    let is_part = |letter: char| matches!(letter, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    text.chars().filter(move |letter| is_shown(*letter) && *letter != '\n' && !is_part(*letter))
}

/// The scale at which an em of a font is so many pixels.
fn scale(font: &FontVec, size: f32) -> PxScale {
    PxScale::from(size * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cards::faces::Faces;

    const WHITE: Colour = [255; 3];

    fn letters(line: &Line<'_>) -> String {
        line.letters.iter().map(|(letter, _)| *letter).collect()
    }

    #[test]
    fn a_name_keeps_its_colours_and_nothing_that_cannot_be_seen() {
        let face = &Faces::get().unwrap().text;
        let line = Line::name(face, "^1a\u{202e}b^4\u{301}c\nd", WHITE);
        assert_eq!(letters(&line), "abcd");
        let colours: Vec<Colour> = line.letters.iter().map(|(_, colour)| *colour).collect();
        assert_eq!(colours, [NAME_COLOURS[1], NAME_COLOURS[1], NAME_COLOURS[4], NAME_COLOURS[4]]);
        assert_eq!(letters(&Line::name(face, "^1 \u{200b}", WHITE)), NAMELESS);
        assert_eq!(letters(&Line::name(face, &"x".repeat(10_000), WHITE)).len(), LONGEST_NAME);
    }

    #[test]
    fn a_line_gets_smaller_and_is_cut_last() {
        for face in [&Faces::get().unwrap().text, &Faces::get().unwrap().display] {
            let short = Line::plain(face, "Ryan", WHITE).fitting(1000.0, 40.0..=100.0);
            assert_eq!(short.size, 100.0);
            let wide = Line::plain(face, &"W".repeat(31), WHITE).fitting(1000.0, 10.0..=100.0);
            assert!(wide.size < 100.0 && wide.width() <= 1000.0 && letters(&wide.line).len() == 31);
            for text in ["W".repeat(64), "漢".repeat(64)] {
                let cut = Line::plain(face, &text, WHITE).fitting(500.0, 40.0..=100.0);
                assert!(cut.width() <= 500.0 && letters(&cut.line).ends_with(CUT), "{}", letters(&cut.line));
            }
        }
    }

    #[test]
    fn names_have_the_colours_of_the_pages_by_night() {
        let tokens = include_str!("../../static/css/tokens.css");
        for (code, colour) in NAME_COLOURS.iter().enumerate() {
            let line = tokens
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("--name-{code}:")))
                .unwrap();
            let [red, green, blue] = colour;
            assert!(line.contains(&format!(", #{red:02x}{green:02x}{blue:02x})")), "{line}");
        }
    }
}
