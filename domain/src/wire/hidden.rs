//! What is taken out of texts that people typed or scripts wrote: addresses of hosts, tokens of this service, passwords of consoles.
//!
//! Every text of an event comes through here, however long and however made: each search reads it once.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use crate::claim::HIDDEN;

/// No shorter address of six can be told from what people write with colons.
const SHORTEST_V6: usize = 7;
/// Of six, with four numbers at its end and a port.
const LONGEST_V6: usize = 51;
const LONGEST_PORT: usize = 5;
/// What tokens of servers and matches begin with.
const TOKENS: [&str; 2] = ["mohaa_s_", "mohaa_m_"];
const KEY: &str = "[key:";
/// What all commands begin with that passwords of consoles stand behind.
const RCON: &str = "rcon";

/// The text without what nobody may read; none where there is nothing of it.
pub(super) fn without_secrets(text: &str) -> Option<String> {
    let may_hold_some = has_marks(text.as_bytes()) || begins_with_command(text);
    if may_hold_some { without_what_is_found(text) } else { None }
}

/// Whether it holds so many of the characters that secrets are written with that one may be among them. Most texts don't, and
/// each byte of all of them is looked at here.
fn has_marks(bytes: &[u8]) -> bool {
    // A byte for each kind, its high bit set once there are enough: three dots, two colons, two underscores, one bracket.
    const BEGIN: u32 = u32::from_le_bytes([0x80 - 3, 0x80 - 2, 0x80 - 2, 0x80 - 1]);
    const ENOUGH: u32 = u32::from_le_bytes([0x80; 4]);
    const ONE: [u32; 256] = {
        let mut one = [0; 256];
        one[b'.' as usize] = 1;
        one[b':' as usize] = 1 << 8;
        one[b'_' as usize] = 1 << 16;
        one[b'[' as usize] = 1 << 24;
        one
    };
    let mut counts = BEGIN;
    bytes.iter().any(|byte| {
        counts += ONE[usize::from(*byte)];
        counts & ENOUGH != 0
    })
}

/// Whether the first word may be one that a password of the console stands behind.
fn begins_with_command(text: &str) -> bool {
    let line = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    line.get(..RCON.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(RCON))
}

fn without_what_is_found(text: &str) -> Option<String> {
    let mut found = Vec::new();
    let (mut dots, mut colons, mut underscores, mut has_bracket) = (0_usize, 0_usize, 0_usize, false);
    for byte in text.bytes() {
        dots += usize::from(byte == b'.');
        colons += usize::from(byte == b':');
        underscores += usize::from(byte == b'_');
        has_bracket |= byte == b'[';
    }
    if dots >= 3 {
        v4_addresses(text, &mut found);
    }
    if colons >= 2 {
        v6_addresses(text, &mut found);
    }
    if underscores >= 2 {
        tokens(text, &mut found);
    }
    if has_bracket {
        keys(text, &mut found);
    }
    console_password(text, &mut found);
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|range| range.start);
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        if range.start >= end {
            kept.push_str(&text[end..range.start]);
            kept.push_str(HIDDEN);
        }
        end = end.max(range.end);
    }
    kept.push_str(&text[end..]);
    Some(kept)
}

/// Four numbers, whatever stands around them: `ip:203.0.113.18,…`, `^1203.0.113.18` with its colour.
fn v4_addresses(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while at < bytes.len() {
        if !is_digit(at) {
            at += 1;
            continue;
        }
        let mut groups = Vec::new();
        loop {
            let start = at;
            while is_digit(at) {
                at += 1;
            }
            groups.push(start..at);
            match bytes.get(at) == Some(&b'.') && is_digit(at + 1) {
                true => at += 1,
                false => break,
            }
        }
        let [first, others @ ..] = &groups[..] else { continue };
        let is_part = |group: Range<usize>| group.len() <= 3 && text[group].parse::<u8>().is_ok();
        // Figures that stand right before it are no part of it: one behind a `^` is a colour.
        let is_coloured = text[..first.start].ends_with('^') && first.len() > 1;
        let start =
            (first.start + usize::from(is_coloured)..first.end).find(|start| is_part(*start..first.end));
        if let (Some(start), 3, true) =
            (start, others.len(), others.iter().all(|group| is_part(group.clone())))
        {
            found.push(start..with_port(text, at));
        }
    }
}

/// Where a port ends that stands at `end`; else `end`.
fn with_port(text: &str, end: usize) -> usize {
    let Some(behind) = text[end..].strip_prefix(':') else { return end };
    let length = behind.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=LONGEST_PORT).contains(&length) { end + 1 + length } else { end }
}

fn v6_addresses(text: &str, found: &mut Vec<Range<usize>>) {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let mut rest = 0;
    while let Some(start) = text[rest..].find(is_part).map(|start| rest + start) {
        let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |length| start + length);
        rest = end;
        let before = text[..start].chars().next_back();
        let Some(inner) = v6_in(&text[start..end], before.is_some_and(char::is_alphanumeric)) else {
            continue;
        };
        let (mut from, mut to) = (start + inner.start, start + inner.end);
        if text[..from].ends_with('[') && text[to..].starts_with(']') {
            (from, to) = (from - 1, with_port(text, to + 1));
        }
        found.push(from..to);
    }
}

/// The address in a run of hexadecimal figures, colons and dots: `add:2001:db8::1.` has words and signs around it.
fn v6_in(run: &str, follows_a_word: bool) -> Option<Range<usize>> {
    let end = run.trim_end_matches('.').len();
    let mut start = 0;
    if end > LONGEST_V6 {
        // No more of it can be one.
        start = end - LONGEST_V6;
        start += run[start..end].find(':')?;
    } else if follows_a_word && run.matches(':').count() < 3 {
        // The end of a word is no beginning of an address, unless so much follows that it can be nothing else.
        start = run.find(':')?;
    }
    loop {
        if run[start..end].starts_with(':') && !run[start..end].starts_with("::") {
            start += 1;
        }
        let candidate = &run[start..end];
        if candidate.matches(':').count() < 2 || candidate.len() < SHORTEST_V6 {
            return None;
        }
        if candidate.parse::<Ipv6Addr>().is_ok() {
            return Some(start..end);
        }
        let until_port = candidate.rfind(':').map(|colon| start + colon);
        if let Some(until_port) = until_port
            && until_port - start >= SHORTEST_V6
            && run[start..until_port].parse::<Ipv6Addr>().is_ok()
        {
            return Some(start..end);
        }
        // Its first part may be a word.
        start += candidate.find(':')?.max(1);
    }
}

fn tokens(text: &str, found: &mut Vec<Range<usize>>) {
    for prefix in TOKENS {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let mut end = 0;
        while let Some(start) = text[end..].find(prefix).map(|start| end + start) {
            end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |length| start + length);
            found.push(start..end);
        }
    }
}

/// One-time keys, as servers have them in their names while they register.
fn keys(text: &str, found: &mut Vec<Range<usize>>) {
    let mut end = 0;
    while let Some(start) = text[end..].find('[').map(|start| end + start) {
        end = start + 1;
        if text.get(start..start + KEY.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(KEY)) {
            end = text[start..].find(']').map_or(text.len(), |length| start + length + 1);
            found.push(start..end);
        }
    }
}

/// `rcon PASSWORD command`, and how the console sets it.
fn console_password(text: &str, found: &mut Vec<Range<usize>>) {
    let line = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let begin = text.len() - line.len();
    let Some(space) = line.find(char::is_whitespace) else { return };
    let command = &line[..space];
    if !["rcon", "rconpassword", "rcon_password"].iter().any(|known| command.eq_ignore_ascii_case(known)) {
        return;
    }
    let rest = line[space..].trim_start();
    let start = begin + line.len() - rest.len();
    let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
    if length > 0 {
        found.push(start..start + length);
    }
}

/// Whether a text is the address of a host and nothing else, with or without a port.
pub(super) fn is_address(text: &str) -> bool {
    // Three dots or two colons.
    if !has_marks(text.as_bytes()) {
        return false;
    }
    let text = text.trim();
    // No shorter one can be meant, and no longer one written.
    if !(7..=47).contains(&text.len()) || !text.bytes().any(|byte| matches!(byte, b'.' | b':')) {
        return false;
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok()
}
