//! Maps, weapons, servers and heatmaps, and what they all add up to.

use std::collections::BTreeMap;

use super::boards::compare_board;
use super::matches::compare_summaries;
use super::sql::{Counts, MEASURED, METRES, PEOPLE};
use super::{percent, season_of_two_days};
use crate::support::{Counted, Numbers, Season};

fn of(counted: &Counted, name: &str) -> f64 {
    counted.get(name).copied().unwrap_or_default()
}

/// `value` of one row without an `id`.
async fn count(season: &Season, sql: &str) -> f64 {
    season.service.warehouse.count(sql).await as f64
}

async fn names(season: &Season, column: &str) -> Vec<String> {
    let rows = season
        .service
        .warehouse
        .rows(&format!(
            "SELECT DISTINCT toString({column}) AS name FROM raw_events WHERE toString({column}) != '' ORDER BY name"
        ))
        .await;
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Plays by an expression over `map`, `server` and `began` of each match on a map with a name.
fn plays_by(what: &str, condition: &str) -> String {
    format!(
        "SELECT toString({what}) AS id, toFloat64(count()) AS value FROM (SELECT match_id, max(toString(map_name)) AS map, \
         any(server_id) AS server, min(event_at) AS began FROM raw_events GROUP BY match_id) WHERE map != '' AND {condition} GROUP BY id"
    )
}

/// Everybody but bots that a condition names, by an expression.
fn players_by(what: &str, people: &str) -> String {
    format!(
        "SELECT toString({what}) AS id, toFloat64(uniqExact(who)) AS value FROM (SELECT *, \
         if(side = 'player', player_id, target_id) AS who, if(side = 'player', player_bot, target_bot) AS is_bot \
         FROM raw_events ARRAY JOIN ['player', 'target'] AS side) WHERE who != '' AND {people} GROUP BY id"
    )
}

#[actix_web::test]
async fn every_number_of_a_map_is_that_of_a_recount() {
    let season = season_of_two_days("recount_maps").await;
    let people = Counts::of_people();
    let plays = season.counted(&plays_by("map", "1")).await;
    let kills = season
        .counted(&people.by(
            "map_name",
            "count()",
            "kill_kind = 'kill' AND player_id != '' AND map_name != ''",
        ))
        .await;
    let players =
        season.counted(&format!("SELECT * FROM ({}) WHERE id != ''", players_by("map_name", PEOPLE))).await;
    assert!(plays.len() > 1, "{plays:?}");
    let question = "/api/v1/stats/maps?limit=100";
    let list = season.get(question).await;
    let mut numbers = Numbers::of(question, &list);
    numbers.is_one_page(100, plays.len());
    numbers.are("maps[]/plays", &plays);
    numbers.are("maps[]/kills", &kills);
    numbers.are("maps[]/players", &players);
    let elsewhere = "balances_and_lengths_of_maps_and_accuracy_and_ranges_of_weapons_are_those_of_a_recount";
    numbers.leave("maps[]/balance/", elsewhere);
    numbers.leave("maps[]/average_duration_seconds", elsewhere);
    numbers.are_all_compared();

    for map in plays.keys() {
        let question = format!("/api/v1/stats/maps/{map}");
        let answer = season.get(&question).await;
        let mut numbers = Numbers::of(&question, &answer);
        let listed =
            list["maps"].as_array().unwrap().iter().find(|it| it["map_name"] == map.as_str()).unwrap();
        for (field, value) in listed.as_object().unwrap() {
            assert_eq!(&answer[field], value, "{field} of {map}");
        }
        for field in ["plays", "kills", "players", "average_duration_seconds", "balance/"] {
            // The same as in the list.
            match field.strip_suffix('/') {
                Some(_) => numbers.leave(field, elsewhere),
                None => drop(numbers.take(field)),
            }
        }
        let on_it = format!("map = '{map}'");
        let by_server = season.counted(&plays_by("server", &on_it)).await;
        numbers.are("servers[]/plays", &by_server);
        let is_by_day = answer["played"]["step"] == "day";
        let day = if is_by_day { "toDate(began)" } else { "toMonday(toDate(began))" };
        numbers.are("played/points[]/plays", &season.counted(&plays_by(day, &on_it)).await);
        let here = Counts::of_people_where(&format!("map_name = '{map}'"));
        let kills = here.by("weapon", "count()", "kill_kind = 'kill' AND player_id != '' AND weapon != ''");
        numbers.are_the_most("top_weapons[]/kills", &season.counted(&kills).await, 10);
        let headshots = here.by("weapon", "count()", "is_headshot AND player_id != ''");
        numbers.among("top_weapons[]/headshots", &season.counted(&headshots).await);
        compare_summaries(&season, "recent_matches[]", &mut numbers).await;
        compare_board(&season, "top_players[]", &mut numbers, &format!("map_name = '{map}'"), "kills").await;
        numbers.are_all_compared();

        for kind in ["kills", "victims", "deaths"] {
            let here = format!("map_name = '{map}' AND {PEOPLE}");
            let question = format!("/api/v1/stats/maps/{map}/heatmap?kind={kind}");
            compare_cells(&season, &question, kind, &here, &format!("'{map}'")).await;
        }
    }
    let mut placed = 0;
    for player in &season.players {
        for map in plays.keys() {
            for (kind, whose) in [("kills", "player_id"), ("victims", "player_id"), ("deaths", "target_id")] {
                let here = format!("map_name = '{map}' AND {whose} = '{player}' AND {PEOPLE}");
                let question = format!("/api/v1/stats/player/{player}/heatmap/{map}?kind={kind}");
                placed += compare_cells(&season, &question, kind, &here, &format!("'{map}'")).await;
            }
        }
    }
    assert!(placed > 10, "{placed} cells");

    let question = "/api/v1/search?q=dm";
    let mut numbers = Numbers::of(question, &season.get(question).await);
    assert!(!numbers.among("maps[]/plays", &plays).is_empty());
    numbers.are_all_compared();
    season.service.stop().await;
}

/// A heatmap of the events that meet a condition, on a map that SQL tells; how many cells it has.
pub async fn compare_cells(season: &Season, question: &str, kind: &str, condition: &str, map: &str) -> usize {
    let answer = season.get(question).await;
    let mut numbers = Numbers::of(question, &answer);
    let side = |kind: &str| match kind {
        "kills" => ("player_x", "player_y", "kill_kind = 'kill' AND player_id != ''"),
        "victims" => ("target_x", "target_y", "kill_kind = 'kill' AND player_id != ''"),
        _ => ("target_x", "target_y", "kill_kind != '' AND target_id != ''"),
    };
    let (x, y, is_such) = side(kind);
    let lower = |at: &str| format!("toInt64(floor(assumeNotNull({at}) / 128) * 128)");
    let cells = |value: &str| {
        format!(
            "SELECT concat(toString({}), ' ', toString({})) AS id, toFloat64({value}) AS value FROM raw_events \
             WHERE {condition} AND {is_such} AND {x} IS NOT NULL AND {y} IS NOT NULL GROUP BY id",
            lower(x),
            lower(y)
        )
    };
    let counted = season.counted(&cells("count()")).await;
    numbers.are("points[]/count", &counted);
    numbers.are("points[]/x", &season.counted(&cells(&format!("any({})", lower(x)))).await);
    numbers.are("points[]/y", &season.counted(&cells(&format!("any({})", lower(y)))).await);
    numbers.is("cell_size", 128);
    let edges = ["kills", "victims", "deaths"].map(|kind| {
        let (x, y, is_such) = side(kind);
        format!(
            "SELECT {} AS x, {} AS y FROM raw_events WHERE map_name = {map} AND {is_such} \
             AND {x} IS NOT NULL AND {y} IS NOT NULL",
            lower(x),
            lower(y)
        )
    });
    for (edge, value) in
        [("min_x", "min(x)"), ("min_y", "min(y)"), ("max_x", "max(x) + 128"), ("max_y", "max(y) + 128")]
    {
        let sql =
            format!("SELECT '' AS id, toFloat64({value}) AS value FROM ({})", edges.join(" UNION ALL "));
        numbers.is(&format!("bounds/{edge}"), season.counted(&sql).await[""]);
    }
    numbers.are_all_compared();
    counted.len()
}

#[actix_web::test]
async fn every_number_of_a_weapon_is_that_of_a_recount() {
    let season = season_of_two_days("recount_weapons").await;
    let people = Counts::of_people();
    let with =
        |value: &str, is_such: &str| people.by("weapon", value, &format!("weapon != '' AND {is_such}"));
    let fired = season.counted(&with("count()", "type = 'weapon_fire' AND player_id != ''")).await;
    let hit = season.counted(&with("count()", "type = 'weapon_hit' AND player_id != ''")).await;
    let kills = season.counted(&with("count()", "kill_kind = 'kill' AND player_id != ''")).await;
    let headshots = season.counted(&with("count()", "is_headshot AND player_id != ''")).await;
    let used = "(kill_kind = 'kill' OR type IN ('weapon_fire', 'weapon_hit') OR (type = 'damage' AND is_hostile AND damage > 0))";
    let mut figures = BTreeMap::from([
        ("kills", kills.clone()),
        ("headshots", headshots.clone()),
        ("shots_fired", fired),
        ("shots_hit", hit),
        ("deaths", season.counted(&with("count()", "kill_kind != '' AND target_id != ''")).await),
        (
            "users",
            season.counted(&with("uniqExact(player_id)", &format!("{used} AND player_id != ''"))).await,
        ),
        (
            "damage",
            season
                .counted(&with(
                    "sum(ifNull(damage, 0))",
                    "type = 'damage' AND is_hostile AND player_id != ''",
                ))
                .await,
        ),
        ("average_kill_metres", season.counted(&with(&format!("avg({METRES})"), MEASURED)).await),
        ("longest_kill_metres", season.counted(&with(&format!("max({METRES})"), MEASURED)).await),
    ]);
    // Of those whose every hit has a weapon.
    let told = "player_id NOT IN (SELECT player_id FROM raw_events WHERE type = 'weapon_hit' AND weapon = '' \
                AND NOT player_bot AND NOT target_bot)";
    let told_fired = season
        .counted(&with("count()", &format!("type = 'weapon_fire' AND player_id != '' AND {told}")))
        .await;
    let told_hit = season
        .counted(&with("count()", &format!("type = 'weapon_hit' AND player_id != '' AND {told}")))
        .await;
    let accuracy = told_fired
        .iter()
        .map(|(weapon, fired)| (weapon.clone(), percent(of(&told_hit, weapon), *fired)))
        .collect();
    figures.insert("accuracy", accuracy);
    let share = kills
        .iter()
        .map(|(weapon, kills)| (weapon.clone(), percent(of(&headshots, weapon), *kills)))
        .collect();
    figures.insert("headshot_percent", share);

    let question = "/api/v1/stats/weapons?limit=100";
    let list = season.get(question).await;
    let mut numbers = Numbers::of(question, &list);
    let weapons: Vec<String> = numbers.names("weapons[]/kills").into_iter().collect();
    assert!(weapons.len() > 5, "{weapons:?}");
    numbers.is_one_page(100, weapons.len());
    for (field, counted) in &figures {
        numbers.are(&format!("weapons[]/{field}"), counted);
    }
    numbers.are_all_compared();

    for weapon in &weapons {
        let question = format!("/api/v1/stats/weapons/{weapon}");
        let answer = season.get(&question).await;
        let mut numbers = Numbers::of(&question, &answer);
        for (field, counted) in &figures {
            match (answer[*field].is_null(), counted.get(weapon)) {
                (true, None) => numbers.is_unknown(field),
                (_, value) => numbers.is(field, value.copied().unwrap_or_default()),
            }
        }
        let its = Counts::of_people_where(&format!("weapon = '{weapon}'"));
        let kills =
            its.by("map_name", "count()", "kill_kind = 'kill' AND player_id != '' AND map_name != ''");
        numbers.are("maps[]/kills", &season.counted(&kills).await);
        let headshots = its.by("map_name", "count()", "is_headshot AND player_id != ''");
        numbers.among("maps[]/headshots", &season.counted(&headshots).await);
        let step = format!("intDiv(toUInt32(floor({METRES})), 5) * 5");
        let steps = season.counted(&its.by(&step, "count()", MEASURED)).await;
        let edges: Counted = numbers
            .names("ranges/steps[]/from_metres")
            .into_iter()
            .map(|it| (it.clone(), it.parse().unwrap()))
            .collect();
        let furthest = steps.keys().map(|it| it.parse::<usize>().unwrap()).max();
        let expected: Vec<usize> =
            furthest.map_or(Vec::new(), |furthest| (0..=furthest).step_by(5).collect());
        assert_eq!(edges.len(), expected.len(), "steps of {weapon}: {edges:?}");
        numbers.are("ranges/steps[]/from_metres", &edges);
        let ends = edges.iter().map(|(name, from)| (name.clone(), from + 5.0)).collect();
        numbers.among("ranges/steps[]/to_metres", &ends);
        numbers.are("ranges/steps[]/kills", &steps);
        numbers.is("ranges/kills", steps.values().sum::<f64>());
        compare_board(&season, "top_players[]", &mut numbers, &format!("weapon = '{weapon}'"), "kills").await;
        numbers.are_all_compared();
    }
    season.service.stop().await;
}

#[actix_web::test]
async fn every_number_of_a_server_and_of_everything_is_that_of_a_recount() {
    let season = season_of_two_days("recount_servers").await;
    let servers = names(&season, "server_id").await;
    assert_eq!(servers.len(), 2);
    for server in &servers {
        let here = format!("server_id = toUUID('{server}')");
        for (span, hours) in [("day", 24), ("week", 7 * 24), ("month", 31 * 24)] {
            let question = format!("/api/v1/stats/server/{server}?period={span}");
            let answer = season.get(&question).await;
            let mut numbers = Numbers::of(&question, &answer);
            let matches = format!("SELECT uniqExact(match_id) FROM raw_events WHERE {here}");
            numbers.is("total_matches", count(&season, &matches).await);
            let kills = format!(
                "SELECT count() FROM raw_events WHERE {here} AND kill_kind = 'kill' AND player_id != '' AND {PEOPLE}"
            );
            numbers.is("total_kills", count(&season, &kills).await);
            let seen = season.counted(&players_by("server_id", "NOT is_bot")).await;
            numbers.is("unique_players", of(&seen, server));
            let on_it = format!("server = toUUID('{server}')");
            numbers.are("maps[]/plays", &season.counted(&plays_by("map", &on_it)).await);
            // Hours as answers write them.
            let hour = "formatDateTime(toStartOfHour(event_at), '%Y-%m-%dT%H:%i:%SZ', 'UTC')";
            let since = format!(
                "toDateTime('{}')",
                answer["activity"][0]["hour"].as_str().unwrap().replace('T', " ").replace('Z', "")
            );
            assert_eq!(answer["activity"].as_array().unwrap().len(), hours, "{question}");
            let recent = format!("{here} AND event_at >= {since}");
            let events = Counts::of_all_where("1").by(hour, "count()", &recent);
            numbers.are("activity[]/events", &season.counted(&events).await);
            let players = players_by(hour, &format!("NOT is_bot AND {recent}"));
            numbers.are("activity[]/players", &season.counted(&players).await);
            // Who is on is what the tracker knows, and nobody is any more.
            numbers.leave("player_count", "who_is_on_a_server_is_told_while_they_play");
            compare_board(&season, "top_players[]", &mut numbers, &here, "kills").await;
            numbers.are_all_compared();
        }
    }

    let question = "/api/v1/stats/totals";
    let answer = season.get(question).await;
    let mut numbers = Numbers::of(question, &answer);
    for (beginning, days) in [("", "1"), ("today/", "toDate(event_at) = today()")] {
        let field = |name: &str| format!("{beginning}{name}");
        let whole = |what: &str, condition: &str| {
            format!("SELECT {what} FROM raw_events WHERE {days} AND {condition}")
        };
        numbers.is(&field("events"), count(&season, &whole("count()", "1")).await);
        numbers.is(&field("matches"), count(&season, &whole("uniqExact(match_id)", "1")).await);
        let kills = whole("count()", &format!("kill_kind = 'kill' AND player_id != '' AND {PEOPLE}"));
        numbers.is(&field("kills"), count(&season, &kills).await);
        let players = season.counted(&players_by("''", &format!("{PEOPLE} AND {days}"))).await;
        numbers.is(&field("players"), of(&players, ""));
    }
    numbers.is("servers", 2);
    numbers.are_all_compared();
    season.service.stop().await;
}
