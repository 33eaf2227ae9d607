//! The game's own question and answer over UDP, `getstatus`: which map a server plays, and who is there.
//!
//! A datagram's sender can be forged and its text is whatever somebody wrote, so an answer counts only with the
//! challenge that was asked with, and nothing in it is taken at its word: it is read in one pass, within the bounds below,
//! and a value that can't be read is absent.
//!
//! Both ways a packet begins with four bytes 255 and one for its direction, 2 to a server and 1 from it; servers of other
//! builds leave the direction out of what they answer. Then, line by line: `statusResponse`, the server's variables as
//! `\name\value\name\value`, and for each client its ping and name, `57 "^1Bert"`, in some builds with the score before the ping.

use crate::event::Text;
use crate::tracker::map_name;
use crate::vocabulary::GameType;
use crate::wire::to_text;

/// The engine's longest message (`MAX_MSGLEN`). A datagram can't be longer than 64 KiB anyway.
pub const MAX_ANSWER_BYTES: usize = 49_152;
/// The engine's most clients (`MAX_CLIENTS`).
pub const MAX_PLAYERS: usize = 64;
/// The engine takes no longer challenge.
const MAX_CHALLENGE_BYTES: usize = 128;
/// Characters that are kept of a name.
const MAX_NAME_CHARS: usize = 64;

const HEADER: &[u8] = b"\xff\xff\xff\xff";
const TO_SERVER: u8 = 2;
const FROM_SERVER: u8 = 1;

/// What a server said of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerStatus {
    /// As statistics name it (`dm/mohdm1`); `""` where it was not said.
    pub map_name: Text,
    pub game_type: GameType,
    /// As sent, with its colours, at most 64 characters.
    pub host_name: Text,
    /// Slots, at most [`MAX_PLAYERS`].
    pub max_clients: Option<u32>,
    /// In the order of their slots, bots among them.
    pub players: Vec<QueriedPlayer>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct QueriedPlayer {
    /// As sent, with its colours, at most 64 characters. Never empty.
    pub name: Text,
    /// Milliseconds; 999 and more while somebody connects.
    pub ping: u16,
}

/// Why a datagram is no answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("the datagram is no answer to getstatus")]
    NotAStatus,
    /// Forged, or of an earlier question.
    #[error("the answer does not repeat the question's challenge")]
    WrongChallenge,
}

/// The datagram that asks. The challenge is what nobody else can know: letters and figures, drawn anew for each question; any
/// other character is left out, and whatever is beyond 128.
pub fn question(challenge: &str) -> Vec<u8> {
    let mut datagram = HEADER.to_vec();
    datagram.push(TO_SERVER);
    datagram.extend_from_slice(b"getstatus ");
    datagram.extend_from_slice(sent_challenge(challenge).as_bytes());
    datagram.push(b'\n');
    datagram
}

fn sent_challenge(challenge: &str) -> String {
    challenge.chars().filter(char::is_ascii_alphanumeric).take(MAX_CHALLENGE_BYTES).collect()
}

/// Reads the answer to the question that was asked with this challenge. Of equal names of variables the first counts, as
/// in the engine.
pub fn read_answer(datagram: &[u8], challenge: &str) -> Result<ServerStatus, QueryError> {
    if datagram.len() > MAX_ANSWER_BYTES {
        return Err(QueryError::TooLong);
    }
    let rest = datagram.strip_prefix(HEADER).ok_or(QueryError::NotAStatus)?;
    let rest = rest.strip_prefix(&[FROM_SERVER]).unwrap_or(rest);
    // C ends its strings with a NUL, and nothing behind it was meant.
    let rest = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut lines = rest.split(|byte| *byte == b'\n');
    if lines.next() != Some(b"statusResponse") {
        return Err(QueryError::NotAStatus);
    }
    let variables = lines.next().unwrap_or_default();
    let challenge = sent_challenge(challenge);
    if challenge.is_empty() || variable(variables, b"challenge") != Some(challenge.as_bytes()) {
        return Err(QueryError::WrongChallenge);
    }
    let text_of = |name: &[u8]| to_text(variable(variables, name).unwrap_or_default());
    Ok(ServerStatus {
        map_name: map_name::normalise(&text_of(b"mapname")),
        game_type: GameType::parse(text_of(b"g_gametype").trim()).unwrap_or_default(),
        host_name: shortened(&text_of(b"sv_hostname")),
        max_clients: text_of(b"sv_maxclients")
            .trim()
            .parse()
            .ok()
            .filter(|slots| *slots <= MAX_PLAYERS as u32),
        players: lines.filter_map(player).take(MAX_PLAYERS).collect(),
    })
}

/// Value of the first variable of this name, whatever the case of the name.
fn variable<'v>(variables: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    let mut parts = variables.strip_prefix(b"\\").unwrap_or(variables).split(|byte| *byte == b'\\');
    while let (Some(found), Some(value)) = (parts.next(), parts.next()) {
        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
    }
    None
}

/// `57 "name"` or `12 57 "name"`. A name's quotes are the first and the last on the line, whatever is between them.
fn player(line: &[u8]) -> Option<QueriedPlayer> {
    let first_quote = line.iter().position(|byte| *byte == b'"')?;
    let last_quote = line.iter().rposition(|byte| *byte == b'"')?;
    let name = shortened(&to_text(line.get(first_quote + 1..last_quote)?));
    if name.trim().is_empty() {
        return None;
    }
    let numbers = std::str::from_utf8(&line[..first_quote]).ok()?;
    let ping: i64 = numbers.split_ascii_whitespace().next_back()?.parse().ok()?;
    Some(QueriedPlayer { name, ping: ping.clamp(0, i64::from(u16::MAX)) as u16 })
}

/// Without control characters, and not longer than a name is.
fn shortened(text: &str) -> Text {
    text.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARS).collect()
}
