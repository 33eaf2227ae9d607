//! Names and other texts that want to be markup, commands or the rest of the page.

use mohaa_stats::servers::{NewServer, add_server};
use serde_json::json;

use super::assert_unharmed;
use super::numbers::everything_about;
use crate::support::Service;

/// What no page may ever hold: it would be markup or a script.
const NEVER_ON_A_PAGE: [&str; 5] =
    ["<script>alert", "<img src=x", "' onmouseover=", "\" onmouseover=", "</title><svg"];

pub const NAMES: [&str; 24] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "\" onmouseover=\"alert(1)",
    "</title><svg onload=alert(1)>",
    "^1<^2script^3>alert(1)",
    "{{ 31337 * 31337 }}{% include \"base.html\" %}",
    "'; DROP TABLE raw_events; --",
    "\\' OR 1=1 --",
    "?} $1 {fn:String}",
    "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J",
    "\u{202e}desrever\u{2066}isolated",
    "\u{2067}\u{2068}\u{202a}\u{202b}\u{202d}never closed",
    "\u{200f}\u{61c}שלום مرحبا",
    "שם/מפה",
    "\u{200b}\u{200d}\u{feff}\u{2060}",
    "a\u{200b}d\u{200d}m\u{2060}in\u{e0041}\u{fe0f}",
    "nul\0in\0it",
    "line\r\nSet-Cookie: stolen=1\r\n\r\nX",
    "para\u{2028}graph\u{2029}s\u{85}\u{b}",
    "javascript:alert(1)",
    "../../../etc/passwd%00",
    "%s%n%x%2e%2e%2f",
    "\u{fffe}\u{ffff}\u{10ffff}",
];

fn events(text: &str) -> serde_json::Value {
    let of = |event_type: &str| {
        json!({
            "type": event_type, "match_id": text, "session_id": text, "map_name": text, "weapon": text,
            "attacker_name": text, "attacker_guid": text, "victim_name": format!("v{text}"), "victim_guid": "4711",
            "attacker_stance": text, "inflictor": text, "hitloc": text, "mod": text, "item": text, "gametype": text,
            "message": text, "to_map": text, "winner": text, text: text, "nested": { text: [text] },
        })
    };
    let mut all =
        vec![of("match_start"), of("weapon_fire"), of("weapon_hit"), of("kill"), of("chat"), of(text)];
    // A guest, who is known by the name alone.
    all.push(json!({"type": "kill", "match_id": text, "attacker_name": text, "victim_name": text}));
    if let Some(event) = all[2].as_object_mut() {
        event.remove("weapon");
    }
    json!(all)
}

#[actix_web::test]
async fn whatever_a_name_holds_it_is_shown_as_text_and_stays_in_its_place() {
    let service = Service::start("hostile_names").await;
    let long = "<W>".repeat(64 << 10);
    let mut accepted = 0;
    for (index, text) in NAMES.into_iter().chain([long.as_str()]).enumerate() {
        // The long one fills a body alone.
        let body = match index {
            24 => json!([
                {"type": "kill", "attacker_name": &long[..64 << 10], "victim_name": "4711", "match_id": "long"},
                {"type": "chat", "player_name": "long", "message": &long[..64 << 10], "match_id": "long"},
                {"type": "kill", "attacker_guid": &long[..64 << 10], "weapon": &long[..64 << 10], "map_name": &long[..64 << 10]},
            ]),
            _ => events(text),
        };
        let name = NewServer { name: format!("server {text:.40}"), ..NewServer::default() };
        let sender = match add_server(&service.application.postgres, &name).await {
            Ok(added) => service.client.with_token(added.token.expose()),
            // An operator can't give every name; its events come from the usual server.
            Err(_) => service.client.clone(),
        };
        let count = body.as_array().unwrap().len() as u64;
        let reply = sender.send(body.to_string()).await;
        assert_eq!(reply.status.as_u16(), 202, "{text:?}: {}", reply.text);
        accepted += reply.json()["processed"].as_u64().unwrap();
        assert!(reply.json()["processed"].as_u64().unwrap() >= count - 1, "only a type may be unreadable");
        if index != 24 {
            let form: String = ["kill", "chat"]
                .map(|event_type| {
                    format!("type={event_type}&attacker_name={text}&victim_name=v&message={text}&is_team=0")
                })
                .join("\n");
            let reply = sender.send(form).await;
            assert_eq!(reply.status.as_u16(), 202, "{text:?}: {}", reply.text);
            accepted += reply.json()["processed"].as_u64().unwrap();
        }
    }
    assert_unharmed(&service, accepted).await;
    service.warehouse.assert_rollups_agree().await;

    for path in everything_about(&service).await {
        let reply = service.client.get(&path).await;
        // A weapon or a map that no player of a board had is on no board.
        let has_no_board = path.contains("/leaderboard/") && reply.status.as_u16() == 404;
        assert!(reply.status.as_u16() == 200 || has_no_board, "{path}: {}", reply.text);
        assert_eq!(reply.header("set-cookie"), None, "{path}");
        match path.starts_with("/api/") {
            true => drop(reply.json()),
            false => assert_page_is_harmless(&path, &reply.text),
        }
    }
    assert_unharmed(&service, accepted).await;
    service.stop().await;
}

/// No markup but that of templates, nothing invisible that changes what is around it, text that runs from right to
/// left only where it is isolated, and no name that is as long as a page.
#[track_caller]
pub fn assert_page_is_harmless(path: &str, page: &str) {
    for markup in NEVER_ON_A_PAGE {
        assert!(!page.contains(markup), "{path} holds {markup}: {page}");
    }
    assert!(!page.contains("982007569"), "{path} evaluates a name: {page}");
    if let Some((at, found)) = page.char_indices().find(|(_, character)| is_harmful(*character)) {
        let around: String =
            page[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{path} holds {found:?} behind {around}");
    }
    assert!(page.len() < 500 << 10, "{path} has {} bytes", page.len());
    assert_right_to_left_text_is_isolated(path, page);
    let nameless = page.split("<bdi").skip(1).find(|rest| {
        let inner =
            rest.split_once('>').and_then(|(_, rest)| rest.split_once("</bdi>")).map_or("", |(text, _)| text);
        let shown: String =
            inner.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
        shown.trim().is_empty()
    });
    assert_eq!(nameless, None, "{path} shows a name of nothing");
}

fn is_harmful(character: char) -> bool {
    let turns_text_around = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_invisible =
        matches!(character, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    let ends_a_line = matches!(character, '\u{2028}' | '\u{2029}');
    turns_text_around || is_invisible || ends_a_line || (character.is_control() && character != '\n')
}

/// Isolated by `<bdi>`, or by being the whole text of a title, a choice or an attribute.
#[track_caller]
fn assert_right_to_left_text_is_isolated(path: &str, page: &str) {
    let is_right_to_left =
        |text: &str| text.chars().any(|character| matches!(character, '\u{590}'..='\u{6ff}'));
    let (mut isolations, mut whole) = (0_usize, false);
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name {
            "bdi" => isolations += 1,
            "/bdi" => isolations -= 1,
            _ => {}
        }
        whole = matches!(name, "title" | "option") || (whole && !name.starts_with('/'));
        assert!(isolations > 0 || whole || !is_right_to_left(text), "{path}: {text:?} behind <{tag}>");
    }
}
