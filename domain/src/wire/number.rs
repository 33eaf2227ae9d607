//! Numbers as scripts spell them: `5`, `"37.900"`, `-0.000`, `+1`, `.5`, `1e3`; `nan` and its kin are none.

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
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
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
    if digit_count == 0 || digit_count > 15 {
        return None;
    }
    let fraction_digits = point.map_or(0, |place| digits.len() - place - 1);
    let magnitude = mantissa as f64 / POWERS_OF_TEN[fraction_digits];
    Some(if negative && mantissa != 0 { -magnitude } else { magnitude })
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
