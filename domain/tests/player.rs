//! Who a block of player fields means.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_domain::event::Player;
use mohaa_domain::player::{Identity, PlayerId, Slot, guest_id, identify, is_guest_id};
use proptest::prelude::*;
use uuid::Uuid;

fn block(guid: &str, name: &str, member_id: &str) -> Player {
    Player { guid: guid.into(), name: name.into(), member_id: member_id.into(), ..Player::default() }
}

const MATCH: Uuid = Uuid::from_u128(7);

#[test]
fn a_member_id_is_trusted_before_the_guid() {
    assert_eq!(identify(&block("unauth_3", "Hiro", "42")), Identity::Member("42"));
    assert_eq!(identify(&block("allies", "Hiro", "42")), Identity::Member("42"));
    assert_eq!(identify(&block("42", "Elgan", "")), Identity::Member("42"));
    assert_eq!(identify(&block("0042", "Elgan", "0")), Identity::Member("42"));
}

#[test]
fn an_engine_guid_is_kept_verbatim() {
    let guid = "A3F0c9d1e2b34455";
    assert_eq!(identify(&block(guid, "Hiro", "")), Identity::Engine(guid));
    assert_eq!(identify(&block("attacker_abc", "", "")), Identity::Engine("attacker_abc"));
}

#[test]
fn a_slot_number_makes_a_guest() {
    assert_eq!(
        identify(&block("unauth_34", "^1Hiro", "")),
        Identity::Guest { slot: Slot::Number("34"), raw_name: "^1Hiro" }
    );
}

#[test]
fn a_team_where_the_guid_belongs_identifies_nobody() {
    for guid in ["allies", "axis", "american", "german", "spectator", "freeforall"] {
        assert_eq!(
            identify(&block(guid, "Yuta", "")),
            Identity::Guest { slot: Slot::Unknown, raw_name: "Yuta" },
            "{guid}"
        );
    }
}

#[test]
fn world_or_nothing_is_the_environment() {
    for (guid, name) in
        [("world", "world"), ("world", ""), ("", ""), ("", "world"), ("0", ""), ("allies", "")]
    {
        assert_eq!(identify(&block(guid, name, "")), Identity::Environment, "{guid:?} {name:?}");
    }
    assert_eq!(identify(&block("", "Yuta", "")), Identity::Guest { slot: Slot::Unknown, raw_name: "Yuta" });
}

#[test]
fn a_bot_is_a_guest_of_its_number() {
    assert_eq!(
        identify(&block("bot_3", "Fritz", "")),
        Identity::Guest { slot: Slot::Bot("3"), raw_name: "Fritz" }
    );
}

#[test]
fn no_guid_can_pass_for_a_guests_id_of_another_match() {
    let foreign = guest_id(MATCH, Slot::Number("1"), "Hiro");
    assert!(matches!(identify(&block(&foreign, "Eve", "")), Identity::Guest { .. }));
}

#[test]
fn a_guid_that_no_path_could_hold_identifies_nobody() {
    for guid in ["a\u{7}b", &"x".repeat(129)] {
        assert!(matches!(identify(&block(guid, "Eve", "")), Identity::Guest { .. }));
    }
}

#[test]
fn a_guest_is_match_slot_and_plain_name() {
    let id = guest_id(MATCH, Slot::Number("34"), "^1Hiro^7shi");
    assert!(is_guest_id(&id), "{id}");
    assert_eq!(id, guest_id(MATCH, Slot::Number("34"), "Hiroshi"), "colours do not tell guests apart");
    let others = [
        guest_id(Uuid::from_u128(8), Slot::Number("34"), "Hiroshi"),
        guest_id(MATCH, Slot::Number("35"), "Hiroshi"),
        guest_id(MATCH, Slot::Number("34"), "Yuta"),
        guest_id(MATCH, Slot::Unknown, "Hiroshi"),
        guest_id(MATCH, Slot::Bot("34"), "Hiroshi"),
    ];
    for other in others {
        assert_ne!(id, other);
    }
}

#[test]
fn a_guests_id_never_changes_between_versions() {
    // Stored for good: a change here orphans what is stored.
    assert_eq!(guest_id(MATCH, Slot::Number("34"), "Hiroshi"), "g_rqflpwqzptje4obb");
}

#[test]
fn a_player_id_parses_what_a_path_may_hold() {
    assert_eq!("42".parse::<PlayerId>().unwrap().member_id(), Some(42));
    assert_eq!("007".parse::<PlayerId>().unwrap().as_str(), "7");
    let guest: PlayerId = guest_id(MATCH, Slot::Unknown, "x").parse().unwrap();
    assert!(guest.is_guest() && guest.member_id().is_none());
    assert!(!"g_short".parse::<PlayerId>().unwrap().is_guest());
    for text in ["", " x", "x ", "a\nb", "a\u{0}", &"x".repeat(129)] {
        assert!(text.parse::<PlayerId>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_identity_is_an_id_that_a_path_can_hold(guid in "\\PC{0,40}", name in "\\PC{0,40}") {
        let player = block(&guid, &name, "");
        let id = match identify(&player) {
            Identity::Environment => return Ok(()),
            Identity::Member(id) | Identity::Engine(id) => id.to_owned(),
            Identity::Guest { slot, raw_name } => guest_id(MATCH, slot, raw_name).to_string(),
        };
        let parsed: PlayerId = id.parse().unwrap();
        prop_assert_eq!(parsed.as_str(), id);
    }
}
