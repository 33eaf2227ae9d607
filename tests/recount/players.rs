//! Players: everything that is told of one.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;

use super::sql::{Counts, KILOMETRES, MEASURED, METRES, PEOPLE};
use super::{per_death, percent, season_of_two_days};
use crate::support::{Counted, Numbers, Season, eventually};

const PROFILE: &str = "/api/v1/stats/player";

/// `value` by player of each field of a profile that is a count.
async fn counts(season: &Season) -> BTreeMap<&'static str, Counted> {
    let all = Counts::of_people();
    let figures: Vec<(&str, String)> = vec![
        ("total_kills", all.kills()),
        ("total_deaths", all.deaths()),
        ("total_headshots", all.headshots()),
        ("suicides", all.of_targets("count()", "kill_kind = 'suicide'")),
        ("team_kills", all.of_actors("count()", "kill_kind = 'team_kill'")),
        ("total_damage", all.damage()),
        ("damage_taken", all.of_targets("sum(ifNull(damage, 0))", "type = 'damage'")),
        ("jumps", all.of_actors("count()", "type = 'jump'")),
        ("shots_fired", all.shots_fired()),
        ("shots_hit", all.shots_hit()),
        ("best_killstreak", all.streaks()),
        ("multi_kills/double", all.multi_kills("n = 2")),
        ("multi_kills/triple", all.multi_kills("n = 3")),
        ("multi_kills/ultra", all.multi_kills("n = 4")),
        ("multi_kills/monster", all.multi_kills("n >= 5")),
        ("first_kills", Counts::first_kills()),
        ("matches_played", all.matches_by("id")),
        ("matches_won", all.won_by("id")),
        ("playtime_seconds", all.seconds_by("id")),
        ("distance_km", all.of_actors(KILOMETRES, "type = 'distance'")),
    ];
    let mut counted = BTreeMap::new();
    for (what, sql) in figures {
        counted.insert(what, season.counted(&sql).await);
    }
    for what in
        ["total_kills", "shots_fired", "multi_kills/double", "first_kills", "matches_won", "distance_km"]
    {
        assert!(counted[what].values().sum::<f64>() > 0.0, "{what}: too little happened to tell anything");
    }
    counted
}

#[actix_web::test]
async fn every_number_of_a_player_is_that_of_a_recount() {
    let season = season_of_two_days("recount").await;
    let counted = counts(&season).await;
    for player in &season.players {
        let question = format!("{PROFILE}/{player}");
        let profile = season.get(&question).await;
        let mut numbers = Numbers::of(&question, &profile);
        for (field, by_player) in &counted {
            numbers.is(field, by_player.get(player).copied().unwrap_or_default());
        }
        let of = |what: &str| counted[what].get(player).copied().unwrap_or_default();
        numbers.is("headshot_percent", percent(of("total_headshots"), of("total_kills")));
        numbers.is("accuracy", percent(of("shots_hit"), of("shots_fired")));
        numbers.is("win_rate", percent(of("matches_won"), of("matches_played")));
        numbers.is("kd_ratio", per_death(of("total_kills"), of("total_deaths")));
        compare_whom_and_how(&season, player, &profile, &mut numbers).await;
        numbers.leave("rating/", "ratings_of_a_season_are_those_of_a_replay_of_its_matches");
        numbers.leave("achievements[]/", "achievements_of_a_season_are_those_of_a_recount");
        numbers.are_all_compared();

        weapons(&season, player).await;
        maps(&season, player).await;
        matches(&season, player).await;
        form(&season, player).await;
        rivals(&season, player).await;
        let name = percent_encode(profile["player_name"].as_str().unwrap().as_bytes(), NON_ALPHANUMERIC);
        let by_name = format!("{PROFILE}/name/{name}");
        // Of namesakes it is who was seen last.
        let id = season.get(&by_name).await["player_id"].as_str().unwrap().to_owned();
        assert_equal(&season, &by_name, &format!("{PROFILE}/{id}")).await;
        if player.bytes().all(|byte| byte.is_ascii_digit()) {
            assert_equal(&season, &format!("/api/v1/stats/member/{player}"), &question).await;
        }
    }
    side_by_side(&season).await;
    season.service.stop().await;
}

/// Two questions have one answer; achievements may come between them.
async fn assert_equal(season: &Season, one: &str, other: &str) {
    eventually(&format!("{one} is {other}"), async || {
        (season.get(one).await == season.get(other).await).then_some(())
    })
    .await;
}

/// Events of people in which the player did something, or that befell them.
fn by(player: &str) -> Counts {
    Counts::of_people_where(&format!("player_id = '{player}'"))
}

fn to(player: &str) -> Counts {
    Counts::of_people_where(&format!("target_id = '{player}'"))
}

const SCORES: &str = "kill_kind = 'kill' AND target_id != '' AND player_id != ''";

async fn compare_whom_and_how(season: &Season, player: &str, profile: &Value, numbers: &mut Numbers) {
    let hitlocs =
        season.counted(&by(player).by("hitloc", "count()", &format!("{SCORES} AND hitloc != ''"))).await;
    numbers.are("hitlocs[]", &hitlocs);
    let stood = by(player).by("player_stance", "count()", "kill_kind = 'kill' AND player_stance != ''");
    numbers.are("stances[]/kills", &season.counted(&stood).await);
    let stood = to(player).by("target_stance", "count()", "kill_kind != '' AND target_stance != ''");
    numbers.are("stances[]/deaths", &season.counted(&stood).await);
    let favourites = [
        (
            "nemesis",
            "player_id",
            to(player).by("player_id", "count()", &format!("{SCORES} AND player_id != target_id")),
        ),
        (
            "favourite_victim",
            "player_id",
            by(player).by("target_id", "count()", &format!("{SCORES} AND player_id != target_id")),
        ),
        (
            "favourite_weapon",
            "slug",
            by(player).by("weapon", "count()", "kill_kind = 'kill' AND weapon != ''"),
        ),
    ];
    for (what, name, sql) in favourites {
        let counted = season.counted(&sql).await;
        let field = format!("{what}/kills");
        // Of equal ones the first by name.
        let most = counted.iter().max_by(|one, other| one.1.total_cmp(other.1).then(other.0.cmp(one.0)));
        match most {
            Some((whom, kills)) => {
                let told = profile[what][name].as_str().unwrap();
                // Of equal weapons it is the one that was fired more.
                let is_it = if what == "favourite_weapon" { counted[told] == *kills } else { told == whom };
                assert!(is_it, "{what} of {player}: {told}, counted {counted:?}");
                numbers.is(&field, *kills);
            }
            None => numbers.is_unknown(&field),
        }
    }
    let weapon = profile["favourite_weapon"]["slug"].as_str().unwrap_or_default();
    let headshots = season.counted(&by(player).by("weapon", "count()", "is_headshot")).await;
    match weapon {
        "" => numbers.is_unknown("favourite_weapon/headshots"),
        weapon => {
            numbers.is("favourite_weapon/headshots", headshots.get(weapon).copied().unwrap_or_default());
        }
    }
}

/// Asks for a list of a player; `field` of it is `counted`.
async fn list(season: &Season, player: &str, rest: &str) -> (Value, Numbers) {
    let question = format!("{PROFILE}/{player}/{rest}");
    let answer = season.get(&question).await;
    let numbers = Numbers::of(&question, &answer);
    (answer, numbers)
}

async fn weapons(season: &Season, player: &str) {
    let (_, mut numbers) = list(season, player, "weapons").await;
    let with =
        |what: &str, is_such: &str| by(player).by("weapon", what, &format!("weapon != '' AND {is_such}"));
    let fired = season.counted(&with("count()", "type = 'weapon_fire'")).await;
    let hit = season.counted(&with("count()", "type = 'weapon_hit'")).await;
    let counts = [
        ("kills", with("count()", "kill_kind = 'kill'")),
        ("deaths", to(player).by("weapon", "count()", "weapon != '' AND kill_kind != ''")),
        ("headshots", with("count()", "is_headshot")),
        ("damage", with("sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile")),
        ("average_kill_metres", with(&format!("avg({METRES})"), MEASURED)),
        ("longest_kill_metres", with(&format!("max({METRES})"), MEASURED)),
    ];
    for (what, sql) in counts {
        numbers.are(&format!("weapons[]/{what}"), &season.counted(&sql).await);
    }
    let nameless =
        season.counted(&by(player).by("''", "count()", "type = 'weapon_hit' AND weapon = ''")).await;
    let accuracy: Counted = match nameless.is_empty() {
        true => fired
            .iter()
            .map(|(weapon, fired)| {
                (weapon.clone(), percent(hit.get(weapon).copied().unwrap_or_default(), *fired))
            })
            .collect(),
        // Some of these hits are its, and nobody knows how many.
        false => Counted::new(),
    };
    assert_eq!(
        numbers.names("weapons[]/accuracy"),
        accuracy.keys().cloned().collect(),
        "accuracy of {player} is known"
    );
    numbers.are("weapons[]/accuracy", &accuracy);
    numbers.are("weapons[]/shots_fired", &fired);
    numbers.are("weapons[]/shots_hit", &hit);
    numbers.are_all_compared();
}

async fn maps(season: &Season, player: &str) {
    let (_, mut numbers) = list(season, player, "maps").await;
    let own = Counts::of_people().of_player(player);
    let played = season.counted(&own.matches_by("map")).await;
    let won = season.counted(&own.won_by("map")).await;
    let kills = season.counted(&by(player).by("map_name", "count()", "kill_kind = 'kill'")).await;
    let deaths = season.counted(&to(player).by("map_name", "count()", "kill_kind != ''")).await;
    let headshots = season.counted(&by(player).by("map_name", "count()", "is_headshot")).await;
    let of = |counted: &Counted, map: &String| counted.get(map).copied().unwrap_or_default();
    let ratio = |part: &Counted, whole: &Counted| -> Counted {
        played.keys().map(|map| (map.clone(), percent(of(part, map), of(whole, map)))).collect()
    };
    numbers.are("maps[]/win_rate", &ratio(&won, &played));
    numbers.are("maps[]/headshot_percent", &ratio(&headshots, &kills));
    let per_death =
        played.keys().map(|map| (map.clone(), per_death(of(&kills, map), of(&deaths, map)))).collect();
    numbers.are("maps[]/kd_ratio", &per_death);
    let seconds = season.counted(&own.seconds_by("map")).await;
    for (field, counted) in [
        ("matches_played", &played),
        ("matches_won", &won),
        ("playtime_seconds", &seconds),
        ("kills", &kills),
        ("deaths", &deaths),
        ("headshots", &headshots),
    ] {
        numbers.are(&format!("maps[]/{field}"), counted);
    }
    numbers.are_all_compared();
}

async fn matches(season: &Season, player: &str) {
    let (answer, mut numbers) = list(season, player, "matches?limit=100").await;
    numbers.is_one_page(100, answer["matches"].as_array().unwrap().len());
    for (field, sql) in [
        ("kills", by(player).by("match_id", "count()", "kill_kind = 'kill'")),
        ("deaths", to(player).by("match_id", "count()", "kill_kind != ''")),
        ("headshots", by(player).by("match_id", "count()", "is_headshot")),
    ] {
        numbers.are(&format!("matches[]/{field}"), &season.counted(&sql).await);
    }
    numbers.are_all_compared();
}

async fn form(season: &Season, player: &str) {
    for (interval, first_day) in [
        ("day", "toDate(event_at)"),
        ("week", "toMonday(toDate(event_at))"),
        ("month", "toStartOfMonth(toDate(event_at))"),
    ] {
        let (_, mut numbers) = list(season, player, &format!("form?interval={interval}")).await;
        let kills = season.counted(&by(player).by(first_day, "count()", "kill_kind = 'kill'")).await;
        let deaths = season.counted(&to(player).by(first_day, "count()", "kill_kind != ''")).await;
        let headshots = season.counted(&by(player).by(first_day, "count()", "is_headshot")).await;
        let damage = by(player).by(first_day, "sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile");
        let fired = season.counted(&by(player).shots_fired_by(first_day)).await;
        let hit = season.counted(&by(player).shots_hit_by(first_day)).await;
        let of = |counted: &Counted, day: &String| counted.get(day).copied().unwrap_or_default();
        let days = numbers.names("form[]/kills");
        let told = |figure: &dyn Fn(&String) -> f64| -> Counted {
            days.iter().map(|day| (day.clone(), figure(day))).collect()
        };
        numbers.are("form[]/kd_ratio", &told(&|day| per_death(of(&kills, day), of(&deaths, day))));
        numbers.are("form[]/headshot_percent", &told(&|day| percent(of(&headshots, day), of(&kills, day))));
        numbers.are("form[]/accuracy", &told(&|day| percent(of(&hit, day), of(&fired, day))));
        numbers.are("form[]/kills", &kills);
        numbers.are("form[]/deaths", &deaths);
        numbers.are("form[]/headshots", &headshots);
        numbers.are("form[]/damage", &season.counted(&damage).await);
        numbers.are_all_compared();
    }
}

async fn rivals(season: &Season, player: &str) {
    let (answer, mut numbers) = list(season, player, "rivals?limit=100").await;
    numbers.is_one_page(100, answer["rivals"].as_array().unwrap().len());
    let others = format!("{SCORES} AND player_id != target_id");
    numbers.are("rivals[]/kills", &season.counted(&by(player).by("target_id", "count()", &others)).await);
    numbers.are("rivals[]/deaths", &season.counted(&to(player).by("player_id", "count()", &others)).await);
    numbers.are_all_compared();
}

/// Players side by side have the figures of their profiles.
async fn side_by_side(season: &Season) {
    let pair = &season.players[..3];
    let question = format!("/api/v1/stats/compare?players={}", pair.join(","));
    let answer = season.get(&question).await;
    let mut numbers = Numbers::of(&question, &answer);
    for (place, player) in pair.iter().enumerate() {
        eventually(&format!("{player} is the same by itself"), async || {
            let shown = season.get(&question).await["players"][place].take();
            (season.get(&format!("{PROFILE}/{player}")).await == shown).then_some(())
        })
        .await;
    }
    numbers.leave("players[]/", "every_number_of_a_player_is_that_of_a_recount");
    let among = pair.iter().map(|player| format!("'{player}'")).collect::<Vec<_>>().join(", ");
    let duels = format!(
        "SELECT concat(player_id, ' ', target_id) AS id, toFloat64(count()) AS value FROM raw_events \
         WHERE kill_kind = 'kill' AND {PEOPLE} AND player_id != target_id AND player_id IN ({among}) \
         AND target_id IN ({among}) GROUP BY id"
    );
    numbers.are("duels[]/kills", &season.counted(&duels).await);
    numbers.are_all_compared();
}
