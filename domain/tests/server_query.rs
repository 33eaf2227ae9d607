//! `getstatus`: what servers answer, and what somebody else does in their name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use mohaa_domain::server_query::{
    MAX_ANSWER_BYTES, MAX_PLAYERS, QueriedPlayer, QueryError, ServerStatus, question, read_answer,
};
use mohaa_domain::vocabulary::GameType;
use proptest::prelude::*;

const CHALLENGE: &str = "k7Wq2MxHt";

fn answer(variables: &str, players: &str) -> Vec<u8> {
    let mut datagram = b"\xff\xff\xff\xff\x01statusResponse\n".to_vec();
    datagram.extend_from_slice(format!("\\challenge\\{CHALLENGE}{variables}\n{players}").as_bytes());
    datagram
}

fn read(variables: &str, players: &str) -> ServerStatus {
    read_answer(&answer(variables, players), CHALLENGE).unwrap()
}

#[test]
fn the_question_is_the_engines() {
    assert_eq!(question(CHALLENGE), b"\xff\xff\xff\xff\x02getstatus k7Wq2MxHt\n");
    // Nothing that would begin another command or argument.
    assert_eq!(question("a b\n;\"c\\\u{e9}"), b"\xff\xff\xff\xff\x02getstatus abc\n");
    assert_eq!(question(&"x".repeat(500)).len(), 5 + "getstatus ".len() + 128 + 1);
}

#[test]
fn an_answer_says_map_game_type_name_slots_and_players() {
    let status = read(
        "\\sv_hostname\\^1My ^7server\\mapname\\DM/mohdm6\\g_gametype\\2\\sv_maxclients\\20\\fraglimit\\50",
        "57 \"Anna\"\n999 \"^1Bert\"\n0 \"a \\\"quoted\\\" one\"\n",
    );
    let player = |name: &str, ping| QueriedPlayer { name: name.into(), ping };
    assert_eq!(
        status,
        ServerStatus {
            map_name: "dm/mohdm6".into(),
            game_type: GameType::TeamDeathmatch,
            host_name: "^1My ^7server".into(),
            max_clients: Some(20),
            players: vec![player("Anna", 57), player("^1Bert", 999), player("a \\\"quoted\\\" one", 0)],
        }
    );
}

#[test]
fn answers_of_other_builds_are_read_too() {
    let mut without_direction = answer("\\mapname\\obj/obj_team2", "12 40 \"Anna\"\n");
    without_direction.remove(4);
    let status = read_answer(&without_direction, CHALLENGE).unwrap();
    assert_eq!(status.map_name, "obj/obj_team2");
    assert_eq!((status.players[0].name.as_str(), status.players[0].ping), ("Anna", 40));
    let mut with_nul = answer("\\mapname\\obj/obj_team2", "12 \"Anna\"\n");
    with_nul.extend_from_slice(b"\0\n7 \"Bert\"\n");
    assert_eq!(read_answer(&with_nul, CHALLENGE).unwrap().players.len(), 1);
}

#[test]
fn names_are_read_in_whatever_encoding_they_are() {
    let mut datagram = answer("", "");
    datagram.extend_from_slice(b"5 \"Andr\xe9\"\n6 \"Zo\xc3\xab\"\n");
    let names: Vec<String> =
        read_answer(&datagram, CHALLENGE).unwrap().players.iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["André", "Zoë"]);
}

#[test]
fn what_can_not_be_read_is_absent() {
    let status = read(
        "\\mapname\\../../etc\u{7}/passwd\\g_gametype\\seven\\sv_maxclients\\-1",
        "x \"A\"\n5 \"\"\n5 B\n\"\n7\n",
    );
    assert_eq!(status, ServerStatus { map_name: "".into(), ..ServerStatus::default() });
    assert_eq!(read("\\sv_maxclients\\65", "").max_clients, None);
    assert_eq!(read("\\mapname", "").map_name, "");
    assert_eq!(
        read("", "-5 \"A\"\n99999999 \"B\"\n").players.iter().map(|one| one.ping).collect::<Vec<_>>(),
        [0, u16::MAX]
    );
}

#[test]
fn of_equal_variables_the_first_counts() {
    assert_eq!(read("\\mapname\\dm/mohdm1\\MAPNAME\\dm/mohdm2", "").map_name, "dm/mohdm1");
}

#[test]
fn an_answer_without_the_challenge_is_none() {
    let datagram = answer("\\mapname\\dm/mohdm1", "");
    assert_eq!(read_answer(&datagram, "other"), Err(QueryError::WrongChallenge));
    // Who asks without a challenge would believe anybody.
    let unasked = b"\xff\xff\xff\xff\x01statusResponse\n\\challenge\\\\mapname\\dm/mohdm1\n";
    assert_eq!(read_answer(unasked, ""), Err(QueryError::WrongChallenge));
    assert_eq!(read_answer(unasked, CHALLENGE), Err(QueryError::WrongChallenge));
    let later = b"\xff\xff\xff\xff\x01statusResponse\n\\challenge\\x\\challenge\\k7Wq2MxHt\n";
    assert_eq!(read_answer(later, CHALLENGE), Err(QueryError::WrongChallenge));
}

#[test]
fn anything_else_is_no_answer() {
    for datagram in [
        b"".as_slice(),
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x01",
        b"\xff\xff\xff\xff\x01infoResponse\n\\challenge\\k7Wq2MxHt",
        b"\xff\xff\xff\xff\x01statusResponse \n\\challenge\\k7Wq2MxHt",
        b"statusResponse\n\\challenge\\k7Wq2MxHt",
        b"\xff\xff\xff\xff\x02getstatus k7Wq2MxHt\n",
    ] {
        assert_eq!(read_answer(datagram, CHALLENGE), Err(QueryError::NotAStatus), "{datagram:?}");
    }
    let long = answer("", &"5 \"x\"\n".repeat(MAX_ANSWER_BYTES));
    assert_eq!(read_answer(&long, CHALLENGE), Err(QueryError::TooLong));
}

#[test]
fn what_it_holds_is_bounded() {
    let players = format!("5 \"{}\"\n", "n".repeat(300)).repeat(150);
    let status = read(&format!("\\sv_hostname\\{}", "h".repeat(2000)), &players);
    assert_eq!(status.players.len(), MAX_PLAYERS);
    assert!(status.players.iter().all(|player| player.name.len() == 64));
    assert_eq!(status.host_name.len(), 64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_makes_it_panic_or_grow(tail in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut datagram = answer("", "");
        datagram.extend_from_slice(&tail);
        let _ = read_answer(&tail, CHALLENGE);
        if let Ok(status) = read_answer(&datagram, CHALLENGE) {
            prop_assert!(status.players.len() <= MAX_PLAYERS);
            for player in &status.players {
                prop_assert!(!player.name.is_empty() && player.name.chars().count() <= 64);
                prop_assert!(!player.name.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn variables_in_any_order_say_the_same(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
        let variables = ["\\mapname\\dm/mohdm1", "\\g_gametype\\1", "\\sv_maxclients\\12", "\\sv_hostname\\x"];
        let text: String = order.iter().map(|place| variables[*place]).collect();
        prop_assert_eq!(read(&text, ""), read(&variables.concat(), ""));
    }

    #[test]
    fn any_name_without_quote_and_line_end_comes_back(name in "[^\"\n\0\\p{C}]{1,64}") {
        prop_assume!(!name.trim().is_empty());
        let status = read("", &format!("5 \"{name}\"\n"));
        prop_assert_eq!(status.players[0].name.as_str(), name);
    }
}
