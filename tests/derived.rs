//! What is worked out from counts – ratings, achievements, balances, lengths, accuracies, ranges – worked out again from the
//! `raw_events` of a simulated season, by other ways than the service's.

use std::collections::{BTreeMap, HashMap};

use mohaa_stats::simulate::DialectChoice;
use serde_json::Value;
use skillratings::Outcomes;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin, weng_lin_two_teams};

use crate::support::{Season, eventually};

const PEOPLE: &str = "NOT player_bot AND NOT target_bot";

/// Each player in each match: last side, kills, deaths, and milliseconds from first to last event.
const PLAYED: &str = "SELECT toString(match_id) AS match, id AS player, \
     argMaxIf(toString(team), (event_at, spool_seq, spool_index), team IN ('allies', 'axis', 'freeforall', 'spectator')) AS side, \
     countIf(actor AND kill_kind = 'kill') AS kills, countIf(NOT actor AND kill_kind != '') AS deaths, max(bot) AS is_bot, \
     if(countIf(level_time IS NOT NULL) > 0, max(round(level_time * 1000)) - min(round(level_time * 1000)), \
        toFloat64(dateDiff('millisecond', min(event_at), max(event_at)))) AS stay \
     FROM (SELECT *, player_id AS id, player_team AS team, player_bot AS bot, true AS actor FROM raw_events WHERE player_id != '' \
         UNION ALL SELECT *, target_id AS id, target_team AS team, target_bot AS bot, false AS actor FROM raw_events \
         WHERE target_id != '') \
     GROUP BY match_id, id ORDER BY match, player";
/// Each match that was ended by its match_end, in the order of their ends.
const ENDED: &str = "SELECT toString(match_id) AS match, argMax(toString(gametype), event_at) AS kind, \
     argMaxIf(toString(winning_team), event_at, type = 'match_end') AS winner, \
     argMaxIf(ifNull(allies_score, 0), event_at, type = 'match_end') AS allies, \
     argMaxIf(ifNull(axis_score, 0), event_at, type = 'match_end') AS axis \
     FROM raw_events GROUP BY match_id HAVING countIf(type = 'match_end') > 0 \
     ORDER BY maxIf(event_at, type = 'match_end'), match";

struct Played {
    player: String,
    side: String,
    kills: i64,
    deaths: i64,
    stay: f64,
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap().to_owned()
}

fn number(row: &Value, name: &str) -> i64 {
    row[name]
        .as_i64()
        .or_else(|| row[name].as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{name} of {row}"))
}

/// With what may have changed since the last match.
fn drifted(rating: WengLinRating) -> WengLinRating {
    let drift = 25.0 / 300.0;
    WengLinRating { uncertainty: rating.uncertainty.hypot(drift), ..rating }
}

/// Everybody against everybody, of which no more than four duels weigh.
fn free_for_all(players: &[(WengLinRating, i64, i64)]) -> Vec<WengLinRating> {
    let opponents = players.len() - 1;
    let weight = 4_f64.min(opponents as f64) / opponents as f64;
    let rated = players.iter().enumerate().map(|(index, (own, kills, deaths))| {
        let (mut gained, mut kept) = (0.0, 0.0);
        for (theirs, (other, their_kills, their_deaths)) in players.iter().enumerate() {
            if theirs == index {
                continue;
            }
            let outcome = match (kills - their_kills, their_deaths - deaths) {
                (0, 0) => Outcomes::DRAW,
                (0, fewer) if fewer > 0 => Outcomes::WIN,
                (more, _) if more > 0 => Outcomes::WIN,
                _ => Outcomes::LOSS,
            };
            let (after, _) = weng_lin(own, other, &outcome, &WengLinConfig::new());
            gained += after.rating - own.rating;
            kept += 1.0 - (after.uncertainty / own.uncertainty).powi(2);
        }
        WengLinRating {
            rating: own.rating + weight * gained,
            uncertainty: own.uncertainty * (1.0 - weight * kept).sqrt(),
        }
    });
    rated.collect()
}

/// The season's matches from the first to the last: everybody's rating after each of those that rated them.
async fn replay(season: &Season) -> BTreeMap<String, Vec<WengLinRating>> {
    let mut played: HashMap<String, Vec<Played>> = HashMap::new();
    let mut longest: HashMap<String, f64> = HashMap::new();
    for row in season.service.warehouse.rows(PLAYED).await {
        let (id, player, stay) = (text(&row, "match"), text(&row, "player"), row["stay"].as_f64().unwrap());
        let most = longest.entry(id.clone()).or_default();
        *most = most.max(stay);
        let is_bot = row["is_bot"] == true || row["is_bot"] == 1;
        if is_bot || player.starts_with("g_") {
            continue;
        }
        let one = Played {
            player,
            side: text(&row, "side"),
            kills: number(&row, "kills"),
            deaths: number(&row, "deaths"),
            stay,
        };
        played.entry(id).or_default().push(one);
    }
    let mut ratings: BTreeMap<String, Vec<WengLinRating>> = BTreeMap::new();
    for ended in season.service.warehouse.rows(ENDED).await {
        let id = text(&ended, "match");
        let enough = (longest[&id] / 4.0).min(60_000.0);
        let people: Vec<&Played> =
            played.get(&id).into_iter().flatten().filter(|one| one.stay >= enough).collect();
        let last_of = |player: &str| ratings.get(player).and_then(|all| all.last().copied());
        let before = |player: &str| drifted(last_of(player).unwrap_or_default());
        let after: Vec<(String, WengLinRating)> = if text(&ended, "kind") == "ffa" {
            let fought = |one: &&&Played| one.kills > 0 || one.deaths > 0 || one.side != "spectator";
            let all: Vec<&&Played> = people.iter().filter(fought).collect();
            if all.len() < 2 || all.iter().all(|one| one.kills == 0 && one.deaths == 0) {
                continue;
            }
            let entered: Vec<_> =
                all.iter().map(|one| (before(&one.player), one.kills, one.deaths)).collect();
            all.iter().map(|one| one.player.clone()).zip(free_for_all(&entered)).collect()
        } else {
            let (allies, axis) = (number(&ended, "allies"), number(&ended, "axis"));
            let of_allies = match text(&ended, "winner").as_str() {
                "allies" => Outcomes::WIN,
                "axis" => Outcomes::LOSS,
                "none" if allies == axis => Outcomes::DRAW,
                _ if allies == axis && allies != 0 => Outcomes::DRAW,
                _ => continue,
            };
            let side = |name: &str| -> Vec<String> {
                people.iter().filter(|one| one.side == name).map(|one| one.player.clone()).collect()
            };
            let (one, other) = (side("allies"), side("axis"));
            if one.is_empty() || other.is_empty() {
                continue;
            }
            let rated = |side: &[String]| side.iter().map(|player| before(player)).collect::<Vec<_>>();
            let (new, others) =
                weng_lin_two_teams(&rated(&one), &rated(&other), &of_allies, &WengLinConfig::new());
            one.into_iter().chain(other).zip(new.into_iter().chain(others)).collect()
        };
        for (player, rating) in after {
            ratings.entry(player).or_default().push(rating);
        }
    }
    ratings
}

#[actix_web::test]
async fn ratings_of_a_season_are_those_of_a_replay_of_its_matches() {
    let season = Season::play_as("derived_ratings", DialectChoice::G3, 5).await;
    let replayed = replay(&season).await;
    assert!(replayed.len() > 10 && replayed.values().any(|all| all.len() > 2), "{replayed:?}");
    let rated: usize = replayed.values().map(Vec::len).sum();
    eventually("all of it is rated", async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM match_ratings")
            .fetch_one(&season.service.application.postgres)
            .await
            .unwrap();
        (usize::try_from(rows) == Ok(rated)).then_some(())
    })
    .await;
    let near = |what: &str, told: &Value, expected: f64| {
        let told = told.as_f64().unwrap_or_else(|| panic!("{what} is {told}"));
        assert!((told - expected).abs() < 1e-4, "{what}: {told} instead of {expected}");
    };
    let low = |rating: &WengLinRating| rating.rating - 3.0 * rating.uncertainty;
    let high = |rating: &WengLinRating| rating.rating + 3.0 * rating.uncertainty;
    for (player, all) in &replayed {
        let told = season.get(&format!("/api/v1/stats/player/{player}")).await["rating"].clone();
        let rating = all.last().unwrap();
        assert_eq!(told["matches"], all.len(), "{player}: {told} instead of {rating:?}");
        near(&format!("value of {player}"), &told["value"], rating.rating);
        near(&format!("deviation of {player}"), &told["deviation"], rating.uncertainty);
        near(&format!("low of {player}"), &told["low"], low(rating));
        near(&format!("high of {player}"), &told["high"], high(rating));
        let better =
            replayed.values().filter(|other| low(other.last().unwrap()) > low(rating) + 1e-9).count();
        assert_eq!(told["rank"], better + 1, "rank of {player}");
        let history = season.get(&format!("/api/v1/stats/player/{player}/rating?limit=100")).await;
        assert_eq!((&history["total"], &history["page"]), (&all.len().into(), &1.into()), "{player}");
        let steps = history["matches"].as_array().unwrap();
        assert_eq!(steps.len(), all.len(), "{player}");
        // The latest comes first.
        for (step, ordinal) in steps.iter().zip((1..=all.len()).rev()) {
            assert_eq!(step["ordinal"], ordinal, "{player}");
            let before = ordinal.checked_sub(2).map_or(WengLinRating::new(), |place| all[place]);
            for (name, rating) in [("before", before), ("after", all[ordinal - 1])] {
                near(&format!("value {name} {ordinal} of {player}"), &step[name]["value"], rating.rating);
                near(&format!("deviation {name} {ordinal}"), &step[name]["deviation"], rating.uncertainty);
            }
        }
    }
    for board in ["?stat=rating&", "?", "/weekly?"] {
        let board = season.get(&format!("/api/v1/stats/leaderboard{board}limit=100")).await;
        let rows = board["players"].as_array().unwrap();
        let is_of_ratings = board["stat"] == "rating";
        assert!(!is_of_ratings || rows.len() == replayed.len());
        for row in rows {
            let Some(all) = replayed.get(row["player_id"].as_str().unwrap()) else {
                assert!(row["rating"].is_null(), "{row}");
                continue;
            };
            let rating = all.last().unwrap();
            near("rating on a board", &row["rating"], rating.rating);
            near("its low", &row["rating_low"], low(rating));
            near("its high", &row["rating_high"], high(rating));
            if is_of_ratings {
                near("what the board ranks by", &row["value"], low(rating));
            }
        }
    }
    season.service.stop().await;
}

/// Kills of a player that `is_such`.
fn kills(is_such: &str) -> String {
    format!(
        "SELECT player_id AS id, toFloat64(count()) AS value FROM raw_events \
         WHERE kill_kind = 'kill' AND player_id != '' AND {PEOPLE} AND {is_such} GROUP BY id"
    )
}

/// The most of such kills in one match.
fn kills_in_a_match(is_such: &str) -> String {
    format!(
        "SELECT id, max(kills) AS value FROM (SELECT player_id AS id, match_id, toFloat64(count()) AS kills FROM raw_events \
         WHERE kill_kind = 'kill' AND player_id != '' AND {PEOPLE} AND {is_such} GROUP BY id, match_id) GROUP BY id"
    )
}

#[actix_web::test]
async fn achievements_of_a_season_are_those_of_a_recount() {
    let mut season = Season::play_as("derived_achievements", DialectChoice::G3, 1).await;
    // One after the other, as evenings go: what other matches add up to is asked when they are stored.
    for seed in 7..=9 {
        season.play_on(DialectChoice::G3, 1, seed).await;
    }
    let damage = format!(
        "SELECT player_id AS id, floor(sum(ifNull(damage, 0))) AS value FROM raw_events \
         WHERE type = 'damage' AND is_hostile AND player_id != '' AND {PEOPLE} GROUP BY id"
    );
    let weapon = |slug: &str| kills(&format!("weapon = '{slug}'"));
    let totals = [
        ("kills", kills("1")),
        ("headshots", kills("is_headshot")),
        ("damage", damage),
        ("m1-garand", weapon("m1-garand")),
        ("kar98k", weapon("kar98k")),
        ("thompson", weapon("thompson")),
        ("mp40", weapon("mp40")),
        ("bar", weapon("bar")),
        ("stg-44", weapon("stg-44")),
    ];
    let in_a_match =
        [("match-kills", kills_in_a_match("1")), ("match-headshots", kills_in_a_match("is_headshot"))];
    let definitions = season.get("/api/v1/achievements").await["achievements"].clone();
    let people = format!(
        "SELECT '' AS id, toFloat64(uniqExact(who)) AS value FROM (SELECT if(side = 'player', player_id, target_id) AS who \
         FROM raw_events ARRAY JOIN ['player', 'target'] AS side WHERE {PEOPLE} AND kill_kind != '') \
         WHERE who != '' AND NOT startsWith(who, 'g_')"
    );
    let people = season.counted(&people).await[""];
    let tiers = |slug: &str| -> Vec<f64> {
        let found = definitions.as_array().unwrap().iter().find(|it| it["slug"] == slug).unwrap();
        found["tiers"].as_array().unwrap().iter().map(|tier| tier["threshold"].as_f64().unwrap()).collect()
    };
    let points = |slug: &str| -> Vec<i64> {
        let found = definitions.as_array().unwrap().iter().find(|it| it["slug"] == slug).unwrap();
        found["tiers"].as_array().unwrap().iter().map(|tier| tier["points"].as_i64().unwrap()).collect()
    };
    let mut unlocked = 0;
    for (is_total, (slug, sql)) in
        totals.iter().map(|it| (true, it)).chain(in_a_match.iter().map(|it| (false, it)))
    {
        let mut counted = season.counted(sql).await;
        counted.retain(|player, _| !player.starts_with("g_"));
        let thresholds = tiers(slug);
        let reached = |value: f64| thresholds.iter().filter(|threshold| value >= **threshold).count();
        eventually(&format!("{slug} is with those who have it"), async || {
            let list = season.get("/api/v1/achievements").await["achievements"].clone();
            let found = list.as_array().unwrap().iter().find(|it| it["slug"] == *slug).unwrap().clone();
            let told: Vec<u64> = found["tiers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tier| tier["unlocked_by"].as_u64().unwrap())
                .collect();
            let expected: Vec<u64> = (1..=thresholds.len())
                .map(|tier| counted.values().filter(|value| reached(**value) >= tier).count() as u64)
                .collect();
            let rarities = found["tiers"].as_array().unwrap().iter().zip(&told).all(|(tier, holders)| {
                let expected = (*holders as f64 / people * 100.0).min(100.0);
                (tier["rarity_percent"].as_f64().unwrap() - expected).abs() <= 0.0501
            });
            (told == expected && rarities).then_some(())
        })
        .await;
        for (player, value) in &counted {
            let own = season.get(&format!("/api/v1/stats/player/{player}/achievements")).await;
            let own = own["achievements"]
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["slug"] == *slug)
                .unwrap()
                .clone();
            assert_eq!(own["tier"], reached(*value), "{slug} of {player}, who has {value}: {own}");
            if is_total {
                assert_eq!(own["value"].as_f64(), Some(*value), "{slug} of {player}: {own}");
            }
            assert_eq!(own["tiers"], thresholds.len(), "{slug} of {player}");
            assert_eq!(
                own["next_threshold"].as_f64(),
                thresholds.get(reached(*value)).copied(),
                "{slug} of {player}, who has {value}"
            );
            let points: i64 = points(slug)[..reached(*value)].iter().sum();
            assert_eq!(own["points"], points, "{slug} of {player}");
            unlocked += reached(*value);
        }
    }
    assert!(unlocked > 3, "{unlocked} unlocked: too little to tell anything");
    for player in &season.players {
        let all = season.get(&format!("/api/v1/stats/player/{player}/achievements")).await;
        let each = all["achievements"].as_array().unwrap().iter().map(|it| it["points"].as_i64().unwrap());
        assert_eq!(all["points"], each.sum::<i64>(), "points of {player}");
    }
    for unlock in season.get("/api/v1/achievements").await["recent"].as_array().unwrap() {
        // Of hidden ones nothing is told but that they were unlocked.
        let Some(found) = definitions.as_array().unwrap().iter().find(|it| it["slug"] == unlock["slug"])
        else {
            continue;
        };
        let tiers = found["tiers"].as_array().unwrap();
        let of_it = tiers.iter().filter(|tier| tier["tier"].as_i64() <= unlock["tier"].as_i64());
        let points: i64 = of_it.map(|tier| tier["points"].as_i64().unwrap()).sum();
        assert_eq!((&unlock["points"], &unlock["tiers"]), (&points.into(), &tiers.len().into()), "{unlock}");
    }
    season.service.stop().await;
}

#[actix_web::test]
async fn balances_and_lengths_of_maps_and_accuracy_and_ranges_of_weapons_are_those_of_a_recount() {
    let season = Season::play_as("derived_figures", DialectChoice::Mixed, 4).await;
    season.again(9, "max", "event_at - INTERVAL 3 DAY AS event_at").await;
    season.told().await;
    let ends = "(SELECT match_id, any(map) AS map, any(kind) AS kind, any(winner) AS winner, any(seconds) AS seconds FROM (\
         SELECT match_id, argMaxIf(toString(map_name), event_at, map_name != '') AS map, \
         argMaxIf(toString(gametype), event_at, gametype != '') AS kind, \
         argMaxIf(toString(winning_team), event_at, type = 'match_end') AS winner, \
         argMaxIf(ifNull(duration, 0), event_at, type = 'match_end') AS seconds \
         FROM raw_events GROUP BY match_id HAVING countIf(type = 'match_end') > 0) GROUP BY match_id)";
    let won = |condition: &str| {
        format!(
            "SELECT map AS id, toFloat64(countIf(kind != 'ffa' AND {condition})) AS value FROM {ends} GROUP BY id"
        )
    };
    let maps = season.get("/api/v1/stats/maps?limit=100").await;
    let maps = maps["maps"].as_array().unwrap();
    let mut decided = 0.0;
    for (what, sql) in [
        ("allies", won("winner = 'allies'")),
        ("axis", won("winner = 'axis'")),
        ("draws", won("winner NOT IN ('allies', 'axis')")),
    ] {
        let counted = season.counted(&sql).await;
        for map in maps {
            let name = map["map_name"].as_str().unwrap();
            let expected = counted.get(name).copied().unwrap_or_default();
            assert_eq!(map["balance"][what].as_f64(), Some(expected), "{what} on {name}: {map}");
            decided += expected;
            let one = season.get(&format!("/api/v1/stats/maps/{name}")).await;
            assert_eq!(one["balance"], map["balance"], "{name}");
            assert_eq!(one["average_duration_seconds"], map["average_duration_seconds"], "{name}");
        }
    }
    assert!(decided > 3.0, "{decided}");
    // Only of maps whose every match told how long it was: of others it is the time between events, which `server` tests.
    let told_all = format!(
        "SELECT map AS id, round(avg(seconds)) AS value FROM {ends} GROUP BY id HAVING min(seconds) > 0 \
         AND id NOT IN (SELECT toString(map_name) FROM raw_events GROUP BY match_id, map_name \
         HAVING match_id NOT IN (SELECT match_id FROM {ends}))"
    );
    let lengths = season.counted(&told_all).await;
    assert!(!lengths.is_empty());
    for (name, seconds) in lengths {
        let map = maps.iter().find(|map| map["map_name"] == name.as_str()).unwrap();
        let told = map["average_duration_seconds"].as_f64().unwrap();
        assert!((told - seconds).abs() <= 1.0, "length of {name}: {told}, counted {seconds}");
    }

    // Of those whose every hit has a weapon.
    let accuracy = format!(
        "SELECT toString(weapon) AS id, countIf(type = 'weapon_hit') * 100 / countIf(type = 'weapon_fire') AS value FROM raw_events \
         WHERE weapon != '' AND player_id != '' AND {PEOPLE} AND player_id NOT IN (SELECT player_id FROM raw_events \
         WHERE type = 'weapon_hit' AND weapon = '' AND {PEOPLE}) GROUP BY id HAVING countIf(type = 'weapon_fire') > 0"
    );
    let accuracy = season.counted(&accuracy).await;
    assert!(!accuracy.is_empty());
    let distance = "sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + \
                    pow(toFloat64(player_z) - target_z, 2)) * 0.3048 / 16";
    let measured = format!(
        "FROM raw_events WHERE kill_kind = 'kill' AND player_id != '' AND {PEOPLE} AND weapon != '' AND player_x IS NOT NULL \
         AND player_y IS NOT NULL AND player_z IS NOT NULL AND target_x IS NOT NULL AND target_y IS NOT NULL AND target_z IS NOT NULL"
    );
    let average = season
        .counted(&format!("SELECT toString(weapon) AS id, avg({distance}) AS value {measured} GROUP BY id"))
        .await;
    let longest = season
        .counted(&format!("SELECT toString(weapon) AS id, max({distance}) AS value {measured} GROUP BY id"))
        .await;
    assert!(!average.is_empty());
    let weapons = season.get("/api/v1/stats/weapons?limit=100").await;
    for weapon in weapons["weapons"].as_array().unwrap() {
        let slug = weapon["slug"].as_str().unwrap();
        let near =
            |what: &str, counted: &BTreeMap<String, f64>| match (weapon[what].as_f64(), counted.get(slug)) {
                (Some(told), Some(counted)) => {
                    assert!(
                        (told - counted.min(100.0)).abs() <= 0.0511,
                        "{what} of {slug}: {told}, counted {counted}"
                    );
                }
                (told, counted) => assert_eq!(told, counted.copied(), "{what} of {slug}"),
            };
        near("accuracy", &accuracy);
        near("average_kill_metres", &average);
        near("longest_kill_metres", &longest);
        let one = season.get(&format!("/api/v1/stats/weapons/{slug}")).await;
        let steps = season
            .counted(&format!(
                "SELECT toString(intDiv(toUInt32(floor({distance})), 5) * 5) AS id, toFloat64(count()) AS value {measured} \
                 AND weapon = '{slug}' GROUP BY id"
            ))
            .await;
        let told: BTreeMap<String, f64> = one["ranges"]["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| (step["from_metres"].to_string(), step["kills"].as_f64().unwrap()))
            .filter(|(_, kills)| *kills > 0.0)
            .collect();
        assert_eq!(told, steps, "ranges of {slug}");
        for what in ["kills", "accuracy", "average_kill_metres", "longest_kill_metres", "users"] {
            assert_eq!(one[what], weapon[what], "{what} of {slug}");
        }
    }
    season.service.stop().await;
}
