//! Bytes to text: valid UTF-8 is that, anything else is Windows-1252, decided byte sequence by byte sequence, so that
//! one name in an old encoding doesn't spoil its neighbours.

use std::borrow::Cow;

/// Characters 0x80 to 0x9f of Windows-1252. The five bytes that it leaves undefined stand for the control
/// characters of the same number, as in the WHATWG encoding standard.
const WINDOWS_1252_HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a body: valid UTF-8 as that, each other byte as Windows-1252.
pub fn to_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    push_text(bytes, &mut text);
    Cow::Owned(text)
}

/// Appends bytes: what is valid UTF-8 as that, each other byte as Windows-1252.
pub(super) fn push_text(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| match byte {
            0x80..=0x9f => WINDOWS_1252_HIGH[usize::from(byte - 0x80)],
            _ => char::from(byte),
        }));
    }
}
