//! The one form of a map's name that statistics are kept under.

use crate::event::Text;

/// The engine's longest file name (MAX_QPATH). A longer "map" is none.
const MAX_MAP_NAME_BYTES: usize = 64;

/// `maps/DM/mohdm1.bsp` → `dm/mohdm1`; `""` when `sent` names no map.
pub fn normalise(sent: &str) -> Text {
    let trimmed = sent.trim();
    let path = strip_prefix_ignoring_case(trimmed, "maps/");
    let path = strip_suffix_ignoring_case(path, ".bsp").trim_matches('/');
    if path.len() > MAX_MAP_NAME_BYTES || path.chars().any(char::is_control) {
        return Text::default();
    }
    let mut name = Text::from(path);
    name.make_ascii_lowercase();
    name
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> &'a str {
    match text.split_at_checked(prefix.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(prefix) => rest,
        _ => text,
    }
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> &'a str {
    let Some(split_at) = text.len().checked_sub(suffix.len()) else { return text };
    match text.split_at_checked(split_at) {
        Some((rest, tail)) if tail.eq_ignore_ascii_case(suffix) => rest,
        _ => text,
    }
}
