//! Matches: in their list, by themselves, moment by moment, and who killed whom.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::places::compare_cells;
use super::sql::Counts;
use super::{percent, season_of_two_days};
use crate::support::{Counted, Numbers, Season, Service, sooner_or_later};

/// Milliseconds on the level's clock of an event of `match_id`, when its first event that tells that clock came.
fn at_ms(zero_ms: i64) -> String {
    format!(
        "if(level_time IS NOT NULL, toInt64(round(assumeNotNull(level_time) * 1000)), greatest(0, toUnixTimestamp64Milli(event_at) - {zero_ms}))"
    )
}

/// The latest that an event of each match told.
fn latest(what: &str) -> String {
    format!(
        "SELECT toString(match_id) AS id, toFloat64(argMaxIf({what}, (event_at, spool_seq, spool_index), {what} IS NOT NULL)) AS value \
         FROM raw_events GROUP BY id"
    )
}

fn most(what: &str) -> String {
    format!(
        "SELECT toString(match_id) AS id, toFloat64(ifNull(max({what}), 0)) AS value FROM raw_events GROUP BY id"
    )
}

/// What its match_end told, else from the first event to the last.
const SECONDS: &str = "SELECT toString(match_id) AS id, toFloat64(if(max(duration) IS NOT NULL, floor(max(duration)), \
     dateDiff('second', min(event_at), ifNull(maxIf(toNullable(event_at), type = 'match_end'), max(event_at))))) AS value \
     FROM raw_events GROUP BY id";

#[actix_web::test]
async fn every_number_of_a_match_is_that_of_a_recount() {
    let season = season_of_two_days("recount_matches").await;
    let question = "/api/v1/stats/matches?limit=100";
    let list = season.get(question).await;
    let stored = season.service.warehouse.count("SELECT uniqExact(match_id) FROM raw_events").await;
    let mut numbers = Numbers::of(question, &list);
    numbers.is_one_page(100, stored as usize);
    compare_summaries(&season, "matches[]", &mut numbers).await;
    numbers.are_all_compared();
    for listed in list["matches"].as_array().unwrap() {
        let id = listed["match_id"].as_str().unwrap();
        detail(&season, id).await;
        story(&season, id).await;
        cells(&season, id).await;
    }
    season.service.stop().await;
}

/// Matches as lists show them.
pub async fn compare_summaries(season: &Season, list: &str, numbers: &mut Numbers) {
    let everybody = Counts::of_all_where("1");
    let took_part = format!(
        "SELECT toString(match_id) AS id, toFloat64(uniqExact(appeared.id)) AS value FROM {} AS appeared GROUP BY match_id",
        everybody.appearances()
    );
    for (field, sql) in [
        ("allies_score", latest("allies_score")),
        ("axis_score", latest("axis_score")),
        ("duration_seconds", SECONDS.to_owned()),
        ("kills", everybody.by("match_id", "count()", "kill_kind = 'kill' AND player_id != ''")),
        ("max_players", most("max_clients")),
        ("round_number", most("round_number")),
        ("player_count", took_part),
    ] {
        numbers.among(&format!("{list}/{field}"), &season.counted(&sql).await);
    }
}

async fn detail(season: &Season, id: &str) {
    let question = format!("/api/v1/stats/match/{id}");
    let answer = season.get(&question).await;
    let mut numbers = Numbers::of(&question, &answer);
    let here = Counts::of_all_where(&format!("match_id = toUUID('{id}')"));
    for (field, sql) in [
        ("kills", here.kills()),
        ("deaths", here.deaths()),
        ("headshots", here.headshots()),
        ("suicides", here.of_targets("count()", "kill_kind = 'suicide'")),
        ("team_kills", here.of_actors("count()", "kill_kind = 'team_kill'")),
        ("damage", here.damage()),
        ("best_killstreak", here.streaks()),
    ] {
        numbers.are(&format!("scoreboard[]/{field}"), &season.counted(&sql).await);
    }
    let fired = season.counted(&here.shots_fired()).await;
    let hit = season.counted(&here.shots_hit()).await;
    let of = |counted: &Counted, player: &String| counted.get(player).copied().unwrap_or_default();
    let accuracy: Counted =
        fired.keys().map(|player| (player.clone(), percent(of(&hit, player), of(&fired, player)))).collect();
    numbers.are("scoreboard[]/accuracy", &accuracy);
    for (field, sql) in [
        ("allies_score", latest("allies_score")),
        ("axis_score", latest("axis_score")),
        ("duration_seconds", SECONDS.to_owned()),
    ] {
        numbers.is(field, season.counted(&sql).await.get(id).copied().unwrap_or_default());
    }
    let rounds = |value: &str| {
        here.by(
            "assumeNotNull(round_number)",
            value,
            "type IN ('round_start', 'round_end') AND round_number IS NOT NULL",
        )
    };
    numbers.are("rounds[]/round_number", &season.counted(&rounds("any(assumeNotNull(round_number))")).await);
    let lasted = "intDiv(dateDiff('millisecond', minIf(event_at, type = 'round_start'), maxIf(event_at, type = 'round_end')), 1000)";
    let whole = format!(
        "{} HAVING countIf(type = 'round_start') > 0 AND countIf(type = 'round_end') > 0",
        rounds(lasted)
    );
    numbers.are("rounds[]/duration_seconds", &season.counted(&whole).await);
    let kills = here.by("weapon", "count()", "kill_kind = 'kill' AND weapon != ''");
    numbers.are_the_most("top_weapons[]/kills", &season.counted(&kills).await, 10);
    let headshots = here.by("weapon", "countIf(is_headshot)", "kill_kind = 'kill' AND weapon != ''");
    numbers.among("top_weapons[]/headshots", &season.counted(&headshots).await);
    numbers.are_all_compared();
}

/// The timeline, the duels, the rounds' scoreboards and the pace of a match.
async fn story(season: &Season, id: &str) {
    let zero = season
        .service
        .warehouse
        .rows(&format!(
            "SELECT if(countIf(level_time IS NOT NULL) > 0, argMinIf(toUnixTimestamp64Milli(event_at), level_time, \
             level_time IS NOT NULL) - toInt64(round(min(level_time) * 1000)), toUnixTimestamp64Milli(min(event_at))) AS zero \
             FROM raw_events WHERE match_id = toUUID('{id}')"
        ))
        .await;
    let zero = &zero[0]["zero"];
    let zero = zero.as_i64().or_else(|| zero.as_str()?.parse().ok()).unwrap();
    let at = at_ms(zero);
    let here = format!("match_id = toUUID('{id}')");
    let rows = |sql: String| async move { season.service.warehouse.rows(&sql).await };
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());

    let mut told = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = season.get(&format!("/api/v1/stats/match/{id}/timeline?limit=200{cursor}")).await;
        for event in page["events"].as_array().unwrap() {
            told.push((event["type"].clone(), number(&event["t"]), number(&event["round_number"])));
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&after={next}");
    }
    let moments = rows(format!(
        "SELECT toString(raw_events.type) AS type, {at} / 1000 AS t, round_number FROM raw_events WHERE {here} AND (kill_kind != '' \
         OR type IN ('kill', 'connect', 'disconnect', 'team_change', 'match_start', 'match_end', 'round_start', 'round_end', \
         'team_win', 'objective_update', 'objective_capture', 'vote_start', 'vote_passed', 'vote_failed', 'warmup_end', \
         'intermission_start') OR (type = 'chat' AND NOT ifNull(team_only, false))) ORDER BY t, spool_seq, spool_index"
    ))
    .await;
    let moments: Vec<(Value, Option<f64>, Option<f64>)> = moments
        .iter()
        .map(|row| (row["type"].clone(), number(&row["t"]), number(&row["round_number"])))
        .collect();
    assert_eq!(told, moments, "timeline of {id}");

    let question = format!("/api/v1/stats/match/{id}/duels");
    let answer = season.get(&question).await;
    let mut numbers = Numbers::of(&question, &answer);
    let duels = format!(
        "SELECT concat(player_id, ' ', target_id) AS id, toFloat64(count()) AS value FROM raw_events \
         WHERE {here} AND kill_kind = 'kill' AND player_id != '' AND target_id != '' GROUP BY id"
    );
    numbers.are("duels[]/kills", &season.counted(&duels).await);

    let starts = rows(format!(
        "SELECT min({at}) AS began, round_number AS round FROM raw_events WHERE {here} AND type = 'round_start' \
         AND round_number IS NOT NULL GROUP BY round ORDER BY began, round"
    ))
    .await;
    let starts: Vec<(f64, f64)> =
        starts.iter().map(|row| (number(&row["began"]).unwrap(), number(&row["round"]).unwrap())).collect();
    let named: Counted = starts.iter().map(|(_, round)| (round.to_string(), *round)).collect();
    numbers.are("rounds[]/round_number", &named);
    let kills = rows(format!(
        "SELECT {at} AS at, toString(kill_kind) AS kind, is_headshot, player_id, target_id, toString(player_team) AS team \
         FROM raw_events WHERE {here} AND kill_kind != ''"
    ))
    .await;
    let mut rounds: BTreeMap<&str, Counted> = BTreeMap::new();
    let mut pace: BTreeMap<&str, Counted> = BTreeMap::new();
    let last = kills.iter().filter_map(|kill| number(&kill["at"])).fold(0.0, f64::max);
    // Sixty steps at most, of no less than five seconds.
    let step = ((last / 1000.0).floor() / 60.0).floor() + 1.0;
    let step = step.max(5.0);
    numbers.is("pace/step_seconds", step);
    for kill in &kills {
        let at = number(&kill["at"]).unwrap();
        let scores = kill["kind"] == "kill" && kill["player_id"] != "";
        let headshot = kill["is_headshot"] == true || kill["is_headshot"] == 1;
        let round = starts.iter().rfind(|(began, _)| *began <= at);
        let mut add = |field: &'static str, player: &str, is_one: bool| {
            if let (Some((_, round)), true) = (round, is_one && !player.is_empty()) {
                *rounds.entry(field).or_default().entry(format!("{round} {player}")).or_default() += 1.0;
            }
        };
        add("kills", kill["player_id"].as_str().unwrap(), scores);
        add("headshots", kill["player_id"].as_str().unwrap(), scores && headshot);
        add("deaths", kill["target_id"].as_str().unwrap(), true);
        let side = match kill["team"].as_str().unwrap() {
            "allies" => "allies",
            "axis" => "axis",
            _ => "others",
        };
        if kill["kind"] == "kill" {
            *pace.entry(side).or_default().entry((at / 1000.0 / step).floor().to_string()).or_default() +=
                1.0;
        }
    }
    for field in ["kills", "deaths", "headshots"] {
        numbers.are(&format!("rounds[]/scoreboard[]/{field}"), rounds.entry(field).or_default());
    }
    for side in ["allies", "axis", "others"] {
        numbers.are(&format!("pace/{side}[]"), pace.entry(side).or_default());
    }
    numbers.are_all_compared();
}

async fn cells(season: &Season, id: &str) {
    for kind in ["kills", "victims", "deaths"] {
        let question = format!("/api/v1/stats/match/{id}/heatmap?kind={kind}");
        let here = format!("match_id = toUUID('{id}')");
        let map = format!("(SELECT any(map_name) FROM raw_events WHERE map_name != '' AND {here})");
        compare_cells(season, &question, kind, &here, &map).await;
    }
}

/// An evening of three rounds that goes on.
fn evening(gametype: &str) -> Vec<Value> {
    let event = |at: u32, kind: &str, more: Value| {
        let mut event = json!({"type": kind, "match_id": gametype, "timestamp": at});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let opened = json!({"map_name": "dm/mohdm1", "gametype": gametype, "maxclients": 16});
    let mut events = vec![event(1, "match_start", opened)];
    for number in 0..90_u32 {
        let (at, round) = (2 + number, number / 30 + 1);
        if number % 30 == 0 {
            events.push(event(at, "round_start", json!({"round_number": round})));
        }
        let (killer, victim) = (1001 + number * number % 7, 1001 + (number * 3 + 1) % 8);
        let teams = if gametype == "ffa" { ("freeforall", "freeforall") } else { ("allies", "axis") };
        let kill = json!({
            "weapon": "M1 Garand",
            "attacker_guid": killer.to_string(), "attacker_name": killer.to_string(), "attacker_team": teams.0,
            "victim_guid": victim.to_string(), "victim_name": victim.to_string(), "victim_team": teams.1,
        });
        events.push(event(at, "player_kill", kill));
        if number % 30 == 29 {
            let scores = json!({"round_number": round, "winning_team": "allies", "allies_score": round, "axis_score": number / 45});
            events.push(event(at, "round_end", scores));
        }
    }
    events.push(event(95, "disconnect", json!({"player_guid": "1003"})));
    events
}

#[actix_web::test]
async fn live_matches_count_what_a_recount_counts() {
    let service = Service::start("recount_live").await;
    let (_, second) = service.add_server("Stalingrad").await;
    for (gametype, client) in [("tdm", service.client.clone()), ("ffa", service.client.with_token(&second))] {
        let events = evening(gametype);
        client.send(json!(events).to_string()).await.assert_batch(202, events.len() as u64, &[]);
    }
    service.client.settled().await;
    let season = Season::of(service);
    let all = Counts::of_all_where("1");
    let present = format!(
        "SELECT toString(match_id) AS id, toFloat64(countIf(last != 'disconnect')) AS value FROM (SELECT match_id, \
         appeared.id AS who, argMax(toString(type), (event_at, spool_seq, spool_index)) AS last FROM {} AS appeared \
         GROUP BY match_id, who) GROUP BY match_id",
        all.appearances()
    );
    // Who leads is told where everybody fights for himself.
    let leader = "SELECT match AS id, max(kills) AS value FROM (SELECT toString(match_id) AS match, toFloat64(countIf(kill_kind = 'kill')) AS kills, \
         player_id FROM raw_events WHERE gametype = 'ffa' GROUP BY match, player_id) GROUP BY match";
    let figures = [
        ("allies_score", latest("allies_score")),
        ("axis_score", latest("axis_score")),
        ("round_number", most("round_number")),
        ("max_players", most("max_clients")),
        ("player_count", present),
        ("leader/kills", leader.to_owned()),
    ];
    let mut counted = Vec::new();
    for (field, sql) in figures {
        counted.push((field, season.counted(&sql).await));
    }
    assert!(counted.iter().all(|(_, by_match)| by_match.values().all(|value| *value > 0.0)), "{counted:?}");
    for question in ["/api/v1/stats/live", "/api/v1/stats/live/matches"] {
        let answer = sooner_or_later("both matches are listed with their last event", async || {
            let answer = season.get(question).await;
            let matches = answer["matches"].as_array().unwrap();
            let has_all = matches.len() == 2 && matches.iter().all(|it| it["player_count"] == 7);
            if has_all { Ok(answer) } else { Err(answer) }
        })
        .await;
        let mut numbers = Numbers::of(question, &answer);
        for (field, by_match) in &counted {
            numbers.are(&format!("matches[]/{field}"), by_match);
        }
        numbers.are_all_compared();
    }
    season.service.stop().await;
}
