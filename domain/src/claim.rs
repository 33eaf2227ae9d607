//! Codes that users type in the game, as far as their shape goes. Who reads events must know one by it: a code that
//! somebody may still use is kept nowhere.

use crate::name::strip_colors;

/// Without what looks like something else on a small screen or sounds like it: I, L, O, U, 0, 1.
pub const CODE_ALPHABET: &[u8; 30] = b"ABCDEFGHJKMNPQRSTVWXYZ23456789";
/// 44 bits.
pub const CODE_CHARS: usize = 9;
/// Of the keys with which servers register, `XXXX-XXXX`.
const KEY_CHARS: usize = 8;
/// Codes and keys are divided behind so many, where they are.
const FIRST_PART_CHARS: usize = 4;

/// A code as it was made, whatever case it was typed in and however it was divided.
pub fn normal_code(typed: &str) -> String {
    typed.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect()
}

/// What stands for a code that was taken out.
pub const HIDDEN: &str = "[hidden]";

/// A line of chat as people see it, without colours and what takes no room.
pub fn visible(line: &str) -> String {
    let takes_no_room = |c: &char| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
            || matches!(c, '\u{2800}' | '\u{3164}' | '\u{e0000}'..='\u{e01ef}')
            || (c.is_control() && !c.is_whitespace())
    };
    let is_seen = |c: &char| !takes_no_room(c);
    strip_colors(line).chars().filter(is_seen).collect()
}

/// Whether a text speaks of claiming or logging in.
pub fn speaks_of_codes(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut end = COMMAND_BYTES;
    while end <= bytes.len() {
        let word = &bytes[end - COMMAND_BYTES..end];
        match STEPS[usize::from(word[COMMAND_BYTES - 1])] {
            0 if COMMANDS.iter().any(|command| word.eq_ignore_ascii_case(*command)) => return true,
            0 => end += 1,
            step => end += usize::from(step),
        }
    }
    false
}

const COMMAND_BYTES: usize = 5;
/// The commands, and other ways to speak of logging in.
const COMMANDS: [&[u8; COMMAND_BYTES]; 7] =
    [b"claim", b"login", b"log i", b"log-i", b"log_i", b"loggi", b"logge"];

/// How far the next command can end behind this byte, whatever its case; 0 for one that a command ends with.
const STEPS: [u8; 256] = {
    let mut steps = [COMMAND_BYTES as u8; 256];
    let mut left = COMMAND_BYTES;
    while left > 0 {
        left -= 1;
        let mut command = 0;
        while command < COMMANDS.len() {
            let byte = COMMANDS[command][COMMAND_BYTES - 1 - left];
            steps[byte as usize] = left as u8;
            steps[byte.to_ascii_uppercase() as usize] = left as u8;
            command += 1;
        }
    }
    steps
};

/// A line that speaks of claiming or logging in, with whatever may be a code in it taken out; none where there is nothing to
/// take out. Who mistypes a command says the code to everybody, and it still is good.
pub fn without_codes(line: &str) -> Option<String> {
    let visible = visible(line);
    if !speaks_of_codes(&visible) {
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
    for word in words.iter_mut().filter(|word| !word.contains(HIDDEN)) {
        if let Some(without) = without_glued_codes(word).or_else(|| without_runs_with_codes(word)) {
            *word = without;
            is_changed = true;
        }
    }
    is_changed.then(|| {
        words.retain(|word| !word.is_empty());
        words.join(" ")
    })
}

/// A word in which codes are taken out that something else is glued to (`code=K7WQ2MXHT,thanks`); none where there is
/// none. A letter beside it belongs to another word only where the code is written in capitals and the letter is not.
fn without_glued_codes(word: &str) -> Option<String> {
    let mut kept = String::new();
    let mut is_changed = false;
    let mut before = None;
    let mut rest = word;
    while let Some(character) = rest.chars().next() {
        let length = match glued_code(before, rest) {
            Some(length) => {
                kept.push_str(HIDDEN);
                is_changed = true;
                length
            }
            None => {
                kept.push(character);
                character.len_utf8()
            }
        };
        before = rest[..length].chars().next_back();
        rest = &rest[length..];
    }
    is_changed.then_some(kept)
}

/// How many bytes the code has with which `rest` begins, behind this character.
fn glued_code(before: Option<char>, rest: &str) -> Option<usize> {
    /// With whatever divides it.
    const LONGEST: usize = 2 * CODE_CHARS;
    let is_part = |c: char| c.is_ascii_alphanumeric();
    if !rest.starts_with(is_part) {
        return None;
    }
    let parts = rest.char_indices().take(LONGEST).filter(|(_, c)| is_part(*c));
    let (last, _) = parts.clone().nth(CODE_CHARS - 1)?;
    let is_in_capitals = !parts.take(CODE_CHARS).any(|(_, c)| c.is_ascii_lowercase());
    let (code, after) = rest.split_at(last + 1);
    let ends_there = |beside: Option<char>| {
        beside.is_none_or(|c| !is_part(c) || (is_in_capitals && c.is_ascii_lowercase()))
    };
    (ends_there(before) && ends_there(after.chars().next()) && is_code(code)).then_some(code.len())
}

/// A line of chat that says nothing of claiming or logging in, with words taken out that are a code: letters and figures of
/// the alphabet, both, nine of them, or eight as a server's key has them, whatever signs are beside them. Words of people are
/// not like that; who forgot the command, or misspelt it, has said a code that is still good. A line that is nothing but a code
/// is known in further forms ([`is_said_alone`]).
pub fn without_bare_codes(line: &str) -> Option<String> {
    let visible = visible(line);
    let said = visible.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if is_said_alone(said) {
        return Some(visible.trim().replace(said, HIDDEN));
    }
    let words: Vec<(&str, Option<String>)> =
        visible.split_whitespace().map(|word| (word, without_codes_among_signs(word))).collect();
    words.iter().any(|(_, hidden)| hidden.is_some()).then(|| {
        let words: Vec<&str> = words.iter().map(|(word, hidden)| hidden.as_deref().unwrap_or(word)).collect();
        words.join(" ")
    })
}

/// A word without those of its runs of letters and figures that are a code, or with the next ones are a code or a key
/// (`key:K7WQ-2MXH,`), or hold a code in capitals that small letters are glued to; none where there is none.
fn without_codes_among_signs(word: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric();
    let mut kept = String::new();
    let mut is_changed = false;
    let mut rest = word;
    while let Some(start) = rest.find(is_part) {
        let end_of_run = |from: usize| rest[from..].find(|c| !is_part(c)).map_or(rest.len(), |at| from + at);
        let end = end_of_run(start);
        let whole = &rest[start..end];
        let is_whole = is_code(whole) && mixes_letters_and_figures(whole.as_bytes());
        // A sign between two of them.
        let next_end = |end: &usize| {
            let sign = rest[*end..].chars().next()?;
            let next = end + sign.len_utf8();
            rest[next..].starts_with(is_part).then(|| end_of_run(next))
        };
        let mut ends = std::iter::successors(next_end(&end), next_end).take(CODE_CHARS);
        let code_end = ends.find(|end| is_divided_code(&rest[start..*end])).or(is_whole.then_some(end));
        kept.push_str(&rest[..start]);
        match code_end {
            Some(_) => kept.push_str(HIDDEN),
            None => match without_mixed_glued_codes(whole) {
                Some(without) => {
                    kept.push_str(&without);
                    is_changed = true;
                }
                None => kept.push_str(whole),
            },
        }
        is_changed |= code_end.is_some();
        rest = &rest[code_end.unwrap_or(end)..];
    }
    kept.push_str(rest);
    is_changed.then_some(kept)
}

/// A run of letters and figures in which a code in capitals, with figures, has small letters beside it.
fn without_mixed_glued_codes(run: &str) -> Option<String> {
    let (first, length) = (0..run.len()).find_map(|at| {
        let before = run[..at].chars().next_back();
        let length = glued_code(before, &run[at..])?;
        let code = &run.as_bytes()[at..at + length];
        let is_one = mixes_letters_and_figures(code) && !code.iter().any(u8::is_ascii_lowercase);
        is_one.then_some((at, length))
    })?;
    let behind = &run[first + length..];
    let behind = without_mixed_glued_codes(behind).unwrap_or_else(|| behind.to_owned());
    Some(format!("{}{HIDDEN}{behind}", &run[..first]))
}

/// Whether runs of letters and figures with a sign between each two are a code, or a key as it is said alone.
fn is_divided_code(runs: &str) -> bool {
    let is_hyphened_code = runs.contains('-') && is_code(runs) && runs.matches('-').count() == 1;
    (is_hyphened_code && !is_of_the_game(runs) || is_said_alone(runs))
        && mixes_letters_and_figures(runs.as_bytes())
}

/// Whether all its parts are weapons as people write them.
fn is_of_the_game(text: &str) -> bool {
    const WEAPONS: [&str; 6] = ["MP44", "STG44", "KAR98", "K98K", "PPSH", "BAR"];
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .all(|part| WEAPONS.iter().any(|weapon| part.eq_ignore_ascii_case(weapon)))
}

/// Whether a line that is this and nothing else says a code or a key: eight or nine characters of the alphabet, in one or
/// several parts with blanks or signs between. Where words of people may look the same it is one by its figures and letters, both, in
/// capitals, or divided behind the fourth and with a figure before a letter (`next game2` is none), or by capitals and a hyphen
/// behind the fourth.
fn is_said_alone(line: &str) -> bool {
    /// With as many signs between.
    const LONGEST: usize = 4 * CODE_CHARS;
    let is_divider = |c: char| !c.is_alphanumeric();
    let is_in_alphabet = |byte: u8| CODE_ALPHABET.contains(&byte.to_ascii_uppercase());
    if line.len() > LONGEST
        || !line.chars().all(|c| is_divider(c) || u8::try_from(c).is_ok_and(is_in_alphabet))
    {
        return false;
    }
    let parts: Vec<&str> = line.split(is_divider).filter(|part| !part.is_empty()).collect();
    let is_long_enough = |length: usize| matches!(length, KEY_CHARS | CODE_CHARS);
    let is_divided_as_shown = match &parts[..] {
        [whole] if is_long_enough(whole.len()) => true,
        [first, second] if is_long_enough(first.len() + second.len()) => first.len() == FIRST_PART_CHARS,
        parts if is_long_enough(parts.iter().map(|part| part.len()).sum()) => false,
        _ => return false,
    };
    let is_in_capitals = !line.bytes().any(|byte| byte.is_ascii_lowercase());
    let figure_before_letter = |part: &&str| {
        let behind = part.trim_start_matches(|c: char| !c.is_ascii_digit());
        behind.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    match mixes_letters_and_figures(line.as_bytes()) {
        true => {
            !is_of_the_game(line)
                && (is_in_capitals || is_divided_as_shown && parts.iter().any(figure_before_letter))
        }
        false => {
            is_divided_as_shown
                && is_in_capitals
                && line.contains('-')
                && line.bytes().any(|byte| byte.is_ascii_alphabetic())
        }
    }
}

/// A word without those of its runs of letters and figures in which a code stands among others, in whatever case. Where it
/// begins can't be told, so all of the run goes; without a figure it can't be told from a word of people.
fn without_runs_with_codes(word: &str) -> Option<String> {
    let is_in_alphabet = |byte: &u8| CODE_ALPHABET.contains(&byte.to_ascii_uppercase());
    let holds_a_code = |run: &str| {
        let mut windows = run.as_bytes().windows(CODE_CHARS);
        windows.any(|window| window.iter().all(is_in_alphabet) && mixes_letters_and_figures(window))
    };
    let mut kept = String::new();
    let mut is_changed = false;
    let is_part = |c: char| c.is_ascii_alphanumeric();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        let is_hidden = is_part(first) && holds_a_code(run);
        kept.push_str(if is_hidden { HIDDEN } else { run });
        is_changed |= is_hidden;
        rest = behind;
    }
    is_changed.then_some(kept)
}

fn mixes_letters_and_figures(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
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
            ("!claim code=ABCDEFGHQ", "!claim code=[hidden]"),
            ("!claim code=abcd-efghq,thanks", "!claim code=[hidden],thanks"),
            ("!claim codeABCDEFGHQplease", "!claim code[hidden]please"),
            ("login=ABCDEFGHQ;quit", "login=[hidden];quit"),
            ("login (ABCDEFGHQ)/ABCDEFGHR/x", "login ([hidden])/[hidden]/x"),
            ("login codek7wq2mxht", "login [hidden]"),
            ("claim XK7WQ2MXHT, thanks", "claim [hidden], thanks"),
            ("(loginxk7wq2mxhty)", "([hidden])"),
            ("logging in with 9T5F RTG2M", "logging in with [hidden]"),
            ("EVKY 4S2RJ is how I Log in", "[hidden] is how I Log in"),
        ] {
            assert_eq!(without_codes(line).as_deref(), Some(kept), "{line}");
        }
        for line in [
            "how do I claim my player?",
            "login does not work",
            "K7WQ2MXHT",
            "",
            "claim it all, everybody",
            "login codeabcdefghq",
            "claim XABCDEFGHQ",
        ] {
            assert_eq!(without_codes(line), None, "{line}");
        }
    }

    #[test]
    fn a_code_alone_is_taken_out_of_a_line_that_says_nothing_of_codes() {
        for (line, kept) in [
            ("K7WQ2MXHT", "[hidden]"),
            ("code ^2k7wq2mxht", "code [hidden]"),
            ("!clam K7WQ-2MXHT please", "!clam [hidden] please"),
            ("(K7WQ2MXHT),", "([hidden]),"),
            ("K7WQ 2MXHT", "[hidden]"),
            (" ^3k7wq  2mxht ", "[hidden]"),
            ("K7WQ - 2MXHT", "[hidden]"),
            ("K7WQ-2MXH", "[hidden]"),
            ("k7wq 2mxh", "[hidden]"),
            ("K7WQ2MXH.", "[hidden]."),
            ("ABCD-EFGH", "[hidden]"),
            ("\"ABCD-EFGHJ\"", "\"[hidden]\""),
            ("code:K7WQ2MXHT", "code:[hidden]"),
            ("!clam:k7wq2mxht,thanks", "!clam:[hidden],thanks"),
            ("my key:K7WQ-2MXH.", "my key:[hidden]."),
            ("[key:k7wq-2mxh]", "[key:[hidden]]"),
            ("it is K7WQ.2MXHT now", "it is [hidden] now"),
            ("K7WQ_2MXHT", "[hidden]"),
            ("K7WQ2 MXHT", "[hidden]"),
            ("2/K7WQ/2MXHT/3", "2/[hidden]/3"),
            ("RBE-56X-PGE", "[hidden]"),
            ("use 4AY-4E6-HQG now", "use [hidden] now"),
            ("2.N.X.J.P.4.T.D.9", "[hidden]"),
            ("it is 2DZM→6G5ZK", "it is [hidden]"),
            ("mycodeisPA97VEZ4R", "mycodeis[hidden]"),
            ("CCM8E8VK8thx", "[hidden]thx"),
            ("Q98 7S2 PKX", "[hidden]"),
            ("S4JB\u{1}C7V\u{fe0f}V8", "[hidden]"),
        ] {
            assert_eq!(without_bare_codes(line).as_deref(), Some(kept), "{line}");
        }
        for line in [
            "gg everybody",
            "everywhere",
            "234567892",
            "M1 Garand",
            "server12203",
            "ABCDEFGHQ",
            "2.3.4.5.6.7.8.9a",
            "next game2",
            "server22",
            "have 2222",
            "easy-pesy",
            "PEWS PEWS",
            "BAZAARED",
            "2345-6789",
            "K7WQ 2MXHT it is",
            "go to K7WQ 2MXH",
            "AB-CDEFGH",
            "MP44 KAR98",
            "k98k mp44",
            "mp44-kar98",
            "he has 22:33:44.555",
            "rush2 base",
            "STG44 > BAR",
            "BAR-STG44",
            "v1.2.3-4x5",
        ] {
            assert_eq!(without_bare_codes(line), None, "{line}");
        }
    }
}
