//! Bytes looked at eight at a time.

/// The first of this byte, for texts too short for `memchr` to be worth its call, as most keys and values are.
#[inline]
pub(super) fn find_byte(wanted: u8, bytes: &[u8]) -> Option<usize> {
    find(bytes, |word| zero_bytes(word ^ (LOW_BITS * u64::from(wanted))), |byte| byte == wanted)
}

/// The first quote or backslash.
pub(super) fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    find(bytes, quotes_and_backslashes, |byte| matches!(byte, b'"' | b'\\'))
}

/// The first byte that JSON writes with a backslash.
pub(super) fn find_escaped(bytes: &[u8]) -> Option<usize> {
    // Below 0x20: the high bit is clear, and goes up from below when 0x20 is taken away.
    let controls = |word: u64| word.wrapping_sub(LOW_BITS * 0x20) & !word & HIGH_BITS;
    find(
        bytes,
        |word| quotes_and_backslashes(word) | controls(word),
        |byte| byte < 0x20 || matches!(byte, b'"' | b'\\'),
    )
}

pub(super) const LOW_BITS: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The lowest bit set is the high bit of the first byte that is zero; bits above it may be wrong.
#[inline]
pub(super) fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

#[inline]
fn quotes_and_backslashes(word: u64) -> u64 {
    zero_bytes(word ^ (LOW_BITS * u64::from(b'"'))) | zero_bytes(word ^ (LOW_BITS * u64::from(b'\\')))
}

/// The first byte that is looked for: `of_word` sets its high bit in a word of eight, and others only above it.
#[inline]
fn find(bytes: &[u8], of_word: impl Fn(u64) -> u64, is_it: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = of_word(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| is_it(*byte)).map(|distance| words.len() * 8 + distance)
}
