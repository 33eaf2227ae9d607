//! Codes that users type in the game, as far as their shape goes. Who reads events must know one by it: a code that
//! somebody may still use is kept nowhere.

use crate::name::strip_colors;

/// Without what looks like something else on a small screen or sounds like it: I, L, O, U, 0, 1.
pub const CODE_ALPHABET: &[u8; 30] = b"ABCDEFGHJKMNPQRSTVWXYZ23456789";
/// 44 bits.
pub const CODE_CHARS: usize = 9;

/// A code as it was made, whatever case it was typed in and however it was divided.
pub fn normal_code(typed: &str) -> String {
    typed.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect()
}

/// What stands for a code that was taken out.
pub const HIDDEN: &str = "[hidden]";

/// A line of chat as people see it, without colours and what takes no room.
pub fn visible(line: &str) -> String {
    let is_seen =
        |c: &char| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    strip_colors(line).chars().filter(is_seen).collect()
}

/// A line that speaks of claiming or logging in, with whatever may be a code in it taken out; none where there is nothing to
/// take out. Who mistypes a command says the code to everybody, and it still is good.
pub fn without_codes(line: &str) -> Option<String> {
    let visible = visible(line);
    let lower = visible.to_ascii_lowercase();
    if !lower.contains("claim") && !lower.contains("login") {
        return None;
    }
    let mut words: Vec<String> = visible.split_whitespace().map(str::to_owned).collect();
    let mut is_changed = false;
    // A code may be divided, and may stand behind its command without a space.
    for length in 1..=3 {
        for first in 0..words.len().saturating_sub(length - 1) {
            let together = words[first..first + length].concat();
            if together.contains(HIDDEN) {
                continue;
            }
            let command_end = ["claim", "login"].iter().filter_map(|command| {
                let at = together.to_ascii_lowercase().find(command)?;
                Some(at + command.len())
            });
            let candidates = std::iter::once(0).chain(command_end);
            if let Some(from) = candidates.into_iter().find(|from| is_code(&together[*from..])) {
                words[first] = format!("{}{HIDDEN}", &together[..from]);
                words[first + 1..first + length].iter_mut().for_each(String::clear);
                is_changed = true;
            }
        }
    }
    is_changed.then(|| {
        words.retain(|word| !word.is_empty());
        words.join(" ")
    })
}

/// Whether this can be one of our codes.
pub fn is_code(typed: &str) -> bool {
    let code = normal_code(typed);
    code.len() == CODE_CHARS && code.bytes().all(|byte| CODE_ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_said_by_mistake_is_taken_out_however_it_is_said() {
        for (line, kept) in [
            ("claim K7WQ2MXHT", "claim [hidden]"),
            ("/claim k7wq-2mxht", "/claim [hidden]"),
            ("!claim K7WQ2MXHT please", "!claim [hidden] please"),
            ("^1!claim ^2K7WQ2MXHT", "!claim [hidden]"),
            ("!claim: K7WQ2MXHT", "!claim: [hidden]"),
            ("!claimK7WQ2MXHT", "!claim[hidden]"),
            ("! claim K7WQ2MXHT", "! claim [hidden]"),
            ("!claim code K7WQ 2MXHT", "!claim code [hidden]"),
            ("say !claim K7WQ2MXHT", "say !claim [hidden]"),
            ("\u{200b}!claim K7WQ2MXHT", "!claim [hidden]"),
            ("login K7WQ2MXHT thanks", "login [hidden] thanks"),
            ("\"login K7WQ2MXHT\"", "\"login [hidden]"),
            ("^2login K7WQ2MXHT", "login [hidden]"),
            ("type login: K7WQ2MXHT and ABCDEFGHJ", "type login: [hidden] and [hidden]"),
        ] {
            assert_eq!(without_codes(line).as_deref(), Some(kept), "{line}");
        }
        for line in
            ["how do I claim my player?", "login does not work", "K7WQ2MXHT", "", "claim it all, everybody"]
        {
            assert_eq!(without_codes(line), None, "{line}");
        }
    }
}
