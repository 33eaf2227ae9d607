//! What teams are called.

use std::fmt;
use std::str::FromStr;

use mohaa_domain::name::{can_be_seen, is_shown, strip_colors};

const SHORTEST_NAME_CHARS: usize = 2;
const LONGEST_NAME_CHARS: usize = 32;
const LONGEST_TAG_CHARS: usize = 8;
/// With colour codes; what the columns of `teams` take.
const LONGEST_RAW_NAME_CHARS: usize = 64;
const LONGEST_RAW_TAG_CHARS: usize = 24;

/// A team's name: 2 to 32 characters beside colour codes, in one line, all of them visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamName(String);

/// A team's tag, as players wear it before their names: 1 to 8 characters beside colour codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamTag(String);

#[derive(Debug, thiserror::Error)]
#[error("has {least} to {most} characters beside colour codes, in one line, and nothing that can't be seen")]
pub struct InvalidTeamText {
    least: usize,
    most: usize,
}

impl TeamName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared: teams that look alike but for colours and case share it.
    pub fn key(&self) -> String {
        comparison_key(&self.0)
    }
}

impl TeamTag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TeamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TeamName {
    type Err = InvalidTeamText;

    fn from_str(text: &str) -> Result<Self, InvalidTeamText> {
        read(text, SHORTEST_NAME_CHARS, LONGEST_NAME_CHARS, LONGEST_RAW_NAME_CHARS).map(Self)
    }
}

impl FromStr for TeamTag {
    type Err = InvalidTeamText;

    fn from_str(text: &str) -> Result<Self, InvalidTeamText> {
        read(text, 1, LONGEST_TAG_CHARS, LONGEST_RAW_TAG_CHARS).map(Self)
    }
}

fn read(text: &str, least: usize, most: usize, most_raw: usize) -> Result<String, InvalidTeamText> {
    let text = text.trim();
    let plain = strip_colors(text);
    let has_a_good_length =
        (least..=most).contains(&plain.trim().chars().count()) && text.chars().count() <= most_raw;
    let is_readable = text.chars().all(|character| is_shown(character) && !character.is_control());
    match has_a_good_length && is_readable && can_be_seen(text) {
        true => Ok(text.to_owned()),
        false => Err(InvalidTeamText { least, most }),
    }
}

/// A name, or a part of one that is looked for, without colours, case and what can't be seen, with single spaces.
pub(super) fn comparison_key(raw: &str) -> String {
    let is_seen = |character: &char| {
        let mut buffer = [0_u8; 4];
        character.is_whitespace() || can_be_seen(character.encode_utf8(&mut buffer))
    };
    let seen: String = strip_colors(raw).chars().filter(is_seen).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_a_line_that_can_be_seen() {
        for good in ["42", " The Big Red One ", "^1Red ^2Devils", "Ärger", "日本", &"x".repeat(32)] {
            assert_eq!(good.parse::<TeamName>().unwrap().as_str(), good.trim());
        }
        let coloured = "^1a".repeat(30);
        let wrong = [
            "",
            " ",
            "x",
            "^1^2",
            "^1x",
            "a\nb",
            "a\tb",
            "a\u{0}b",
            "\u{202e}abc",
            "a\u{200b}b",
            "\u{3164}\u{3164}",
            &"x".repeat(33),
            &coloured,
        ];
        for wrong in wrong {
            assert!(wrong.parse::<TeamName>().is_err(), "{wrong:?}");
        }
        assert_eq!("[^1X^7]".parse::<TeamTag>().unwrap().as_str(), "[^1X^7]");
        assert!("123456789".parse::<TeamTag>().is_err());
    }

    #[test]
    fn names_that_differ_in_case_colours_or_the_invisible_are_one() {
        let key = |name: &str| name.parse::<TeamName>().unwrap().key();
        for alike in ["Red  Devils", "RED DEVILS", "^1red ^4devils", "R\u{ad}ed Devils", "^7Red Devils^7"] {
            assert_eq!(key(alike), "red devils", "{alike:?}");
        }
        assert_ne!(key("Red Devils"), key("Red Devil"));
    }
}
