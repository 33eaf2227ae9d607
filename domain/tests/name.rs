//! Colour codes of player names.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_domain::name::{Segment, comparison_key, segments, strip_colors};
use proptest::prelude::*;

fn pieces(raw: &str) -> Vec<(Option<u8>, &str)> {
    segments(raw).map(|Segment { color, text }| (color, text)).collect()
}

#[test]
fn colour_codes_are_stripped_and_the_text_around_them_stays() {
    assert_eq!(strip_colors("^1Hiro^7shi"), "Hiroshi");
    assert_eq!(strip_colors("Sgt. O'Neil"), "Sgt. O'Neil");
    assert_eq!(strip_colors("^1^2^3"), "");
}

#[test]
fn a_caret_without_a_digit_is_a_caret() {
    assert_eq!(strip_colors("^_^ ^x ^"), "^_^ ^x ^");
    assert_eq!(strip_colors("^^11"), "^1");
    assert_eq!(strip_colors("^ü^1ü"), "^üü");
}

#[test]
fn each_segment_has_the_colour_of_the_last_code_before_it() {
    assert_eq!(pieces("a^1b^2^3c"), [(None, "a"), (Some(1), "b"), (Some(3), "c")]);
    assert_eq!(pieces("^1Hiro^7shi"), [(Some(1), "Hiro"), (Some(7), "shi")]);
    assert_eq!(pieces(""), []);
}

#[test]
fn search_compares_names_without_colours_case_and_outer_white_space() {
    assert_eq!(comparison_key(" ^1HIRO^7shi "), comparison_key("hiroshi"));
    assert_eq!(comparison_key("ÄRGER"), "ärger");
}

proptest! {
    #[test]
    fn the_segments_of_a_name_joined_are_the_plain_name(raw in "(\\^[0-9]|\\^|[a-zü]){0,12}") {
        let joined: String = segments(&raw).map(|segment| segment.text).collect();
        prop_assert!(segments(&raw).all(|segment| !segment.text.is_empty()));
        prop_assert_eq!(joined, strip_colors(&raw));
    }
}
