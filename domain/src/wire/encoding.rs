//! Bytes to text: valid UTF-8 is that, anything else is Windows-1252, decided for each piece between delimiters, so
//! that one name in an old encoding doesn't spoil its neighbours.

use std::borrow::Cow;

/// Characters 0x80 to 0x9f of Windows-1252. The five bytes that it leaves undefined stand for the control
/// characters of the same number, as in the WHATWG encoding standard.
const WINDOWS_1252_HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a body whose values stand between the given ASCII delimiters.
pub(super) fn to_text<'a>(bytes: &'a [u8], delimiters: &[u8]) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for piece in bytes.split_inclusive(|byte| delimiters.contains(byte)) {
        push_piece(piece, &mut text);
    }
    Cow::Owned(text)
}

/// Appends one piece, as UTF-8 if all of it is that, else as Windows-1252.
pub(super) fn push_piece(piece: &[u8], text: &mut String) {
    match std::str::from_utf8(piece) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.extend(piece.iter().map(|&byte| match byte {
            0x80..=0x9f => WINDOWS_1252_HIGH[usize::from(byte - 0x80)],
            _ => char::from(byte),
        })),
    }
}
