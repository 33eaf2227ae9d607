//! Lines of unescaped form text.

use mohaa_domain::vocabulary::EventType;

use crate::{decode, only};

#[test]
fn form_text_is_split_only_where_a_known_name_follows() {
    let event =
        only("type=kill&attacker_name=A&B=C+D;100%&attacker_guid=unauth_1&inflictor=Bar & Grill&hitloc=0");
    assert_eq!(event.player.name, "A&B=C+D;100%");
    assert_eq!((event.player.guid.as_str(), event.inflictor.as_str()), ("unauth_1", "Bar & Grill"));
    let event = only("type=jump&player_name=a&&b&player_guid=x");
    assert_eq!((event.player.name.as_str(), event.player.guid.as_str()), ("a&&b", "x"));
}

#[test]
fn good_percent_escapes_are_resolved_and_bad_ones_and_plus_kept() {
    let event = only("type=chat&player_name=%41%26%C3%A9%E9%2&message=50%+%zz %2B%&server_id=1");
    assert_eq!(event.player.name, "A&éé%2");
    assert_eq!(event.message, "50%+%zz +%");
    assert_eq!(only("type=chat&message=%C3%A9 %E9").message, "é é");
}

#[test]
fn a_chat_line_runs_to_the_fields_behind_it() {
    let event = only(
        "type=chat&player_guid=42&message=x&player_guid=1&type=kill&a=b&is_team=1&server_token=t&server_id=s",
    );
    assert_eq!(event.message, "x&player_guid=1&type=kill&a=b");
    assert_eq!(
        (event.player.guid.as_str(), event.event_type, event.team_only),
        ("42", EventType::Chat, Some(true))
    );
    let decoded =
        decode("type=chat&message=server_token=evil & server_token=evil&x&server_token=good&server_id=s");
    assert_eq!(decoded.events[0].message, "server_token=evil & server_token=evil&x");
    assert_eq!(decoded.body_token.unwrap().as_str(), "good");
    let decoded = decode("type=chat&message=hi&server_token=evil&server_token=good&server_id=s");
    assert_eq!(decoded.body_token.unwrap().as_str(), "good");
    assert_eq!(only("type=chat&message=").message, "");
}

#[test]
fn a_name_cannot_change_token_or_identity() {
    let decoded = decode(
        "type=jump&player_name=x&server_token=evil&player_guid=1&player_guid=unauth_3&server_token=good&server_id=s",
    );
    assert_eq!(decoded.body_token.unwrap().as_str(), "good");
    assert_eq!(decoded.events[0].player.guid, "unauth_3");
    for forged in ["player_smf_id=7", "player_member_id=7"] {
        let event = only(format!("type=jump&player_name=x&{forged}&player_guid=unauth_3&server_id=s"));
        assert_eq!(event.player.member_id, "", "{forged}");
    }
    let event = only("type=jump&player_name=x&attacker_smf_id=7&player_guid=unauth_3");
    assert_eq!((event.player.guid.as_str(), event.player.member_id.as_str()), ("unauth_3", ""));
    let event = only("type=jump&player_name=x&player_guid=unauth_3&player_member_id=7");
    assert_eq!(event.player.member_id, "7");
}
