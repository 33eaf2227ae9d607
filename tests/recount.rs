//! A season that was simulated, and every number that is told of it counted again from `raw_events`: by plain SQL that
//! knows nothing of roll-ups.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Season;

/// As boards and profiles count: without what a bot took part in.
const PEOPLE: &str = "NOT player_bot AND NOT target_bot";
/// Order of events within a match.
const IN_ORDER: &str = "ifNull(level_time, 0), event_at, spool_seq, spool_index";

fn of_actors(what: &str, condition: &str) -> String {
    format!(
        "SELECT player_id AS id, toFloat64({what}) AS value FROM raw_events \
         WHERE player_id != '' AND {PEOPLE} AND {condition} GROUP BY id"
    )
}

fn of_targets(what: &str, condition: &str) -> String {
    format!(
        "SELECT target_id AS id, toFloat64({what}) AS value FROM raw_events \
         WHERE target_id != '' AND {PEOPLE} AND {condition} GROUP BY id"
    )
}

/// Every event once for each player in it: `id`, `team` and the event's own columns.
fn appearances() -> String {
    format!(
        "(SELECT *, player_id AS id, player_team AS team FROM raw_events WHERE player_id != '' AND {PEOPLE} \
         UNION ALL SELECT *, target_id AS id, target_team AS team FROM raw_events \
         WHERE target_id != '' AND target_id != player_id AND {PEOPLE})"
    )
}

/// Kills and deaths of each player: `id`, `is_kill` and the event's own columns.
fn fights() -> String {
    format!(
        "(SELECT *, player_id AS id, true AS is_kill FROM raw_events \
         WHERE kill_kind = 'kill' AND player_id != '' AND {PEOPLE} \
         UNION ALL SELECT *, target_id AS id, false AS is_kill FROM raw_events \
         WHERE kill_kind != '' AND target_id != '' AND {PEOPLE})"
    )
}

/// Fire and hit events where a server sent any for the player, else its summaries.
fn shots(events: &str, summaries: &str) -> String {
    format!(
        "SELECT id, sum(if(fired > 0, toFloat64({events}), toFloat64({summaries}))) AS value FROM (\
         SELECT player_id AS id, server_id, countIf(type = 'weapon_fire') AS fired, countIf(type = 'weapon_hit') AS hit, \
         sumIf(greatest(ifNull(shots_fired, 0), 0), type = 'accuracy_summary') AS summed_fired, \
         sumIf(greatest(ifNull(shots_hit, 0), 0), type = 'accuracy_summary') AS summed_hit FROM raw_events \
         WHERE player_id != '' AND {PEOPLE} GROUP BY id, server_id) GROUP BY id"
    )
}

fn streaks() -> String {
    format!(
        "SELECT id, toFloat64(max(run)) AS value FROM (SELECT id, match_id, life, countIf(is_kill) AS run FROM (\
         SELECT id, match_id, is_kill, countIf(NOT is_kill) OVER (PARTITION BY id, match_id ORDER BY {IN_ORDER}) AS life \
         FROM {}) GROUP BY id, match_id, life) GROUP BY id",
        fights()
    )
}

/// Rows of kills within four seconds of each other, of a length.
fn multi_kills(length: &str) -> String {
    format!(
        "SELECT id, toFloat64(countIf({length})) AS value FROM (SELECT id, match_id, row_of, countIf(is_kill) AS n FROM (\
         SELECT id, match_id, is_kill, countIf(begins) OVER (PARTITION BY id, match_id ORDER BY at, nth) AS row_of FROM (\
         SELECT id, match_id, is_kill, at, nth, NOT is_kill OR nth = 1 OR at - lagInFrame(at) OVER \
         (PARTITION BY id, match_id ORDER BY at, nth ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) > 4 AS begins FROM (\
         SELECT id, match_id, is_kill, ifNull(level_time, toFloat64(event_at)) AS at, row_number() OVER \
         (PARTITION BY id, match_id ORDER BY ifNull(level_time, toFloat64(event_at)), event_at, spool_seq, spool_index) AS nth \
         FROM {}))) GROUP BY id, match_id, row_of) GROUP BY id",
        fights()
    )
}

/// Of each match a player was in: the seconds, and the side they were last on.
fn played() -> String {
    format!(
        "(SELECT id, match_id, argMaxIf(toString(team), event_at, team IN ('allies', 'axis', 'freeforall')) AS side, \
         if(countIf(level_time IS NOT NULL) > 0, max(round(level_time * 1000)) - min(round(level_time * 1000)), \
         toFloat64(dateDiff('millisecond', min(event_at), max(event_at)))) / 1000 AS seconds \
         FROM {} GROUP BY id, match_id)",
        appearances()
    )
}

fn assert_same(what: &str, player: &str, told: &Value, counted: Option<&f64>) {
    let told = told.as_f64().unwrap_or_else(|| panic!("{what} of {player} is {told}"));
    let counted = counted.copied().unwrap_or_default();
    assert!((told - counted).abs() < 0.006, "{what} of {player}: told {told}, counted {counted}");
}

#[actix_web::test]
async fn every_number_of_a_season_is_that_of_a_recount() {
    let season = Season::play("recount").await;
    let won = format!(
        "SELECT id, toFloat64(count()) AS value FROM {} AS played INNER JOIN (SELECT match_id, \
         argMax(toString(winning_team), event_at) AS winner FROM raw_events WHERE type = 'match_end' AND winning_team != '' \
         GROUP BY match_id) AS decided USING (match_id) WHERE side = winner AND winner IN ('allies', 'axis') GROUP BY id",
        played()
    );
    let first_kills = format!(
        "SELECT id, toFloat64(count()) AS value FROM (SELECT match_id, argMin(player_id, ({IN_ORDER})) AS id FROM raw_events \
         WHERE kill_kind = 'kill' AND player_id != '' GROUP BY match_id) GROUP BY id"
    );
    let figures: Vec<(&str, String)> = vec![
        ("/total_kills", of_actors("count()", "kill_kind = 'kill'")),
        ("/total_deaths", of_targets("count()", "kill_kind != ''")),
        ("/total_headshots", of_actors("count()", "is_headshot")),
        ("/suicides", of_targets("count()", "kill_kind = 'suicide'")),
        ("/team_kills", of_actors("count()", "kill_kind = 'team_kill'")),
        ("/total_damage", of_actors("sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile")),
        ("/damage_taken", of_targets("sum(ifNull(damage, 0))", "type = 'damage'")),
        ("/jumps", of_actors("count()", "type = 'jump'")),
        ("/shots_fired", shots("fired", "summed_fired")),
        ("/shots_hit", shots("hit", "summed_hit")),
        ("/best_killstreak", streaks()),
        ("/multi_kills/double", multi_kills("n = 2")),
        ("/multi_kills/triple", multi_kills("n = 3")),
        ("/multi_kills/ultra", multi_kills("n = 4")),
        ("/multi_kills/monster", multi_kills("n >= 5")),
        ("/first_kills", first_kills),
        ("/matches_played", format!("SELECT id, toFloat64(count()) AS value FROM {} GROUP BY id", played())),
        ("/matches_won", won),
        (
            "/playtime_seconds",
            format!("SELECT id, round(sum(seconds)) AS value FROM {} GROUP BY id", played()),
        ),
        (
            "/distance_km",
            of_actors(
                "sum(ifNull(walked, 0) + ifNull(sprinted, 0) + ifNull(swam, 0) + ifNull(driven, 0)) * 0.3048 / 16 / 1000",
                "type = 'distance'",
            ),
        ),
    ];
    let mut counted = BTreeMap::new();
    for (what, sql) in &figures {
        counted.insert(*what, season.counted(sql).await);
    }
    for what in [
        "/total_kills",
        "/shots_fired",
        "/multi_kills/double",
        "/first_kills",
        "/matches_won",
        "/distance_km",
    ] {
        assert!(counted[what].values().sum::<f64>() > 0.0, "{what}: too little happened to tell anything");
    }
    let mut profiles = BTreeMap::new();
    for player in &season.players {
        let profile = season.get(&format!("/api/v1/stats/player/{player}")).await;
        for (what, by_player) in &counted {
            assert_same(what, player, profile.pointer(what).unwrap(), by_player.get(player));
        }
        let of = |what: &str| counted[what].get(player).copied().unwrap_or_default();
        let ratio = |what: &str, part: f64, whole: f64| {
            let expected = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
            assert!(
                (profile[what].as_f64().unwrap() - expected.min(100.0)).abs() <= 0.0501,
                "{what} of {player}"
            );
        };
        ratio("headshot_percent", of("/total_headshots"), of("/total_kills"));
        ratio("accuracy", of("/shots_hit"), of("/shots_fired"));
        ratio("win_rate", of("/matches_won"), of("/matches_played"));
        let kd_ratio = of("/total_kills") / of("/total_deaths").max(1.0);
        assert!((profile["kd_ratio"].as_f64().unwrap() - kd_ratio).abs() <= 0.00501, "kd_ratio of {player}");
        assert_parts_are_the_whole(&season, player, &profile).await;
        profiles.insert(player.clone(), profile);
    }
    assert_boards_are_the_profiles(&season, &profiles).await;
    season.service.stop().await;
}

/// Weapons, maps, weeks, hit locations and rivals of a player add up to the whole, and each is that of a recount.
async fn assert_parts_are_the_whole(season: &Season, player: &str, profile: &Value) {
    let path = format!("/api/v1/stats/player/{player}");
    let sum = |list: &Value, what: &str| -> u64 {
        list.as_array().unwrap().iter().map(|entry| entry[what].as_u64().unwrap()).sum()
    };
    let maps = season.get(&format!("{path}/maps")).await;
    let form = season.get(&format!("{path}/form?interval=day")).await;
    let matches = season.get(&format!("{path}/matches?limit=100")).await;
    for (list, name) in [(&maps["maps"], "maps"), (&form["form"], "form"), (&matches["matches"], "matches")] {
        assert_eq!(sum(list, "kills"), profile["total_kills"], "{name} of {player}");
        assert_eq!(sum(list, "deaths"), profile["total_deaths"], "{name} of {player}");
        assert_eq!(sum(list, "headshots"), profile["total_headshots"], "{name} of {player}");
    }
    for what in ["matches_played", "matches_won"] {
        assert_eq!(sum(&maps["maps"], what), profile[what], "{what} of {player}");
    }
    let counts: [(&str, &str, String); 3] = [
        (
            "weapons",
            "slug",
            format!(
                "SELECT toString(weapon) AS id, toFloat64(count()) AS value FROM raw_events \
            WHERE kill_kind = 'kill' AND player_id = '{player}' AND weapon != '' AND {PEOPLE} GROUP BY id"
            ),
        ),
        (
            "maps",
            "map_name",
            format!(
                "SELECT toString(map_name) AS id, toFloat64(count()) AS value FROM raw_events \
            WHERE kill_kind = 'kill' AND player_id = '{player}' AND map_name != '' AND {PEOPLE} GROUP BY id"
            ),
        ),
        (
            "rivals",
            "player_id",
            format!(
                "SELECT target_id AS id, toFloat64(count()) AS value FROM raw_events \
            WHERE kill_kind = 'kill' AND player_id = '{player}' AND target_id != '' AND {PEOPLE} GROUP BY id"
            ),
        ),
    ];
    for (list, key, sql) in counts {
        let counted = season.counted(&sql).await;
        let limit = if list == "rivals" { "?limit=100" } else { "" };
        let told = season.get(&format!("{path}/{list}{limit}")).await;
        let told: BTreeMap<String, f64> = told[list]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["kills"] != 0 && entry[key].is_string())
            .map(|entry| (entry[key].as_str().unwrap().to_owned(), entry["kills"].as_f64().unwrap()))
            .collect();
        assert_eq!(told, counted, "{list} of {player}");
    }
    let fell_to = season
        .counted(&format!(
            "SELECT player_id AS id, toFloat64(count()) AS value FROM raw_events WHERE kill_kind = 'kill' \
             AND target_id = '{player}' AND player_id != '' AND player_id != target_id AND {PEOPLE} GROUP BY id"
        ))
        .await;
    let most = fell_to.values().copied().fold(0.0, f64::max);
    assert_eq!(profile["nemesis"]["kills"].as_f64().unwrap_or_default(), most, "nemesis of {player}");
    let hitlocs = season
        .counted(&format!(
            "SELECT toString(hitloc) AS id, toFloat64(count()) AS value FROM raw_events WHERE kill_kind = 'kill' \
             AND player_id = '{player}' AND target_id != '' AND hitloc != '' AND {PEOPLE} GROUP BY id"
        ))
        .await;
    let told = profile["hitlocs"].as_object().unwrap();
    let told: BTreeMap<String, f64> =
        told.iter().map(|(place, kills)| (place.clone(), kills.as_f64().unwrap())).collect();
    assert_eq!(told, hitlocs, "hit locations of {player}");
}

/// The same player has the same value wherever they stand.
async fn assert_boards_are_the_profiles(season: &Season, profiles: &BTreeMap<String, Value>) {
    let statistics = [
        ("kills", "total_kills"),
        ("deaths", "total_deaths"),
        ("headshots", "total_headshots"),
        ("kd_ratio", "kd_ratio"),
        ("headshot_percent", "headshot_percent"),
        ("accuracy", "accuracy"),
        ("damage", "total_damage"),
        ("wins", "matches_won"),
        ("win_rate", "win_rate"),
        ("playtime", "playtime_seconds"),
        ("distance", "distance_km"),
        ("killstreak", "best_killstreak"),
    ];
    for (statistic, field) in statistics {
        let board = season.get(&format!("/api/v1/stats/leaderboard?stat={statistic}&limit=100")).await;
        let rows = board["players"].as_array().unwrap();
        assert_eq!(board["total"], rows.len());
        for row in rows {
            let profile = &profiles[row["player_id"].as_str().unwrap()];
            let same = |here: &str, there: &str| {
                let (here, there) = (row[here].as_f64().unwrap(), profile[there].as_f64().unwrap());
                assert!((here - there).abs() < 1e-6, "{statistic}: {row} against {profile}");
            };
            same("value", field);
            for (here, there) in &statistics[..7] {
                same(here, there);
            }
            for field in ["matches_played", "matches_won", "playtime_seconds"] {
                same(field, field);
            }
        }
    }
}

#[actix_web::test]
async fn every_match_of_a_season_is_that_of_a_recount() {
    let season = Season::play("recount_matches").await;
    let list = season.get("/api/v1/stats/matches?limit=100").await;
    let matches = list["matches"].as_array().unwrap();
    let stored = season.service.warehouse.count("SELECT uniqExact(match_id) FROM raw_events").await;
    assert_eq!((matches.len() as u64, &list["total"]), (stored, &stored.into()));
    for listed in matches {
        let id = listed["match_id"].as_str().unwrap();
        let here = format!("match_id = toUUID('{id}')");
        let detail = season.get(&format!("/api/v1/stats/match/{id}")).await;
        let of_actors = |what: &str, condition: &str| {
            format!(
                "SELECT player_id AS id, toFloat64({what}) AS value FROM raw_events \
                 WHERE player_id != '' AND {here} AND {condition} GROUP BY id"
            )
        };
        let of_targets = |what: &str, condition: &str| {
            format!(
                "SELECT target_id AS id, toFloat64({what}) AS value FROM raw_events \
                 WHERE target_id != '' AND {here} AND {condition} GROUP BY id"
            )
        };
        let figures = [
            ("kills", of_actors("count()", "kill_kind = 'kill'")),
            ("deaths", of_targets("count()", "kill_kind != ''")),
            ("headshots", of_actors("count()", "is_headshot")),
            ("suicides", of_targets("count()", "kill_kind = 'suicide'")),
            ("team_kills", of_actors("count()", "kill_kind = 'team_kill'")),
            ("damage", of_actors("sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile")),
        ];
        let scoreboard = detail["scoreboard"].as_array().unwrap();
        for (what, sql) in figures {
            let counted = season.counted(&sql).await;
            for line in scoreboard {
                let player = line["player_id"].as_str().unwrap();
                assert_same(&format!("{what} in {id}"), player, &line[what], counted.get(player));
            }
            let on_the_board = |id: &String| scoreboard.iter().any(|line| line["player_id"] == id.as_str());
            assert!(counted.keys().all(on_the_board), "{what} in {id}");
        }
        let kills: u64 = scoreboard.iter().map(|line| line["kills"].as_u64().unwrap()).sum();
        assert_eq!(listed["kills"].as_u64().unwrap(), kills, "{id}");

        let timeline =
            season.get(&format!("/api/v1/stats/match/{id}/timeline?limit=1000&filter[type]=kill")).await;
        let events = timeline["events"].as_array().unwrap();
        let scoring = events.iter().filter(|event| event["kind"] == "kill").count() as u64;
        assert_eq!(scoring, kills, "{id}");
        let times: Vec<f64> = events.iter().map(|event| event["t"].as_f64().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");

        let duels = season.get(&format!("/api/v1/stats/match/{id}/duels")).await;
        let told: BTreeMap<String, f64> = duels["duels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|duel| {
                let pair = format!(
                    "{} {}",
                    duel["player_id"].as_str().unwrap(),
                    duel["target_id"].as_str().unwrap()
                );
                (pair, duel["kills"].as_f64().unwrap())
            })
            .collect();
        let counted = season
            .counted(&format!(
                "SELECT concat(player_id, ' ', target_id) AS id, toFloat64(count()) AS value FROM raw_events \
                 WHERE {here} AND kill_kind = 'kill' AND player_id != '' AND target_id != '' GROUP BY id"
            ))
            .await;
        assert_eq!(told, counted, "duels of {id}");
        let pace = &duels["pace"];
        let in_pace: u64 = ["allies", "axis", "others"]
            .iter()
            .flat_map(|side| pace[side].as_array().unwrap())
            .map(|kills| kills.as_u64().unwrap())
            .sum();
        assert_eq!(in_pace, kills, "pace of {id}");
    }
    season.service.stop().await;
}

#[actix_web::test]
async fn every_map_weapon_server_and_heatmap_of_a_season_is_that_of_a_recount() {
    let season = Season::play("recount_places").await;
    let everybody = "uniqExact(if(side = 'player', player_id, target_id))";
    let in_pairs = format!(
        "FROM raw_events ARRAY JOIN ['player', 'target'] AS side \
         WHERE if(side = 'player', player_id, target_id) != '' AND {PEOPLE}"
    );
    let listed = async |path: &str, list: &str, key: &str, what: &str| -> BTreeMap<String, f64> {
        let answer = season.get(path).await;
        let entries = answer[list].as_array().unwrap();
        let entry = |entry: &Value| (entry[key].as_str().unwrap().to_owned(), entry[what].as_f64().unwrap());
        entries.iter().map(entry).collect()
    };

    let maps: [(&str, String); 3] = [
        (
            "plays",
            "SELECT toString(map_name) AS id, toFloat64(uniqExact(match_id)) AS value FROM raw_events \
            WHERE map_name != '' GROUP BY id"
                .to_owned(),
        ),
        (
            "kills",
            format!(
                "SELECT toString(map_name) AS id, toFloat64(countIf(kill_kind = 'kill' AND player_id != '' AND {PEOPLE})) \
            AS value FROM raw_events WHERE map_name != '' GROUP BY id"
            ),
        ),
        (
            "players",
            format!(
                "SELECT toString(map_name) AS id, toFloat64({everybody}) AS value {in_pairs} AND map_name != '' GROUP BY id"
            ),
        ),
    ];
    for (what, sql) in maps {
        let counted = season.counted(&sql).await;
        assert!(counted.len() > 1, "{what}: {counted:?}");
        assert_eq!(
            listed("/api/v1/stats/maps?limit=100", "maps", "map_name", what).await,
            counted,
            "{what} of maps"
        );
    }

    let of_weapons = |value: &str, condition: &str| {
        format!(
            "SELECT toString(weapon) AS id, toFloat64({value}) AS value FROM raw_events \
             WHERE weapon != '' AND {PEOPLE} AND {condition} GROUP BY id"
        )
    };
    let weapons: [(&str, String); 6] = [
        ("kills", of_weapons("count()", "kill_kind = 'kill' AND player_id != ''")),
        ("deaths", of_weapons("count()", "kill_kind != '' AND target_id != ''")),
        ("headshots", of_weapons("count()", "is_headshot AND player_id != ''")),
        ("shots_fired", of_weapons("count()", "type = 'weapon_fire' AND player_id != ''")),
        ("shots_hit", of_weapons("count()", "type = 'weapon_hit' AND player_id != ''")),
        (
            "damage",
            of_weapons("sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile AND player_id != ''"),
        ),
    ];
    for (what, sql) in weapons {
        let counted = season.counted(&sql).await;
        assert!(!counted.is_empty(), "{what}");
        for (weapon, told) in listed("/api/v1/stats/weapons?limit=100", "weapons", "slug", what).await {
            let expected = counted.get(&weapon).copied().unwrap_or_default();
            assert!((told - expected).abs() < 0.006, "{what} of {weapon}: told {told}, counted {expected}");
        }
    }

    let servers =
        season.service.warehouse.rows("SELECT DISTINCT toString(server_id) AS id FROM raw_events").await;
    assert_eq!(servers.len(), 2);
    for server in servers {
        let id = server["id"].as_str().unwrap();
        let here = format!("server_id = toUUID('{id}')");
        let told = season.get(&format!("/api/v1/stats/server/{id}")).await;
        let counts = [
            ("total_matches", format!("SELECT uniqExact(match_id) FROM raw_events WHERE {here}")),
            (
                "total_kills",
                format!(
                    "SELECT count() FROM raw_events WHERE {here} AND kill_kind = 'kill' AND player_id != '' AND {PEOPLE}"
                ),
            ),
        ];
        for (what, sql) in counts {
            assert_eq!(told[what], season.service.warehouse.count(&sql).await, "{what} of {id}");
        }
        let events: u64 =
            told["activity"].as_array().unwrap().iter().map(|hour| hour["events"].as_u64().unwrap()).sum();
        let stored =
            format!("SELECT count() FROM raw_events WHERE {here} AND event_at > now() - INTERVAL 23 HOUR");
        assert_eq!(events, season.service.warehouse.count(&stored).await, "activity of {id}");
    }

    let mut placed = 0;
    for (map, _) in listed("/api/v1/stats/maps?limit=100", "maps", "map_name", "plays").await {
        for (kind, x, y, condition) in [
            ("kills", "player_x", "player_y", "kill_kind = 'kill' AND player_id != ''"),
            ("victims", "target_x", "target_y", "kill_kind = 'kill' AND player_id != ''"),
            ("deaths", "target_x", "target_y", "kill_kind != '' AND target_id != ''"),
        ] {
            let told = season.get(&format!("/api/v1/stats/maps/{map}/heatmap?kind={kind}")).await;
            let told: BTreeMap<String, f64> = told["points"]
                .as_array()
                .unwrap()
                .iter()
                .map(|point| (format!("{},{}", point["x"], point["y"]), point["count"].as_f64().unwrap()))
                .collect();
            let counted = season
                .counted(&format!(
                    "SELECT concat(toString(toInt64(floor(assumeNotNull({x}) / 128) * 128)), ',', \
                     toString(toInt64(floor(assumeNotNull({y}) / 128) * 128))) AS id, toFloat64(count()) AS value FROM raw_events \
                     WHERE map_name = '{map}' AND {condition} AND {x} IS NOT NULL AND {y} IS NOT NULL AND {PEOPLE} GROUP BY id"
                ))
                .await;
            assert_eq!(told, counted, "{kind} on {map}");
            placed += counted.len();
        }
    }
    assert!(placed > 10, "{placed} cells");
    season.service.stop().await;
}
