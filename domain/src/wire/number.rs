//! Numbers as scripts spell them: `5`, `"37.900"`, `-0.000`, `+1`, `.5`, `1e3`; `nan` and its kin are none.

use super::words::{HIGH_BITS, LOW_BITS, zero_bytes};

/// Powers of ten that an `f64` holds exactly.
const POWERS_OF_TEN: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// The finite number that the text spells; −0 is 0.
pub(super) fn parse(text: &str) -> Option<f64> {
    parse_plain(text.as_bytes()).or_else(|| parse_any(text))
}

/// Sign, up to 15 digits and one point: mantissa and power of ten are exact, so one division rounds correctly.
fn parse_plain(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mantissa, fraction_digits) = match digits.len() {
        1..=8 => read_short(digits)?,
        9..=16 => read_long(digits)?,
        _ => return None,
    };
    // It fits, and what has a sign is converted by one instruction.
    let magnitude = mantissa as i64 as f64 / POWERS_OF_TEN[fraction_digits];
    Some(if negative && mantissa != 0 { -magnitude } else { magnitude })
}

/// Digits and a point without the point, and how many stand behind it.
fn read_long(digits: &[u8]) -> Option<(u64, usize)> {
    let mut mantissa = 0_u64;
    let mut point = None;
    for (place, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if *byte == b'.' && point.is_none() {
            point = Some(place);
        } else {
            return None;
        }
    }
    let digit_count = digits.len() - usize::from(point.is_some());
    (digit_count <= 15).then_some((mantissa, point.map_or(0, |place| digits.len() - place - 1)))
}

/// The same of one to eight bytes, all in one word: how long numbers are can't be guessed, and a loop that ends where it was not
/// expected to costs more than it does otherwise.
fn read_short(digits: &[u8]) -> Option<(u64, usize)> {
    let mut word = word_of(digits);
    // The first is the lowest byte.
    let points = zero_bytes(word ^ (LOW_BITS * u64::from(b'.')));
    let mut count = digits.len();
    let mut fraction_digits = 0;
    if points != 0 {
        let place = points.trailing_zeros() / 8;
        let before = (1 << (8 * place)) - 1;
        word = (word & before) | ((word >> 8) & !before);
        count -= 1;
        fraction_digits = count - place as usize;
    }
    if count == 0 {
        return None;
    }
    // Zeros before the first, so that the last is the highest byte.
    let values = (word ^ (LOW_BITS * u64::from(b'0'))) << (64 - 8 * count);
    // A byte above 9 sets its highest bit, or has it.
    if (values.wrapping_add(LOW_BITS * 0x76) | values) & HIGH_BITS != 0 {
        return None;
    }
    // Neighbours together: pairs, then fours, then all eight (Daniel Lemire, "Quickly parsing eight digits").
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    const EVERY_OTHER: u64 = 0x0000_00ff_0000_00ff;
    let fours = (pairs & EVERY_OTHER).wrapping_mul(100 + (1_000_000 << 32));
    let others = ((pairs >> 16) & EVERY_OTHER).wrapping_mul(1 + (10_000 << 32));
    Some((fours.wrapping_add(others) >> 32, fraction_digits))
}

/// One to eight bytes, the first the lowest. Parts that overlap say the same.
fn word_of(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let shift = 8 * (length - 4);
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    let byte = |place: usize| u64::from(bytes[place]) << (8 * place);
    byte(0) | byte(length / 2) | byte(length - 1)
}

fn parse_any(text: &str) -> Option<f64> {
    // `f64::from_str` also reads `inf`, `infinity` and `nan`.
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(if number == 0.0 { 0.0 } else { number })
}

/// A whole number within the range of `i32`, however it was spelled (`5`, `5.000`).
pub(super) fn to_i32(number: f64) -> Option<i32> {
    let in_range = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
    (in_range && number.fract() == 0.0).then_some(number as i32)
}

/// How many of something: a whole number from 0.
pub(super) fn to_count(number: f64) -> Option<i32> {
    to_i32(number).filter(|count| *count >= 0)
}

/// How much of something: from 0.
pub(super) fn to_amount(number: f64) -> Option<f32> {
    to_f32(number).filter(|amount| *amount >= 0.0)
}

/// Seconds that a match can last: a year at most.
pub(super) fn to_duration(number: f64) -> Option<f32> {
    to_amount(number).filter(|seconds| *seconds <= 31_536_000.0)
}

/// The nearest `f32`, if there is a finite one; −0 is 0.
pub(super) fn to_f32(number: f64) -> Option<f32> {
    let nearest = number as f32;
    nearest.is_finite().then_some(if nearest == 0.0 { 0.0 } else { nearest })
}

/// Whether the text is a number that JSON writes the same way and every reader can hold.
pub(super) fn is_json_number(text: &str) -> bool {
    let bytes = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let digits_of = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits_of(bytes);
    if whole == 0 || (whole > 1 && bytes[0] == b'0') {
        return false;
    }
    let mut rest = &bytes[whole..];
    if let [b'.', fraction @ ..] = rest {
        let length = digits_of(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        if exponent.is_empty() || digits_of(exponent) != exponent.len() {
            return false;
        }
        return parse_any(text).is_some();
    }
    // 300 digits are still below the largest `f64`.
    rest.is_empty() && whole <= 300
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    proptest! {
        /// What plain texts spell is what the standard library reads, also where a text is no number.
        #[test]
        fn what_is_read_is_what_the_text_spells(text in "[-]?[0-9]{0,9}[.]?[0-9]{0,9}|[-+0-9.e/: ]{0,9}|\\PC{0,8}") {
            let spelled = text.parse::<f64>().ok().filter(|number| number.is_finite());
            // −0 is 0.
            prop_assert_eq!(parse(&text).map(f64::to_bits), spelled.map(|number| (number + 0.0).to_bits()));
        }
    }
}
