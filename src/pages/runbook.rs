//! What to do about each alert, as `docs/operations.md` says it: part of the program, because it is needed when other things
//! can't be reached.

use std::fmt::Write as _;

use serde::Serialize;

const OPERATIONS: &str = include_str!("../../docs/operations.md");
/// An alert's section.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    /// As links name it.
    id: String,
    title: String,
    /// HTML of our own.
    text: String,
}

/// All of them, in the order of the document.
pub(super) fn entries() -> Vec<Entry> {
    let sections = OPERATIONS.split("\n#").filter_map(|section| section.strip_prefix("## Mohaa"));
    sections
        .filter_map(|section| {
            let (title, text) = section.split_once('\n')?;
            let title = format!("Mohaa{title}");
            Some(Entry { id: title.to_lowercase(), title, text: html(text) })
        })
        .collect()
}

/// Paragraphs with code and links: what sections of alerts are written in.
fn html(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        html.push_str("<p>");
        for (place, part) in paragraph.split('`').enumerate() {
            // Writing to a text can't fail.
            let _ = match place % 2 {
                0 => write!(html, "{}", linked(part)),
                _ => write!(html, "<code>{}</code>", escaped(part)),
            };
        }
        html.push_str("</p>");
    }
    html
}

/// Links to other sections of alerts lead there; of others the words stay.
fn linked(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").and_then(|(words, after)| {
            let (target, after) = after.split_once(')')?;
            Some((words, target, after))
        });
        let Some((words, target, after)) = link else { break };
        html.push_str(&escaped(before));
        let _ = match target.strip_prefix('#').filter(|id| is_of_an_alert(id)) {
            Some(id) => write!(html, "<a href=\"#{id}\">{}</a>", escaped(words)),
            None => write!(html, "{}", escaped(words)),
        };
        rest = after;
    }
    html.push_str(&escaped(rest));
    html
}

fn is_of_an_alert(id: &str) -> bool {
    id.starts_with("mohaa") && id.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_alert_of_the_document_has_its_section() {
        let entries = entries();
        assert_eq!(entries.len(), OPERATIONS.lines().filter(|line| line.starts_with("### Mohaa")).count());
        assert!(entries.iter().all(|entry| entry.text.starts_with("<p>") && entry.text.len() > 40));
        let away = entries.iter().find(|entry| entry.id == "mohaastoreaway").unwrap();
        assert!(away.text.contains("<code>/ready</code>"), "{}", away.text);
        // Links lead to sections that are there.
        for entry in &entries {
            for target in entry.text.split("href=\"#").skip(1) {
                let id = target.split('"').next().unwrap();
                assert!(entries.iter().any(|other| other.id == id), "{id}");
            }
        }
    }

    #[test]
    fn code_and_words_are_escaped_and_other_links_are_words() {
        assert_eq!(
            html("a < b, `x > y` and\n[there](#mohaadown) or [else](setup.md).\n\nNext"),
            "<p>a &lt; b, <code>x &gt; y</code> and\n<a href=\"#mohaadown\">there</a> or else.</p><p>Next</p>"
        );
    }
}
