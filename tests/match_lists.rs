//! Lists of matches read the latest days first and no more than they need. Whatever days a match has events on, and in whichever
//! order they came, they say what a recount of all events says.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::vocabulary::{EventType, GameType};
use uuid::Uuid;

use crate::support::statistics::{NOW, StatsUnderTest, between, event};

const MATCHES: u64 = 90;
const MAPS: [&str; 4] = ["", "dm/mohdm1", "dm/mohdm2", "obj/obj_team1"];
const GAME_TYPES: [GameType; 3] = [GameType::Unknown, GameType::TeamDeathmatch, GameType::FreeForAll];
const SERVERS: [Uuid; 3] = [Uuid::from_u128(0x5e1), Uuid::from_u128(0x5e2), Uuid::from_u128(0x5e3)];

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// What a recount says of a match.
#[derive(Clone, Debug, Default)]
struct Recounted {
    server_id: Uuid,
    map_name: String,
    game_type: String,
    started_ms: i64,
    ended_ms: i64,
    players: Vec<String>,
}

/// Events of ninety matches within two months: of one minute or of some days, with whole days of silence between, over midnight, and
/// with a map that is known at once, later or never.
fn made_up(dice: &mut Dice) -> Vec<(Event, Stamp)> {
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let mut events = Vec::new();
    for number in 0..MATCHES {
        let mut at = now - TimeDelta::minutes(20 + dice.below(60 * 24 * 60) as i64);
        let (server_id, map_name, game_type) =
            (dice.one_of(&SERVERS), dice.one_of(&MAPS), dice.one_of(&GAME_TYPES));
        for _ in 0..=dice.below(4) {
            // No two matches begin or end in the same moment.
            let moment = (at + TimeDelta::milliseconds(number as i64)).to_rfc3339();
            let (event, stamp) = between(
                event(EventType::Chat, &moment, u128::from(number) + 1),
                &dice.below(8).to_string(),
                "",
            );
            let is_known = dice.below(3) > 0;
            let stamp = Stamp {
                server_id,
                map_name: if is_known { map_name } else { "" }.into(),
                game_type: if is_known { game_type } else { GameType::Unknown },
                ..stamp
            };
            events.push((event, stamp));
            let minutes = match dice.below(4) {
                0 => dice.below(10 * 24 * 60),
                _ => dice.below(90),
            };
            at = (at + TimeDelta::minutes(minutes as i64)).min(now - TimeDelta::minutes(15));
        }
    }
    for place in (1..events.len()).rev() {
        events.swap(place, dice.below(place as u64 + 1) as usize);
    }
    events
}

fn recount(events: &[(Event, Stamp)]) -> BTreeMap<Uuid, Recounted> {
    let mut matches: BTreeMap<Uuid, Recounted> = BTreeMap::new();
    for (_, stamp) in events {
        let Millis(at) = stamp.event_at;
        let known = matches.entry(stamp.match_id).or_insert_with(|| Recounted {
            server_id: stamp.server_id,
            started_ms: at,
            ended_ms: at,
            ..Recounted::default()
        });
        known.started_ms = known.started_ms.min(at);
        known.ended_ms = known.ended_ms.max(at);
        known.map_name = known.map_name.clone().max(stamp.map_name.to_string());
        known.game_type = known.game_type.clone().max(stamp.game_type.as_str().to_owned());
        known.players.push(stamp.player_id.to_string());
    }
    matches
}

async fn stored(name: &str) -> (StatsUnderTest, BTreeMap<Uuid, Recounted>) {
    let this = StatsUnderTest::start(name).await;
    let events = made_up(&mut Dice(7));
    for part in events.chunks(40) {
        this.store(part).await;
    }
    (this, recount(&events))
}

fn day_of(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds).unwrap().date_naive().to_string()
}

#[actix_web::test]
async fn every_page_of_a_list_is_that_of_a_recount() {
    let (this, matches) = stored("match_lists").await;
    type Keeps = fn(&Recounted) -> bool;
    let filters: [(&str, Keeps); 9] = [
        ("", |_| true),
        ("&filter[map]=dm/mohdm1", |it| it.map_name == "dm/mohdm1"),
        ("&filter[gametype]=tdm", |it| it.game_type == "tdm"),
        ("&filter[server]=00000000-0000-0000-0000-0000000005e2", |it| it.server_id == SERVERS[1]),
        ("&filter[from]=2026-10-20&filter[to]=2026-11-10", |it| {
            let day = day_of(it.started_ms);
            ("2026-10-20".."2026-11-10").contains(&day.as_str())
        }),
        ("&filter[to]=2026-11-05&filter[map]=dm/mohdm2", |it| {
            *day_of(it.started_ms) < *"2026-11-05" && it.map_name == "dm/mohdm2"
        }),
        ("&filter[from]=2026-11-01&filter[gametype]=ffa", |it| {
            *day_of(it.started_ms) >= *"2026-11-01" && it.game_type == "ffa"
        }),
        ("&filter[player]=3", |it| it.players.iter().any(|player| player == "3")),
        ("&filter[map]=dm/nobody_played_this", |_| false),
    ];
    for (filter, keeps) in filters {
        let mut expected: Vec<(&Uuid, &Recounted)> = matches.iter().filter(|(_, it)| keeps(it)).collect();
        expected.sort_by_key(|(_, it)| std::cmp::Reverse(it.started_ms));
        let expected: Vec<String> = expected.iter().map(|(id, _)| id.to_string()).collect();
        for limit in [3, 20, 100] {
            for page in [1, 2, expected.len() / limit + 1, expected.len() / limit + 2] {
                let path = format!("/api/v1/stats/matches?page={page}&limit={limit}{filter}");
                let list = this.get(&path).await.json();
                let listed: Vec<&str> = list["matches"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row["match_id"].as_str().unwrap())
                    .collect();
                let of_page: Vec<&String> = expected.iter().skip((page - 1) * limit).take(limit).collect();
                assert_eq!(listed, of_page, "{path}");
                assert_eq!(list["total"], expected.len(), "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn what_a_list_says_of_a_match_is_what_the_match_says_itself() {
    let (this, matches) = stored("match_lists_rows").await;
    let list = this.get("/api/v1/stats/matches?limit=100").await.json();
    let listed = list["matches"].as_array().unwrap();
    assert_eq!(listed.len(), matches.len());
    for row in listed {
        let known = &matches[&row["match_id"].as_str().unwrap().parse::<Uuid>().unwrap()];
        assert_eq!(row["map_name"].as_str().unwrap_or_default(), known.map_name);
        assert_eq!(row["gametype"].as_str().unwrap_or_default(), known.game_type);
        let moment =
            |name: &str| row[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp_millis();
        assert_eq!((moment("started_at"), moment("updated_at")), (known.started_ms, known.ended_ms));
    }
}

#[actix_web::test]
async fn the_matches_that_ended_last_are_those_of_a_recount() {
    let (this, matches) = stored("match_lists_ended").await;
    let mut expected: Vec<(&Uuid, &Recounted)> = matches.iter().collect();
    expected.sort_by_key(|(_, it)| std::cmp::Reverse(it.ended_ms));
    let expected: Vec<String> = expected.iter().take(10).map(|(id, _)| id.to_string()).collect();
    let page = this.get("/").await.text;
    let recent = page.split_once("id=\"recent\"").unwrap().1;
    let mut listed: Vec<&str> = Vec::new();
    for (place, _) in recent.match_indices("/matches/00000000-") {
        let id = &recent[place + "/matches/".len()..][..36];
        if !listed.contains(&id) {
            listed.push(id);
        }
    }
    assert_eq!(listed, expected);
}
