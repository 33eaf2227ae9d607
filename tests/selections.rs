//! What filters and periods leave of a season, counted again from `raw_events` by plain SQL.

use std::collections::BTreeMap;

use mohaa_stats::simulate::DialectChoice;
use serde_json::Value;

use crate::support::Season;

/// The side of an event that a figure is of.
#[derive(Clone, Copy)]
enum Side {
    Actor,
    Target,
}

/// What a filter means in SQL.
struct Filter {
    query: String,
    /// Of both sides.
    condition: String,
    /// `allies` or `axis`: the side of whom the figure is of.
    team: Option<&'static str>,
    people: &'static str,
    guests: bool,
}

const WITHOUT_BOTS: &str = "NOT player_bot AND NOT target_bot";

impl Filter {
    fn new(query: &str, condition: &str) -> Self {
        let (query, condition) = (query.to_owned(), condition.to_owned());
        Self { query, condition, team: None, people: WITHOUT_BOTS, guests: false }
    }

    fn with_people(mut self, people: &'static str) -> Self {
        self.people = people;
        self
    }

    /// `value` by `id` of a figure of one side of the events that `is_such`.
    fn sql(&self, side: Side, what: &str, is_such: &str) -> String {
        let (id, team) = match side {
            Side::Actor => ("player_id", "player_team"),
            Side::Target => ("target_id", "target_team"),
        };
        let team = self.team.map(|word| format!("AND {team} = '{word}'")).unwrap_or_default();
        format!(
            "SELECT {id} AS id, toFloat64({what}) AS value FROM raw_events WHERE {id} != '' AND {is_such} AND {} AND {} {team} {} \
             GROUP BY id HAVING value > 0",
            self.people,
            self.condition,
            self.not_guests(id)
        )
    }

    /// Those who fired, hit, hurt or killed.
    fn users(&self) -> String {
        let used = "(kill_kind = 'kill' OR type IN ('weapon_fire', 'weapon_hit') OR (type = 'damage' AND is_hostile AND damage > 0))";
        format!("SELECT id FROM ({})", self.sql(Side::Actor, "count()", used))
    }

    fn not_guests(&self, id: &str) -> String {
        if self.guests { String::new() } else { format!("AND NOT match({id}, '^g_[a-z2-7]{{16}}$')") }
    }

    /// Matches with an event of the player.
    fn matches(&self) -> String {
        let team = self.team.map(|word| format!("AND team = '{word}'")).unwrap_or_default();
        format!(
            "SELECT id, toFloat64(uniqExact(match_id)) AS value FROM (SELECT *, player_id AS id, player_team AS team FROM raw_events \
             UNION ALL SELECT *, target_id AS id, target_team AS team FROM raw_events) \
             WHERE id != '' AND {} AND {} {team} {} GROUP BY id",
            self.people,
            self.condition,
            self.not_guests("id")
        )
    }
}

/// The board of a figure is that of a recount: everybody who has any of it, in the right order, and nobody else has any.
async fn assert_board(season: &Season, path: &str, stat: &str, filter: &Filter, sql: &str) -> usize {
    let counted = season.counted(sql).await;
    let mut told: BTreeMap<String, f64> = BTreeMap::new();
    for page in 1.. {
        let question = format!("{path}?stat={stat}&limit=100&page={page}&{}", filter.query);
        let board = season.get(&question).await;
        let rows = board["players"].as_array().unwrap();
        let values: Vec<f64> = rows.iter().map(|row| row["value"].as_f64().unwrap()).collect();
        assert!(values.is_sorted_by(|one, other| one >= other), "{question}: {values:?}");
        for row in rows {
            let (id, value) = (row["player_id"].as_str().unwrap(), row["value"].as_f64().unwrap());
            assert!(told.insert(id.to_owned(), value).is_none(), "{question}: {id} is there twice");
            if stat != "matches" {
                assert_eq!(row[stat], row["value"], "{question}: {row}");
            }
        }
        if rows.len() < 100 {
            assert_eq!(board["total"], told.len(), "{question}");
            break;
        }
    }
    told.retain(|_, value| *value > 0.0);
    let ids = |of: &BTreeMap<String, f64>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&told), ids(&counted), "{path}?stat={stat}&{}", filter.query);
    for (id, value) in &told {
        let counted = counted[id];
        assert!(
            (value - counted).abs() < 0.06,
            "{stat} of {id}, {}: {value}, counted {counted}",
            filter.query
        );
    }
    counted.len()
}

async fn assert_boards(season: &Season, path: &str, filter: &Filter) -> usize {
    // Who only died by a weapon did not use it, and is on no board of it.
    let died = match filter.condition.contains("weapon = ") {
        true => format!("kill_kind != '' AND target_id IN ({})", filter.users()),
        false => "kill_kind != ''".to_owned(),
    };
    let figures = [
        ("kills", Side::Actor, "count()", "kill_kind = 'kill'"),
        ("deaths", Side::Target, "count()", died.as_str()),
        ("headshots", Side::Actor, "count()", "is_headshot"),
        ("damage", Side::Actor, "sum(ifNull(damage, 0))", "type = 'damage' AND is_hostile"),
    ];
    let mut found = 0;
    for (stat, side, what, is_such) in figures {
        found += assert_board(season, path, stat, filter, &filter.sql(side, what, is_such)).await;
    }
    found
}

/// Today's matches, those of 40 days ago with bots, and one of each server under another game type.
async fn season(name: &str) -> Season {
    let season = Season::play_as(name, DialectChoice::G3, 2).await;
    let bots = "player_id != '' AND cityHash64(player_id) % 3 = 0 AS player_bot, \
                target_id != '' AND cityHash64(target_id) % 3 = 0 AS target_bot";
    season.again(40, "min", &format!("event_at - INTERVAL 40 DAY AS event_at, {bots}")).await;
    season.again(41, "max", "if(gametype = 'tdm', 'ffa', 'tdm') AS gametype").await;
    season.told().await;
    season
}

async fn words(season: &Season, column: &str) -> Vec<String> {
    let sql = format!(
        "SELECT DISTINCT toString({column}) AS word FROM raw_events WHERE toString({column}) != '' ORDER BY word"
    );
    let rows = season.service.warehouse.rows(&sql).await;
    rows.iter().map(|row| row["word"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn boards_under_each_filter_are_those_of_a_recount() {
    let season = season("selections").await;
    const BOARD: &str = "/api/v1/stats/leaderboard";
    let mut filters = vec![
        Filter::new("", "1"),
        Filter::new("filter[bots]=with", "1").with_people("1"),
        Filter::new("filter[bots]=only", "1").with_people("(player_bot OR target_bot)"),
        Filter { guests: true, ..Filter::new("filter[guests]=with", "1") },
        Filter { team: Some("allies"), ..Filter::new("filter[team]=allies", "1") },
        Filter { team: Some("axis"), ..Filter::new("filter[team]=axis", "1") },
        Filter::new("filter[weapon]=m1-garand", "weapon = 'm1-garand'"),
        Filter::new("filter[weapon]=kar98k&filter[bots]=with", "weapon = 'kar98k'").with_people("1"),
    ];
    for (filter, column) in [("server", "server_id"), ("map", "map_name"), ("gametype", "gametype")] {
        let words = words(&season, column).await;
        assert!(words.len() > 1, "{filter}: {words:?}");
        for word in words.iter().take(3) {
            let condition = format!("toString({column}) = '{word}'");
            filters.push(Filter::new(&format!("filter[{filter}]={word}"), &condition));
        }
        // Several at once are all meant.
        let condition = format!("toString({column}) = '{}' AND weapon = 'm1-garand'", words[0]);
        let query = format!("filter[{filter}]={}&filter[weapon]=m1-garand&filter[team]=allies", words[0]);
        filters.push(Filter { team: Some("allies"), ..Filter::new(&query, &condition) });
    }
    for filter in &filters {
        let found = assert_boards(&season, BOARD, filter).await;
        assert!(found > 0 || filter.query.contains('&'), "{}: nothing to tell anything by", filter.query);
    }
    // What has an address of its own is the same as a filter.
    for map in words(&season, "map_name").await.iter().take(2) {
        let filter = Filter::new("", &format!("map_name = '{map}'"));
        assert_boards(&season, &format!("{BOARD}/map/{map}"), &filter).await;
        assert_boards(&season, &format!("{BOARD}/map/{}", map.replace('/', "%2F")), &filter).await;
    }
    for weapon in ["m1-garand", "kar98k"] {
        let filter = Filter::new("", &format!("weapon = '{weapon}'"));
        assert_boards(&season, &format!("{BOARD}/weapon/{weapon}"), &filter).await;
    }
    season.service.stop().await;
}

#[actix_web::test]
async fn periods_begin_and_end_at_midnight_utc_to_the_millisecond() {
    let season = Season::play_as("period_edges", DialectChoice::G3, 1).await;
    // The first moment of each period, the last one before, and the same for the days after.
    let edges = [
        "toStartOfDay(now())",
        "toStartOfDay(now()) + INTERVAL 1 DAY",
        "toDateTime(toMonday(now()))",
        "toDateTime(toMonday(now())) + INTERVAL 7 DAY",
        "toDateTime(toStartOfMonth(now()))",
        "toDateTime(toStartOfMonth(now())) + INTERVAL 1 MONTH",
    ];
    for (number, edge) in (1_u8..).zip(edges) {
        let first = format!("toDateTime64({edge}, 3, 'UTC')");
        season.again(2 * number, "min", &format!("{first} AS event_at")).await;
        season.again(2 * number + 1, "max", &format!("{first} - INTERVAL 1 MILLISECOND AS event_at")).await;
    }
    season.told().await;
    let day = "toDate(event_at)";
    let today =
        season.service.warehouse.rows("SELECT toString(today()) AS day, toString(today() + 1) AS next").await;
    let (today, tomorrow) = (today[0]["day"].as_str().unwrap(), today[0]["next"].as_str().unwrap());
    let week = season.get("/api/v1/stats/leaderboard/weekly").await["week"].as_str().unwrap().to_owned();
    const BOARD: &str = "/api/v1/stats/leaderboard";
    let cases: Vec<(&str, String, String)> = vec![
        (BOARD, "period=all".to_owned(), "1".to_owned()),
        (BOARD, "period=day".to_owned(), format!("{day} = today()")),
        (BOARD, "period=week".to_owned(), format!("toMonday({day}) = toMonday(today())")),
        (BOARD, "period=month".to_owned(), format!("toStartOfMonth({day}) = toStartOfMonth(today())")),
        ("/api/v1/stats/leaderboard/weekly", String::new(), format!("toMonday({day}) = toMonday(today())")),
        (
            "/api/v1/stats/leaderboard/weekly",
            format!("week={week}"),
            format!("toMonday({day}) = toMonday(today())"),
        ),
        (BOARD, format!("filter[from]={today}"), format!("{day} >= today()")),
        (BOARD, format!("filter[to]={today}"), format!("{day} < today()")),
        (BOARD, format!("filter[from]={today}&filter[to]={tomorrow}"), format!("{day} = today()")),
        // Both narrow.
        (
            BOARD,
            format!("period=month&filter[to]={today}"),
            format!("toStartOfMonth({day}) = toStartOfMonth(today()) AND {day} < today()"),
        ),
    ];
    let mut sizes = Vec::new();
    for (path, query, condition) in &cases {
        let filter = Filter::new(query, condition);
        sizes.push(assert_boards(&season, path, &filter).await);
    }
    assert!(sizes[0] > 0 && sizes[1] > 0, "{sizes:?}");
    // Of the profiles too: the same days by from and to.
    let player = season.get("/api/v1/stats/leaderboard?limit=1").await["players"][0]["player_id"].clone();
    let player = player.as_str().unwrap();
    for (query, condition) in [
        (format!("filter[from]={today}"), format!("{day} >= today()")),
        (format!("filter[to]={today}"), format!("{day} < today()")),
        (format!("filter[from]={today}&filter[to]={tomorrow}"), format!("{day} = today()")),
    ] {
        let filter = Filter::new(&query, &condition);
        let profile = season.get(&format!("/api/v1/stats/player/{player}?{query}")).await;
        for (field, sql) in [
            ("total_kills", filter.sql(Side::Actor, "count()", "kill_kind = 'kill'")),
            ("total_deaths", filter.sql(Side::Target, "count()", "kill_kind != ''")),
            ("matches_played", filter.matches()),
        ] {
            let counted = season.counted(&sql).await.get(player).copied().unwrap_or_default();
            assert_eq!(profile[field].as_f64(), Some(counted), "{field} of {player}, {query}");
        }
        let sum = |list: &Value| -> f64 {
            list.as_array().unwrap().iter().map(|entry| entry["kills"].as_f64().unwrap()).sum()
        };
        for list in ["maps", "form?interval=day", "form?interval=month"] {
            let with = if list.contains('?') { "&" } else { "?" };
            let told = season.get(&format!("/api/v1/stats/player/{player}/{list}{with}{query}")).await;
            let name = list.split('?').next().unwrap();
            assert_eq!(
                sum(&told[name]),
                profile["total_kills"].as_f64().unwrap(),
                "{list} of {player}, {query}"
            );
        }
    }
    season.service.stop().await;
}
