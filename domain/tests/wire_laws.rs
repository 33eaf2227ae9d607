//! Laws of the decoder: it never panics, accounts for every element once, takes linear time, and reads well-formed
//! bodies as an independent reader does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use mohaa_domain::claim;
use mohaa_domain::event::{Event, Player};
use mohaa_domain::vocabulary::{EventType, GameType, Team, hit_location, means_of_death};
use mohaa_domain::wire::{self, Decoded, Limits};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const LIMITS: Limits = Limits { max_events: usize::MAX };

const SAMPLES: [&[u8]; 6] = [
    include_bytes!("wire/g3/_batch.json"),
    include_bytes!("wire/g3/captured_player_kill.json"),
    include_bytes!("wire/g2/batch.txt"),
    include_bytes!("wire/g1/kill.form"),
    include_bytes!("wire/g1/chat.form"),
    include_bytes!("wire/tools/damage.json"),
];

fn decode(body: &[u8]) -> Decoded {
    wire::decode(body, LIMITS).unwrap()
}

/// Whatever the body: indices are distinct, in order and within the elements, and each `extra` is a JSON object.
fn assert_accounted(decoded: &Decoded) -> Result<(), TestCaseError> {
    let elements = decoded.events.len() + decoded.rejected.len();
    let indices: Vec<usize> = decoded.rejected.iter().map(|rejected| rejected.index).collect();
    prop_assert!(indices.is_sorted_by(|left, right| left < right));
    prop_assert!(indices.iter().all(|index| *index < elements));
    for event in &decoded.events {
        prop_assert!(!event.source_type.is_empty());
        if !event.extra.is_empty() {
            let extra: Map<String, Value> = serde_json::from_str(&event.extra)
                .map_err(|error| TestCaseError::fail(format!("{error}: {}", event.extra)))?;
            prop_assert!(!extra.is_empty());
            prop_assert!(["ip", "password", "server_token"].iter().all(|key| !extra.contains_key(*key)));
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Mutation {
    Overwrite(u8),
    Insert(Vec<u8>),
    Delete(usize),
    Repeat(usize),
    Truncate,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let telling = prop::sample::select(b"{}[]\",:\\&=%\n\0 -+.eNn\xe9\xc3".to_vec());
    prop_oneof![
        4 => telling.clone().prop_map(Mutation::Overwrite),
        2 => any::<u8>().prop_map(Mutation::Overwrite),
        3 => vec(telling, 1..6).prop_map(Mutation::Insert),
        3 => (1..80_usize).prop_map(Mutation::Delete),
        2 => (1..200_usize).prop_map(Mutation::Repeat),
        1 => Just(Mutation::Truncate),
    ]
}

fn mutate(body: &mut Vec<u8>, place: prop::sample::Index, mutation: Mutation) {
    if body.is_empty() {
        return;
    }
    let place = place.index(body.len());
    let end = |length: usize| (place + length).min(body.len());
    match mutation {
        Mutation::Overwrite(byte) => body[place] = byte,
        Mutation::Insert(bytes) => drop(body.splice(place..place, bytes)),
        Mutation::Delete(length) => drop(body.drain(place..end(length))),
        Mutation::Repeat(length) => {
            let piece = body[place..end(length)].to_vec();
            body.splice(place..place, piece);
        }
        Mutation::Truncate => body.truncate(place),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Few digits: serde_json does not round the last one correctly.
        any::<i32>().prop_map(|thousandths| json!(f64::from(thousandths) / 1000.0)),
        ".{0,12}".prop_map(Value::from),
        "[,{}\\[\\]\":\\\\\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let key = prop_oneof![4 => "[a-z_]{1,6}", 1 => Just("type".to_owned()), 1 => ".{0,4}"];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((key, inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(body in vec(any::<u8>(), 0..400)) {
        assert_accounted(&decode(&body))?;
    }

    #[test]
    fn any_text_of_telling_characters_is_read_without_panic(
        body in "(\\[|\\{|type=)[\\[\\]{},:\"\\\\ \n&=%a1.-]{0,120}"
    ) {
        assert_accounted(&decode(body.as_bytes()))?;
    }

    #[test]
    fn mutated_samples_are_read_without_panic(
        sample in prop::sample::select(SAMPLES.to_vec()),
        mutations in vec((any::<prop::sample::Index>(), mutation()), 1..8),
    ) {
        let mut body = sample.to_vec();
        for (place, mutation) in mutations {
            mutate(&mut body, place, mutation);
        }
        assert_accounted(&decode(&body))?;
    }

    #[test]
    fn every_element_of_an_array_is_accounted_once(elements in vec(any_json(), 0..8), pretty: bool) {
        let is_event = |element: &Value| element.get("type").and_then(Value::as_str).is_some_and(|name| !name.trim().is_empty());
        prop_assume!(elements.iter().all(|element| {
            // Control characters alone are white space or nothing, by rules of their own.
            element.get("type").and_then(Value::as_str).is_none_or(|name| !name.contains(|c: char| c.is_control() || c.is_whitespace()))
        }));
        let body = match pretty {
            true => serde_json::to_string_pretty(&elements).unwrap(),
            false => serde_json::to_string(&elements).unwrap(),
        };
        let decoded = decode(body.as_bytes());
        assert_accounted(&decoded)?;
        let rejected: Vec<usize> = decoded.rejected.iter().map(|rejected| rejected.index).collect();
        let expected: Vec<usize> = (0..elements.len()).filter(|&index| !is_event(&elements[index])).collect();
        prop_assert_eq!(decoded.events.len() + rejected.len(), elements.len());
        prop_assert_eq!(rejected, expected);
    }

    #[test]
    fn one_broken_object_costs_no_other(
        cut in any::<prop::sample::Index>(),
        before in 0..4_usize,
        after in 1..4_usize,
    ) {
        let kill = r#"{"type":"player_kill","timestamp":"37.900","attacker_name":"A\"B, C","victim_x":-215.872,"damage":5}"#;
        let cut = 1 + cut.index(kill.len() - 2);
        let broken = &kill[..cut];
        let mut elements = vec![kill; before];
        elements.push(broken);
        elements.extend(vec![kill; after]);
        let decoded = decode(format!("[{}]", elements.join(",")).as_bytes());
        // Cut behind a value the object lacks its bracket alone; what follows `,{` is then no member.
        prop_assert_eq!(decoded.events.len(), before + after);
        prop_assert_eq!(decoded.rejected.len(), 1);
        prop_assert_eq!(decoded.rejected[0].index, before);
    }

    #[test]
    fn benign_form_text_comes_back(
        name in "[A-Za-z0-9 ^&=+;'.!?|é]{1,20}",
        guid in "[a-z0-9_]{1,16}",
        message in "[A-Za-z0-9 &=+;'.!?|é]{1,60}",
        x in -10_000_000..10_000_000_i32,
        seconds in 0..100_000_000_u32,
    ) {
        let may_say_a_code = [claim::without_codes, claim::without_bare_codes].iter().any(|it| it(&message).is_some());
        prop_assume!(!may_say_a_code, "codes have rules of their own");
        let (x, seconds) = (f64::from(x) / 1000.0, f64::from(seconds) / 1000.0);
        let body = format!(
            "type=chat&timestamp={seconds:.3}&player_name={name}&player_guid={guid}&player_x={x:.3}&message={message}&server_token=t&server_id=s"
        );
        let decoded = decode(body.as_bytes());
        prop_assert_eq!(decoded.unreadable_fields, 0);
        let expected = Event {
            event_type: EventType::Chat,
            source_type: "chat".into(),
            level_time: Some(seconds),
            player: Player { name: name.into(), guid: guid.into(), x: Some(x as f32), ..Player::default() },
            message: message.into(),
            extra: r#"{"server_id":"s"}"#.into(),
            ..Event::default()
        };
        prop_assert_eq!(&decoded.events, &[expected]);
    }

    /// What came before decides which name is expected next, and never what is read.
    #[test]
    fn a_line_is_read_alike_alone_and_behind_others(
        lines in vec(
            vec((prop::sample::select(vec![
                "player", "player_x", "player_name", "player_guid", "player_smf_id", "player_xy", "team", "team_only",
                "map", "map_name", "mod", "message", "hits", "nobody_knows", "weapon", "type",
            ]), prop::sample::select(vec![
                "=1", "=a%41", "=a&b", "=a&map=2", "=", "=x=y", "=%", "=é", "=a&team", "=a&player_guid=2", "",
            ])), 1..6),
            1..8,
        ),
    ) {
        let lines: Vec<String> = lines
            .iter()
            .map(|fields| fields.iter().map(|(name, value)| format!("{name}{value}")).collect::<Vec<_>>().join("&"))
            .collect();
        let together = decode(lines.join("\n").as_bytes());
        let alone: Vec<_> = lines.iter().map(|line| decode(line.as_bytes())).collect();
        prop_assert_eq!(together.unreadable_fields, alone.iter().map(|one| one.unreadable_fields).sum::<u64>());
        prop_assert_eq!(together.rejected.len(), alone.iter().map(|one| one.rejected.len()).sum::<usize>());
        prop_assert_eq!(together.events, alone.into_iter().flat_map(|one| one.events).collect::<Vec<Event>>());
    }

    #[test]
    fn an_event_is_read_alike_alone_and_behind_others(
        events in vec(members_in_any_order(), 1..6),
    ) {
        let alone: Vec<Event> = events.iter().flat_map(|event| decode(event.as_bytes()).events).collect();
        prop_assert_eq!(alone.len(), events.len());
        prop_assert_eq!(decode(format!("[{}]", events.join(",")).as_bytes()).events, alone);
    }

    #[test]
    fn well_formed_json_is_read_as_an_independent_reader_reads_it(
        events in vec(g3_event(), 1..6),
        pretty: bool,
    ) {
        let body = match pretty {
            true => serde_json::to_string_pretty(&events).unwrap(),
            false => serde_json::to_string(&events).unwrap(),
        };
        let decoded = decode(body.as_bytes());
        prop_assert_eq!(decoded.unreadable_fields, 0);
        prop_assert_eq!(decoded.events.len(), events.len());
        for (event, source) in decoded.events.iter().zip(&events) {
            let (expected, expected_extra) = reference(source.as_object().unwrap());
            let extra: Value =
                if event.extra.is_empty() { json!({}) } else { serde_json::from_str(&event.extra).unwrap() };
            prop_assert_eq!(&extra, &Value::Object(expected_extra));
            prop_assert_eq!(&Event { extra: String::new(), ..event.clone() }, &expected);
        }
    }
}

/// The text of an event: its members in any order, the first of them once more, and perhaps a NUL.
fn members_in_any_order() -> impl Strategy<Value = String> {
    let members = |event: Value| {
        let members =
            event.as_object().unwrap().iter().map(|(name, value)| format!("{}:{value}", json!(name)));
        Just(members.collect::<Vec<String>>()).prop_shuffle()
    };
    (g3_event().prop_flat_map(members), any::<bool>()).prop_map(|(mut members, holds_nul)| {
        members.push(members[0].clone());
        if holds_nul {
            members.push("\"session_id\":\"s\0\"".to_owned());
        }
        format!("{{{}}}", members.join(","))
    })
}

/// A number as G3 scripts send it: native or formatted to three decimals.
fn number() -> impl Strategy<Value = Value> {
    thousandths(-100_000_000)
}

/// One that can't be less than nothing.
fn amount() -> impl Strategy<Value = Value> {
    thousandths(0)
}

fn thousandths(least: i32) -> impl Strategy<Value = Value> {
    ((least..100_000_000_i32), any::<bool>()).prop_map(|(thousandths, native)| {
        let number = f64::from(thousandths) / 1000.0;
        if native { json!(number) } else { json!(format!("{number:.3}")) }
    })
}

fn whole() -> impl Strategy<Value = Value> {
    whole_from(i32::MIN)
}

/// One that can't be less than nothing.
fn count() -> impl Strategy<Value = Value> {
    whole_from(0)
}

fn whole_from(least: i32) -> impl Strategy<Value = Value> {
    (least..=i32::MAX, any::<bool>())
        .prop_map(|(number, native)| if native { json!(number) } else { json!(number.to_string()) })
}

/// Text without NUL and outer white space, which have rules of their own.
fn text() -> impl Strategy<Value = Value> {
    "[^\\p{C}\\p{Z}]([^\\x00]{0,30}[^\\p{C}\\p{Z}])?"
        .prop_filter("placeholders have rules of their own", |text| {
            text != "NIL" && text != "NULL" && text.parse::<f64>().is_err()
        })
        .prop_map(Value::from)
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(words).prop_map(Value::from)
}

fn block(prefix: &'static str) -> impl Strategy<Value = Vec<(String, Value)>> {
    let parts = vec![
        text().prop_map(|value| ("name", value)).boxed(),
        text().prop_map(|value| ("guid", value)).boxed(),
        (1..i32::MAX).prop_map(|id| ("smf_id", json!(id.to_string()))).boxed(),
        word(&["american", "german", "allies", "axis", "spectator", "none"])
            .prop_map(|value| ("team", value))
            .boxed(),
        number().prop_map(|value| ("x", value)).boxed(),
        number().prop_map(|value| ("z", value)).boxed(),
        number().prop_map(|value| ("yaw", value)).boxed(),
        text().prop_map(|value| ("stance", value)).boxed(),
    ];
    prop::sample::subsequence(parts, 0..=8).prop_flat_map(|parts| parts).prop_map(move |parts| {
        parts.into_iter().map(|(part, value)| (format!("{prefix}_{part}"), value)).collect()
    })
}

fn g3_event() -> impl Strategy<Value = Value> {
    let fields = vec![
        text().prop_map(|value| ("match_id", value)).boxed(),
        text().prop_map(|value| ("session_id", value)).boxed(),
        (0..90_000_000_u32).prop_map(|millis| ("timestamp", json!(f64::from(millis) / 1000.0))).boxed(),
        text().prop_map(|value| ("map_name", value)).boxed(),
        word(&["2", "dm", "ffa", "objective"]).prop_map(|value| ("gametype", value)).boxed(),
        text().prop_map(|value| ("weapon", value)).boxed(),
        word(&["head", "0", "-1", "torso", "l_foot"]).prop_map(|value| ("hitloc", value)).boxed(),
        word(&["bullet", "18", "MOD_FALLING", "curse"]).prop_map(|value| ("mod", value)).boxed(),
        amount().prop_map(|value| ("damage", value)).boxed(),
        whole().prop_map(|value| ("client_num", value)).boxed(),
        count().prop_map(|value| ("round_number", value)).boxed(),
        whole().prop_map(|value| ("allies_score", value)).boxed(),
        ".{0,40}"
            .prop_filter("NUL has rules of its own", |text| !text.contains('\0'))
            .prop_map(|text| ("message", json!(text)))
            .boxed(),
        amount().prop_map(|value| ("walked", value)).boxed(),
        amount().prop_map(|value| ("swam", value)).boxed(),
        any_json()
            .prop_filter("secrets have rules of their own", |value| !holds_secret(value))
            .prop_map(|value| ("unheard_of", value))
            .boxed(),
    ];
    let kinds = word(&["player_kill", "damage", "weapon_hit", "player_pain", "unlisted"]);
    let fields = prop::sample::subsequence(fields, 0..=16).prop_flat_map(|fields| fields);
    (kinds, block("attacker"), block("victim"), fields).prop_map(|(kind, attacker, victim, fields)| {
        let mut event = Map::new();
        event.insert("type".into(), kind);
        event.extend(attacker);
        event.extend(victim);
        event.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Value::Object(event)
    })
}

fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| {
            let key = key.to_ascii_lowercase();
            // As far as names of six letters go.
            key.split(|c: char| !c.is_ascii_alphanumeric())
                .any(|word| matches!(word, "ip" | "ips" | "ipaddr" | "rcon" | "jwt"))
                || ["addr", "token", "tokens", "passwd", "secret", "apikey"]
                    .iter()
                    .any(|end| key.ends_with(end))
                || matches!(key.as_str(), "auth" | "peer" | "remote" | "cookie")
                || holds_secret(value)
        }),
        Value::Array(elements) => elements.iter().any(holds_secret),
        _ => false,
    }
}

/// The same rules, stated once more over a tree of values: normal forms, and what they lose.
fn reference(source: &Map<String, Value>) -> (Event, Map<String, Value>) {
    let mut extra = Map::new();
    let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| {
        source
            .get(key)
            .map(|value| value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap()))
    };
    let decimal = |key: &str| number(key).map(|number| number as f32);
    let whole = |key: &str| number(key).map(|number| number as i32);
    let mut normal = |key: &str, canonical: fn(&str) -> Option<&'static str>| {
        let sent = text(key);
        let normal = canonical(&sent).map(str::to_owned).unwrap_or_else(|| sent.clone());
        if normal != sent {
            extra.insert(key.to_owned(), json!(sent));
        }
        normal
    };
    let hitloc = normal("hitloc", hit_location);
    let means = normal("mod", means_of_death);
    let game_type = normal("gametype", |text| GameType::parse(text).map(GameType::as_str));
    let mut block = |prefix: &str| {
        let key = |part: &str| format!("{prefix}_{part}");
        let team = normal(&key("team"), |text| Team::parse(text).map(Team::as_str));
        Player {
            name: text(&key("name")).into(),
            guid: text(&key("guid")).into(),
            member_id: text(&key("smf_id")).into(),
            team: Team::from_word(&team).unwrap(),
            x: decimal(&key("x")),
            z: decimal(&key("z")),
            yaw: decimal(&key("yaw")),
            stance: text(&key("stance")).into(),
            ..Player::default()
        }
    };
    let (attacker, victim) = (block("attacker"), block("victim"));
    if let Some(value) = source.get("unheard_of") {
        extra.insert("unheard_of".into(), value.clone());
    }
    let source_type = text("type");
    let event_type = match source_type.as_str() {
        "player_kill" => EventType::Kill,
        "damage" | "player_pain" => EventType::Damage,
        "weapon_hit" => EventType::WeaponHit,
        _ => EventType::Other,
    };
    // Of a type that nobody knows an attacker is the actor all the same, and a victim alone is who it is about.
    let alone = event_type == EventType::Other && attacker == Player::default();
    let (player, target) = if alone { (victim, Player::default()) } else { (attacker, victim) };
    let event = Event {
        event_type,
        source_type: source_type.into(),
        source_match_id: text("match_id").into(),
        session_id: text("session_id").into(),
        level_time: number("timestamp"),
        map_name: text("map_name").into(),
        game_type: GameType::from_word(&game_type).unwrap(),
        player,
        target,
        client_num: whole("client_num"),
        weapon_name: text("weapon").into(),
        hitloc: hitloc.into(),
        means_of_death: means.into(),
        damage: decimal("damage"),
        message: text("message").into(),
        round_number: whole("round_number"),
        allies_score: whole("allies_score"),
        walked: decimal("walked"),
        swam: decimal("swam"),
        ..Event::default()
    };
    (event, extra)
}

#[test]
fn hostile_bodies_take_linear_time() {
    const LENGTH: usize = 1 << 20;
    let fill = |prefix: &str, piece: &str| {
        let mut body = prefix.to_owned();
        while body.len() < LENGTH {
            body.push_str(piece);
        }
        body
    };
    let distinct = |prefix: &str, separator: &str, assign: &str| {
        let fields: Vec<String> =
            (0..LENGTH / 12).map(|number| format!("{assign}k{number:x}{assign}")).collect();
        format!("{prefix}{}", fields.join(separator))
    };
    let mut bodies: Vec<String> = [
        "[",
        "{",
        "[{",
        "{\"a\":",
        "{\"a\":[",
        "[1,{\"a\":[",
        ",{\"",
        "{\"a\":\"",
        "\\\"",
        "\"",
        "{ ",
        "\n{ ",
        "{\"\n",
        ",{\"a\":\"\\\"",
        "}",
        "{}",
        ":",
        "{\"type\":\"a\",",
        "{\"type\":\"a\",\"b\":[{\"c\":1},",
        ",",
        " ",
        "\n",
        "{\"type\":\"a\",\"x\":{\"y\":1,",
    ]
    .iter()
    .flat_map(|piece| {
        [fill("[", piece), fill("{\"type\":\"a\",\"n\":[", piece), fill("{\"type\":\"a\",\"n\":\"", piece)]
    })
    .collect();
    for piece in [
        "&",
        "=",
        "&a=",
        "&type=a",
        "&message=",
        "&server_id=",
        "%",
        "%4",
        "%41",
        "%E9",
        "\n",
        "a",
        "&message=x&server_id=",
        "\0",
        "+",
    ] {
        bodies.push(fill("type=a&player_name=", piece));
        bodies.push(fill("type=a&message=", piece));
    }
    bodies.push(distinct("{\"type\":\"a\",", ":1,", "\""));
    bodies.push(fill("{\"type\":\"a\"", ",\"k\":1"));
    bodies.push(fill("{\"type\":\"a\"", ",\"damage\":\"x\""));
    for body in bodies {
        let start = Instant::now();
        let decoded = decode(body.as_bytes());
        // Generous on a busy machine, and minutes short of what quadratic time would be.
        assert!(start.elapsed() < Duration::from_secs(4), "{:?} took {:?}", &body[..40], start.elapsed());
        drop(decoded);
    }
}
