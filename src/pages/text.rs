//! Text that others chose, made harmless: it can be no markup, changes nothing around it, and a name is no page.

use std::io::{self, Write};

use mohaa_domain::name::{can_be_seen, is_shown, segments, strip_colors};

/// The game shows 31 characters; a server may send any number.
const LONGEST_NAME: usize = 64;
const NAMELESS: &str = "–";

/// What templates write unless they say otherwise: escaped, without what is not to be shown.
pub(super) fn escape(text: &str, html: &mut dyn Write) -> io::Result<()> {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        let instead = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#x27;",
            shown if is_shown(shown) => continue,
            _ => "",
        };
        html.write_all(&text.as_bytes()[plain_from..at])?;
        html.write_all(instead.as_bytes())?;
        plain_from = at + character.len_utf8();
    }
    html.write_all(&text.as_bytes()[plain_from..])
}

/// A raw name as HTML: in the colours of its codes, and in an element of its own, so that letters that run from right
/// to left leave the text around it alone. A name of nothing that can be seen is a dash, a long one is cut.
pub(super) fn name_html(raw: &str) -> io::Result<String> {
    if !can_be_seen(raw) {
        return Ok(format!("<bdi>{NAMELESS}</bdi>"));
    }
    let mut html = b"<bdi>".to_vec();
    let mut left = LONGEST_NAME;
    for segment in segments(raw) {
        let (text, is_cut) = first_characters(segment.text, left);
        left -= text.chars().filter(|character| is_shown(*character)).count();
        if let Some(color) = segment.color {
            write!(html, "<span class=\"c{color}\">")?;
        }
        escape(text, &mut html)?;
        if segment.color.is_some() {
            html.extend_from_slice(b"</span>");
        }
        if is_cut {
            html.extend_from_slice("…".as_bytes());
            break;
        }
    }
    html.extend_from_slice(b"</bdi>");
    String::from_utf8(html).map_err(io::Error::other)
}

/// A name where only text can stand, a window's title: of what can be seen, and no longer than a name.
pub(super) fn plain_name(raw: &str) -> String {
    let plain = strip_colors(raw);
    if !can_be_seen(&plain) {
        return NAMELESS.to_owned();
    }
    let (text, is_cut) = first_characters(&plain, LONGEST_NAME);
    let shown = text.chars().filter(|character| is_shown(*character) && *character != '\n');
    shown.chain(is_cut.then_some('…')).collect()
}

/// The beginning that shows so many characters, and whether something is left out.
fn first_characters(text: &str, count: usize) -> (&str, bool) {
    let mut shown = text.char_indices().filter(|(_, character)| is_shown(*character));
    match shown.nth(count) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

/// A text as the value of a form's field, to come back as it is: what [`escape`] leaves out stands there by its number.
pub(super) fn exact_value(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => html.push_str(&format!("&#{};", u32::from(character))),
            shown if is_shown(shown) => html.push(shown),
            hidden => html.push_str(&format!("&#{};", u32::from(hidden))),
        }
    }
    html
}

/// An id as people tell it from others: letters that only look like another, spaces and what can't be seen at all are
/// written by their numbers, as `\u{200b}`. No two ids are written alike.
pub(super) fn spelled_id(id: &str) -> String {
    let mut spelled = String::with_capacity(id.len());
    for character in id.chars() {
        match character {
            '\\' => spelled.push_str("\\\\"),
            plain if plain.is_ascii_graphic() => spelled.push(plain),
            other => spelled.extend(other.escape_unicode()),
        }
    }
    spelled
}

/// A text in which what [`escape`] leaves out is written by its number.
pub(super) fn with_hidden_spelled(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for character in text.chars() {
        match is_shown(character) {
            true => spelled.push(character),
            false => spelled.extend(character.escape_unicode()),
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn escaped(text: &str) -> String {
        let mut html = Vec::new();
        escape(text, &mut html).unwrap();
        String::from_utf8(html).unwrap()
    }

    #[test]
    fn text_is_escaped_and_loses_what_changes_the_text_around_it() {
        assert_eq!(escaped("a<b>\"&'"), "a&lt;b&gt;&quot;&amp;&#x27;");
        assert_eq!(escaped("\u{202e}a\u{2066}b\u{200f}c\u{1b}[31m\0\u{2028}d\u{200b}\ne"), "abc[31md\ne");
        assert_eq!(escaped("Łódź 🇵🇱 שלום"), "Łódź 🇵🇱 שלום");
    }

    #[test]
    fn what_a_form_sends_back_is_what_was_written_into_it() {
        let text = "a\u{200b}\u{202e}<b> \"&' Łódź";
        assert_eq!(exact_value(text), "a&#8203;&#8238;&#60;b&#62; &#34;&#38;&#39; Łódź");
    }

    #[test]
    fn ids_that_look_alike_are_spelled_apart() {
        let alike = ["abc", "abc\u{200b}", "\u{430}bc", "a bc", "a  bc", "abc\\u{200b}", "abc\u{fe0f}"];
        let spelled: Vec<String> = alike.iter().map(|id| spelled_id(id)).collect();
        let expected = [
            "abc",
            "abc\\u{200b}",
            "\\u{430}bc",
            "a\\u{20}bc",
            "a\\u{20}\\u{20}bc",
            "abc\\\\u{200b}",
            "abc\\u{fe0f}",
        ];
        assert_eq!(spelled, expected);
    }

    #[test]
    fn a_name_is_escaped_coloured_and_isolated() {
        assert_eq!(
            name_html("^1Hiro^7<b>").unwrap(),
            "<bdi><span class=\"c1\">Hiro</span><span class=\"c7\">&lt;b&gt;</span></bdi>"
        );
        assert_eq!(name_html("plain \"&'").unwrap(), "<bdi>plain &quot;&amp;&#x27;</bdi>");
    }

    #[test]
    fn a_name_of_nothing_is_a_dash() {
        for nothing in ["", "  ", "^1^2", "^1\u{200b}^2\u{2060}", "\u{3164}\u{200d}", "\u{202e}\0\u{1b}"] {
            assert_eq!(name_html(nothing).unwrap(), "<bdi>–</bdi>", "{nothing:?}");
            assert_eq!(plain_name(nothing), "–", "{nothing:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_by_what_is_seen_of_it() {
        let fits = "ż".repeat(LONGEST_NAME);
        assert_eq!(name_html(&fits).unwrap(), format!("<bdi>{fits}</bdi>"));
        assert_eq!(name_html(&format!("\u{200b}{fits}\u{200b}")).unwrap(), format!("<bdi>{fits}</bdi>"));
        assert_eq!(name_html(&format!("{fits}x")).unwrap(), format!("<bdi>{fits}…</bdi>"));
        assert_eq!(plain_name(&format!("{fits}x")), format!("{fits}…"));
        let coloured = format!("^1{}^2{}", "a".repeat(60), "b".repeat(60));
        let expected = format!("<span class=\"c1\">{}</span><span class=\"c2\">bbbb</span>…", "a".repeat(60));
        assert_eq!(name_html(&coloured).unwrap(), format!("<bdi>{expected}</bdi>"));
    }
}
