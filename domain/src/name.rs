//! Player names and their colour codes.
//!
//! The game colours text by `^0`–`^9`: the code is not shown, and what follows it is drawn in that colour. A
//! caret that no digit follows is a caret. Names are kept as sent everywhere; this module gives the plain form
//! (display in one colour, identity of guests), the coloured pieces (pages) and the form that search compares.

use std::borrow::Cow;

/// A piece of a name in one colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// 0–9 as in the code before the text, `None` before the first code.
    pub color: Option<u8>,
    /// Never empty, and holds no colour code.
    pub text: &'a str,
}

/// The coloured pieces of `raw` in order; their texts joined are [`strip_colors`] of it.
pub fn segments(raw: &str) -> Segments<'_> {
    Segments { rest: raw, color: None }
}

/// Iterator of [`segments`].
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: &'a str,
    color: Option<u8>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        while !self.rest.is_empty() {
            let Some((at, color)) = first_color_code(self.rest) else {
                let text = std::mem::take(&mut self.rest);
                return Some(Segment { color: self.color, text });
            };
            let segment = Segment { color: self.color, text: &self.rest[..at] };
            self.rest = &self.rest[at + 2..];
            self.color = Some(color);
            if !segment.text.is_empty() {
                return Some(segment);
            }
        }
        None
    }
}

/// Byte position and colour of the first code in `text`.
fn first_color_code(text: &str) -> Option<(usize, u8)> {
    text.as_bytes()
        .windows(2)
        .position(|pair| pair[0] == b'^' && pair[1].is_ascii_digit())
        .map(|at| (at, text.as_bytes()[at + 1] - b'0'))
}

/// `raw` without its colour codes. One pass, as the game draws it: `^^11` is shown as `^1`.
pub fn strip_colors(raw: &str) -> Cow<'_, str> {
    if first_color_code(raw).is_none() {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(segments(raw).map(|segment| segment.text).collect())
}

/// The form in which names are compared by search: plain, lower-case, without white space around it.
pub fn comparison_key(raw: &str) -> String {
    strip_colors(raw).trim().to_lowercase()
}

/// False for what has no look of its own and changes what is around it: control characters, those that turn the
/// direction of text, line and paragraph separators, spaces of no width, and tags.
pub fn is_shown(character: char) -> bool {
    let changes_others = matches!(
        character,
        '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    character == '\n' || !(changes_others || character.is_control())
}

/// Whether anything of a raw name can be seen.
pub fn can_be_seen(raw: &str) -> bool {
    // Joiners, variation selectors and fillers are parts of other characters, and alone they are nothing.
    let is_blank = |character: char| {
        matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200c}'
                | '\u{200d}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{ffa0}'
                | '\u{e0100}'..='\u{e01ef}'
        )
    };
    strip_colors(raw).chars().any(|it| is_shown(it) && !it.is_whitespace() && !is_blank(it))
}
