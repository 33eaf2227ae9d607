//! Codes that users type in the game, as far as their shape goes. Who reads events must know one by it: a code that
//! somebody may still use is kept nowhere.

/// Without what looks like something else on a small screen or sounds like it: I, L, O, U, 0, 1.
pub const CODE_ALPHABET: &[u8; 30] = b"ABCDEFGHJKMNPQRSTVWXYZ23456789";
/// 44 bits.
pub const CODE_CHARS: usize = 9;

/// A code as it was made, whatever case it was typed in and however it was divided.
pub fn normal_code(typed: &str) -> String {
    typed.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect()
}

/// Whether this can be one of our codes.
pub fn is_code(typed: &str) -> bool {
    let code = normal_code(typed);
    code.len() == CODE_CHARS && code.bytes().all(|byte| CODE_ALPHABET.contains(&byte))
}
