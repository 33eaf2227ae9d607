//! Who a block of player fields means: the canonical player id.
//!
//! In order of trust:
//! 1. a forum or user id in decimal (`*_smf_id`, `*_member_id`, or a decimal guid): that number, known to us or not;
//! 2. an engine guid: verbatim;
//! 3. a guest: nobody whom another match could recognise, because `unauth_<slot>` is a slot number that
//!    strangers reuse. A guest is (server, match, slot, plain name). Where the guid is a team (the first scripts
//!    wrote `allies` there), `0`, empty, unfit for an id or an imitation of an id of ours (a guest's, an anonymous player's), the slot is unknown
//!    and the name alone tells guests apart;
//! 4. the environment: `world`, or neither a usable guid nor a name. Its id is `""`.
//!
//! A bot (`bot_<n>`) is a guest whose number stands for the slot: bots of two matches are never one player.
//!
//! A guest's id is `g_` and 16 lower-case base32 characters (RFC 4648), 80 bits of the UUIDv5 (SHA-1) of slot and
//! plain name in the namespace of our match id, which itself is made of the server: equal inputs give equal
//! ids after any restart, and no two servers or matches share one.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::event::{Player, Text};
use crate::name::strip_colors;
use crate::vocabulary::Team;

/// Longest player id in bytes. Engine guids are 32 to 64 characters of hex.
pub const MAX_PLAYER_ID_BYTES: usize = 128;

/// Of ids under which players are shown whose names were taken away. No server gives one out.
pub const ANONYMOUS_PREFIX: &str = "anon_";
const GUEST_PREFIX: &str = "g_";
const GUEST_CHARACTERS: usize = 16;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A text that can't be a player id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPlayerId {
    #[error("a player id is not empty")]
    Empty,
    #[error("a player id has at most {MAX_PLAYER_ID_BYTES} bytes")]
    TooLong,
    #[error("a player id holds no control characters and no white space around it")]
    Unprintable,
}

/// Canonical id of a player as paths and answers hold it: a decimal forum or user id, an engine guid, or `g_…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayerId(Text);

impl PlayerId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Valid in one match of one server only.
    pub fn is_guest(&self) -> bool {
        is_guest_id(&self.0)
    }

    /// The forum or user id, when it is one.
    pub fn member_id(&self) -> Option<u64> {
        decimal_above_zero(&self.0).and_then(|digits| digits.parse().ok())
    }
}

impl fmt::Display for PlayerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for PlayerId {
    type Err = InvalidPlayerId;

    fn from_str(text: &str) -> Result<Self, InvalidPlayerId> {
        if text.is_empty() {
            return Err(InvalidPlayerId::Empty);
        }
        if text.len() > MAX_PLAYER_ID_BYTES {
            return Err(InvalidPlayerId::TooLong);
        }
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(InvalidPlayerId::Unprintable);
        }
        Ok(PlayerId(decimal_above_zero(text).unwrap_or(text).into()))
    }
}

/// `g_` and 16 base32 characters.
pub fn is_guest_id(id: &str) -> bool {
    id.strip_prefix(GUEST_PREFIX).is_some_and(|code| {
        code.len() == GUEST_CHARACTERS && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

/// Who a block means, before the match is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// No player: the world killed, or nobody is named.
    Environment,
    /// Forum or user id, decimal without leading zeros.
    Member(&'a str),
    /// Engine guid, verbatim.
    Engine(&'a str),
    /// Somebody of this match only.
    Guest { slot: Slot<'a>, raw_name: &'a str },
}

/// What tells guests of one name apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot<'a> {
    Unknown,
    /// The part of the guid behind `unauth_`.
    Number(&'a str),
    /// The part of the guid behind `bot_`.
    Bot(&'a str),
}

/// Classifies a block by the guid, member id and name in it.
pub fn identify(player: &Player) -> Identity<'_> {
    let raw_name = player.name.as_str();
    let guid = player.guid.trim();
    if let Some(member_id) = decimal_above_zero(player.member_id.trim()) {
        return Identity::Member(member_id);
    }
    if let Some(member_id) = decimal_above_zero(guid) {
        return Identity::Member(member_id);
    }
    if guid.eq_ignore_ascii_case("world") {
        return Identity::Environment;
    }
    if let Some(number) = guid.strip_prefix("unauth_") {
        return Identity::Guest { slot: Slot::Number(number), raw_name };
    }
    if let Some(number) = guid.strip_prefix("bot_") {
        return Identity::Guest { slot: Slot::Bot(number), raw_name };
    }
    let placeholder = matches!(guid, "" | "0")
        || team_named_in_guid(guid) != Team::Unknown
        || is_guest_id(guid)
        || guid.starts_with(ANONYMOUS_PREFIX);
    if !placeholder && guid.parse::<PlayerId>().is_ok() {
        return Identity::Engine(guid);
    }
    if matches!(raw_name.trim(), "" | "world") {
        return Identity::Environment;
    }
    Identity::Guest { slot: Slot::Unknown, raw_name }
}

/// The team that the first scripts wrote where the guid belongs. A number there is a player, not a team.
pub fn team_named_in_guid(guid: &str) -> Team {
    let word = guid.trim();
    if word.bytes().any(|byte| byte.is_ascii_digit()) {
        return Team::Unknown;
    }
    Team::parse(word).unwrap_or_default()
}

/// Id of a guest of this match.
pub fn guest_id(match_id: Uuid, slot: Slot<'_>, raw_name: &str) -> Text {
    let plain_name = strip_colors(raw_name);
    let plain_name = plain_name.trim();
    // The words keep the three kinds apart; a line feed can't stand in a slot or a name.
    let described = match slot {
        Slot::Unknown => format!("name\n{plain_name}"),
        Slot::Number(number) => format!("slot\n{number}\n{plain_name}"),
        Slot::Bot(number) => format!("bot\n{number}\n{plain_name}"),
    };
    let digest = Uuid::new_v5(&match_id, described.as_bytes());
    let bytes = digest.as_bytes();
    // Bytes 6 and 8 hold the UUID's version and variant, which are the same for everybody.
    let distinct = [&bytes[..6], &bytes[9..13]].concat();
    let bits = distinct.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));

    let mut id = Text::const_new(GUEST_PREFIX);
    for position in (0..GUEST_CHARACTERS).rev() {
        let digit = (bits >> (5 * position)) as usize & 0x1f;
        id.push(char::from(BASE32[digit]));
    }
    id
}

/// `text` without leading zeros, when it is a decimal number above 0 of at most 18 digits.
fn decimal_above_zero(text: &str) -> Option<&str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    (!digits.is_empty() && digits.len() <= 18).then_some(digits)
}
