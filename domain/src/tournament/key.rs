//! Names of bracket matches: `R2.1`, `W1.3`, `L2.1`, `GF1`, `C1`, `G1.R2.1`, `S3.2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The part of a bracket that a match belongs to. In this order a match comes after all that lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// A round-robin group: `G<group>.R<round>.<number>`.
    Group,
    /// Swiss: `S<round>.<number>`.
    Swiss,
    /// Single elimination: `R<round>.<number>`.
    Single,
    /// The upper bracket of double elimination: `W<round>.<number>`.
    Upper,
    /// Its lower bracket: `L<round>.<number>`.
    Lower,
    /// The grand final: `GF1`, and `GF2`, the reset match.
    GrandFinal,
    /// For third place, or between the losers of the lower bracket's last two rounds: `C1`.
    Consolation,
}

/// A match's name within its tournament. Keys are in the order in which matches depend on each other, and within a
/// round from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Key {
    pub section: Section,
    /// From 1 in groups, else 0.
    pub group: u16,
    /// From 1.
    pub round: u16,
    /// From 1; in the grand final and the consolation always 1.
    pub number: u16,
}

/// A text that names no match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the key of a match: R2.1, W1.3, L2.1, GF1, C1, G1.R2.1 and S3.2 are")]
pub struct InvalidKey(String);

impl Key {
    pub const GRAND_FINAL: Key = Key { section: Section::GrandFinal, group: 0, round: 1, number: 1 };
    /// Played only if the lower bracket's champion won the grand final.
    pub const RESET: Key = Key { section: Section::GrandFinal, group: 0, round: 2, number: 1 };
    pub const CONSOLATION: Key = Key { section: Section::Consolation, group: 0, round: 1, number: 1 };

    pub fn new(section: Section, round: usize, number: usize) -> Key {
        Key { section, group: 0, round: small(round), number: small(number) }
    }

    pub fn in_group(group: usize, round: usize, number: usize) -> Key {
        Key { section: Section::Group, group: small(group), round: small(round), number: small(number) }
    }
}

/// Tournaments are limited to far fewer entrants than would make a round or a match of a greater number.
fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { section, group, round, number } = self;
        match section {
            Section::Group => write!(f, "G{group}.R{round}.{number}"),
            Section::Swiss => write!(f, "S{round}.{number}"),
            Section::Single => write!(f, "R{round}.{number}"),
            Section::Upper => write!(f, "W{round}.{number}"),
            Section::Lower => write!(f, "L{round}.{number}"),
            Section::GrandFinal => write!(f, "GF{round}"),
            Section::Consolation => write!(f, "C{number}"),
        }
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Key, InvalidKey> {
        let invalid = || InvalidKey(text.chars().take(32).collect());
        let (group, rest) = match text.strip_prefix('G').and_then(|rest| rest.split_once(".R")) {
            Some((group, rest)) => (Some(number(group).ok_or_else(invalid)?), rest),
            None => (None, text),
        };
        let (section, rest) = match group {
            Some(_) => (Section::Group, rest),
            None => section(rest).ok_or_else(invalid)?,
        };
        let (round, number) = match section {
            Section::GrandFinal => (number(rest).filter(|round| *round <= 2), Some(1)),
            Section::Consolation => (Some(1), number(rest).filter(|number| *number == 1)),
            _ => rest
                .split_once('.')
                .map(|(round, place)| (number(round), number(place)))
                .ok_or_else(invalid)?,
        };
        let (Some(round), Some(number)) = (round, number) else { return Err(invalid()) };
        Ok(Key { section, group: group.unwrap_or(0), round, number })
    }
}

fn section(text: &str) -> Option<(Section, &str)> {
    let prefixes = [
        ("GF", Section::GrandFinal),
        ("S", Section::Swiss),
        ("R", Section::Single),
        ("W", Section::Upper),
        ("L", Section::Lower),
        ("C", Section::Consolation),
    ];
    prefixes.iter().find_map(|(prefix, section)| text.strip_prefix(prefix).map(|rest| (*section, rest)))
}

/// A number from 1, without sign or leading zeroes: each key has one spelling.
fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Key, InvalidKey> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_itself() {
        for text in ["R2.1", "W1.3", "L2.1", "GF1", "GF2", "C1", "G1.R2.1", "G12.R3.40", "S3.2", "R10.512"] {
            assert_eq!(text.parse::<Key>().map(|key| key.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in [
            "", "R", "R1", "R1.", "R0.1", "R01.1", "R+1.1", "GF0", "GF3", "GF", "C2", "G1.S2.1", "X1.1",
            "R1.1.1", "R99999.1",
        ] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }
}
