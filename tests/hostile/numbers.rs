//! Numbers and times at and beyond every limit.

use super::{assert_unharmed, encoded};
use crate::support::Service;

const NUMBERS: [&str; 36] = [
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "3.4028235e38",
    "-3.4028235e38",
    "3.5e38",
    "5e-324",
    "1e300",
    "1e999",
    "-1e999",
    "1e-999",
    "0e999999999",
    "-0",
    "-0.0",
    "0",
    "-1",
    "nan",
    "NaN",
    "-nan(ind)",
    "inf",
    "-Infinity",
    "0x7fffffff",
    "00000000000000000000000000000001",
    "+5",
    ".5",
    "5.",
    "1_000",
    "١٢٣",
];

const TIMES: [&str; 18] = [
    "0000-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "1900-01-01T00:00:00-23:59",
    "1899-12-31T23:59:59Z",
    "2299-12-31T23:59:59.999Z",
    "2300-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "292278994-08-17T07:12:55.807Z",
    "+292278994-08-17T07:12:55.807Z",
    "2026-02-30T25:61:61Z",
    "2026-11-25T00:00:00.000000000000000000000000000001Z",
    "-62167219200",
    "9223372036854775",
    "8640000000000000",
    "99999999",
    "100000000",
    "99999999999.9999",
];

const FIELDS: [&str; 34] = [
    "timestamp",
    "damage",
    "duration",
    "walked",
    "sprinted",
    "swam",
    "driven",
    "distance",
    "total_distance",
    "delta_distance",
    "client_num",
    "round_number",
    "allies_score",
    "axis_score",
    "player_count",
    "maxclients",
    "players",
    "shots_fired",
    "shots_hit",
    "attacker_x",
    "attacker_y",
    "attacker_z",
    "attacker_pitch",
    "attacker_yaw",
    "victim_x",
    "attacker_smf_id",
    "victim_smf_id",
    "gametype",
    "hitloc",
    "mod",
    "weapon",
    "teamnum",
    "ammo_remaining",
    "amount",
];

const TYPES: [&str; 10] = [
    "match_start",
    "heartbeat",
    "kill",
    "damage",
    "weapon_fire",
    "weapon_hit",
    "distance",
    "accuracy_summary",
    "round_end",
    "match_end",
];

#[derive(Clone, Copy)]
enum Spelling {
    Bare,
    Quoted,
    Form,
}

fn event(event_type: &str, spelling: Spelling, number: &str, timestamp: &str) -> String {
    let fields = FIELDS.iter().map(|field| (*field, if *field == "timestamp" { timestamp } else { number }));
    let named = [("type", event_type), ("attacker_name", "Extreme"), ("victim_name", "Victim")];
    if matches!(spelling, Spelling::Form) {
        let pairs: Vec<String> =
            named.into_iter().chain(fields).map(|(key, value)| format!("{key}={value}")).collect();
        return pairs.join("&");
    }
    let quoted = |(key, value): (&str, &str)| format!(r#""{key}":"{value}""#);
    let spelled = |(key, value): (&str, &str)| match spelling {
        Spelling::Bare => format!(r#""{key}":{value}"#),
        _ => quoted((key, value)),
    };
    let members: Vec<String> = named.into_iter().map(quoted).chain(fields.map(spelled)).collect();
    format!("{{{}}}", members.join(","))
}

#[actix_web::test]
async fn no_number_and_no_time_breaks_an_event_a_view_or_an_answer() {
    let service = Service::start("extremes").await;
    let mut sent = 0;
    for spelling in [Spelling::Bare, Spelling::Quoted, Spelling::Form] {
        for event_type in TYPES {
            let numbers = NUMBERS.iter().map(|number| event(event_type, spelling, number, number));
            // A time is bare in no JSON; what can't be read as an event is another test.
            let times =
                TIMES.iter().filter(|time| !matches!(spelling, Spelling::Bare) || !time.contains(':'));
            let events: Vec<String> =
                numbers.chain(times.map(|time| event(event_type, spelling, "1", time))).collect();
            let body = match spelling {
                Spelling::Form => events.join("\n"),
                _ => format!("[{}]", events.join(",")),
            };
            service.client.send(body).await.assert_batch(202, events.len() as u64, &[]);
            sent += events.len() as u64;
        }
    }
    assert_unharmed(&service, sent).await;
    service.warehouse.assert_rollups_agree().await;
    let now = "SELECT count() FROM raw_events WHERE abs(dateDiff('day', event_at, now())) > 8";
    assert_eq!(service.warehouse.count(now).await, 0, "an unbelievable time is not the event's");
    let not_finite = "SELECT count() FROM raw_events WHERE NOT isFinite(ifNull(damage, 0) + ifNull(duration, 0) \
        + ifNull(walked, 0) + ifNull(player_x, 0)) OR NOT isFinite(ifNull(level_time, 0))";
    assert_eq!(service.warehouse.count(not_finite).await, 0);

    for path in everything_about(&service).await {
        let reply = service.client.get(&path).await;
        assert_eq!(reply.status.as_u16(), 200, "{path}: {}", reply.text);
        if path.starts_with("/api/") {
            reply.json();
        }
    }
    assert_unharmed(&service, sent).await;
    service.stop().await;
}

const STATISTICS: [&str; 12] = [
    "kills",
    "deaths",
    "kd_ratio",
    "headshots",
    "headshot_percent",
    "accuracy",
    "damage",
    "wins",
    "win_rate",
    "playtime",
    "distance",
    "killstreak",
];

/// Every page and answer about what is stored, but for filters.
pub async fn everything_about(service: &Service) -> Vec<String> {
    let column = async |sql: &str| -> Vec<String> {
        let rows = service.warehouse.rows(sql).await;
        rows.iter().map(|row| encoded(row["it"].as_str().unwrap())).collect()
    };
    let players = column(
        "SELECT DISTINCT arrayJoin([player_id, target_id]) AS it FROM raw_events WHERE it != '' ORDER BY it",
    )
    .await;
    let matches = column("SELECT DISTINCT toString(match_id) AS it FROM raw_events ORDER BY it").await;
    let maps = column("SELECT DISTINCT map_name AS it FROM raw_events WHERE it != '' ORDER BY it").await;
    let weapons = column("SELECT DISTINCT weapon AS it FROM raw_events WHERE it != '' ORDER BY it").await;
    let api = "/api/v1/stats";
    let mut paths = vec!["/".to_owned(), "/leaderboard".to_owned(), "/matches".to_owned()];
    paths.extend(["live", "live/matches", "totals", "matches"].map(|path| format!("{api}/{path}")));
    paths.push(format!("{api}/leaderboard/weekly"));
    for stat in STATISTICS {
        paths.push(format!("{api}/leaderboard?stat={stat}&filter[guests]=with&filter[bots]=with&limit=100"));
        paths.push(format!("/leaderboard?stat={stat}"));
    }
    for player in players {
        paths.push(format!("/players/{player}"));
        paths.extend(["", "/weapons", "/matches"].map(|part| format!("{api}/player/{player}{part}")));
    }
    for found in matches {
        paths.push(format!("/matches/{found}"));
        paths.push(format!("{api}/match/{found}"));
    }
    paths.extend(maps.iter().map(|map| format!("{api}/leaderboard/map/{map}")));
    paths.extend(weapons.iter().map(|weapon| format!("{api}/leaderboard/weapon/{weapon}")));
    paths
}
