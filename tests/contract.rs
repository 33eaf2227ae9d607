//! The contract, asked: these calls are made from the OpenAPI document itself, so that whoever adds an operation has it
//! tried. Whether an answer is as documented is seen where it is received (`support::contract`), in these and all other tests.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_stats::access::Access;
use mohaa_stats::routes;
use mohaa_stats::simulate::DialectChoice;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::contract::Operation;
use crate::support::{Season, Service};

/// Addresses that are documented as API, and neither questions about what is stored nor JSON.
const NO_QUESTIONS: [&str; 3] = ["/health", "/ready", "/metrics"];

/// A season, and words of it that stand in paths and filters.
pub struct Asked {
    pub season: Season,
    words: BTreeMap<&'static str, Vec<String>>,
}

impl Asked {
    /// Of today; the same 40 days ago, some of it with bots, some of another game type.
    async fn play(name: &str) -> Self {
        Self::play_at(Service::start(name).await).await
    }

    pub async fn play_at(service: Service) -> Self {
        let season = Season::play_at(service, DialectChoice::G3, 2).await;
        let bots = "player_id != '' AND cityHash64(player_id) % 2 = 0 AS player_bot";
        season.again(40, "min", "event_at - INTERVAL 40 DAY AS event_at").await;
        season.again(41, "min", &format!("event_at - INTERVAL 41 DAY AS event_at, {bots}")).await;
        season.again(42, "max", "if(gametype = 'tdm', 'ffa', 'tdm') AS gametype").await;
        season.told().await;
        let words = known_words(&season).await;
        Self { season, words }
    }

    /// Every question about the season, and each parameter of each alone, by all that it can rank by and else by one value.
    pub fn everything(&self) -> Vec<String> {
        let mut questions_of_all = Vec::new();
        for operation in questions().filter(|it| is_of_a_season(it)) {
            let paths = self.paths(operation);
            questions_of_all.extend(paths.first().cloned());
            for parameter in operation.parameters("query").into_iter().filter(|name| *name != "cursor") {
                if needed(operation).is_some_and(|it| it.0 == parameter) {
                    continue;
                }
                let most = if parameter == "stat" { usize::MAX } else { 1 };
                for value in self.values(operation, parameter).into_iter().take(most) {
                    questions_of_all.extend(paths.first().map(|path| format!("{path}&{parameter}={value}")));
                }
            }
        }
        questions_of_all
    }

    /// The operation's path with each combination of what is known; none where a parameter stands for something else.
    fn paths(&self, operation: &Operation) -> Vec<String> {
        let mut paths = vec![operation.path.clone()];
        for parameter in operation.parameters("path") {
            let known = if is_of_a_season(operation) { self.words.get(parameter) } else { None };
            let filled = |path: &String| {
                let place = format!("{{{parameter}}}");
                known.into_iter().flatten().map(move |word| path.replace(&place, word)).collect::<Vec<_>>()
            };
            paths = paths.iter().flat_map(filled).collect();
        }
        let needed = needed(operation).map(|(name, word)| format!("{name}={}", self.words[word].join(",")));
        paths.into_iter().map(|path| format!("{path}?{}", needed.as_deref().unwrap_or_default())).collect()
    }

    /// Values for a query parameter, each of which finds something, though not all of it.
    fn values(&self, operation: &Operation, name: &str) -> Vec<String> {
        let word = name.trim_start_matches("filter[").trim_end_matches(']');
        let fixed: &[&str] = match (word, operation.path.as_str()) {
            ("stat", path) if path.contains("/weapon/") => &["deaths", "headshots", "accuracy"],
            ("stat", _) => &[
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
                "rating",
            ],
            ("period", _) => &["day", "week", "month"],
            ("sort", "/api/v1/stats/maps") => &["kills", "players", "duration", "last_played", "name"],
            ("sort", _) => &["headshots", "damage", "users", "accuracy", "distance"],
            ("interval", _) => &["day", "month"],
            ("week", _) => &["2026-W01"],
            ("format", _) => &["csv", "ndjson"],
            ("page", _) => &["2"],
            ("limit", _) => &["1", "100"],
            ("kind", _) => &["victims", "deaths"],
            // Nothing of the season was played for one.
            ("tournament", _) => &["00000000-0000-0000-0000-000000000001"],
            ("cell_size", _) => &["32", "256"],
            ("team", _) => &["allies", "axis"],
            ("bots", _) => &["with", "only"],
            ("guests", _) => &["with"],
            ("type", _) => &["kill", "match_start,match_end"],
            _ => &[],
        };
        if fixed.is_empty() {
            let known = self.words.get(if word == "player" { "guid" } else { word });
            return known.unwrap_or_else(|| panic!("{} takes {name}: what?", operation.name())).clone();
        }
        fixed.iter().map(|value| (*value).to_owned()).collect()
    }
}

/// A parameter without which the operation answers nothing, and the words that it takes.
fn needed(operation: &Operation) -> Option<(&'static str, &'static str)> {
    match operation.path.as_str() {
        "/api/v1/stats/compare" => Some(("players", "guid")),
        "/api/v1/search" => Some(("q", "q")),
        _ => None,
    }
}

/// Values that a parameter refuses; none where any text names something, if only nothing that is stored.
fn refused(operation: &Operation, name: &str) -> &'static [&'static str] {
    match name {
        "q" if !is_of_a_season(operation) => &[],
        "filter[status]" | "filter[format]" => &["nonsense"],
        "page" | "limit" => &["0", "-1", "x", "99999999999"],
        "stat" | "sort" | "period" | "interval" | "kind" | "format" => &["nonsense", "KILLS"],
        "week" => &["2026-47", "2026-W54"],
        "cell_size" => &["33", "0", "2048"],
        "cursor" => &["nonsense"],
        "players" => &["4711", "1,2,3,4,5"],
        "q" => &["a"],
        "filter[server]" => &["nonsense"],
        "filter[gametype]" | "filter[team]" | "filter[bots]" | "filter[guests]" | "filter[type]" => {
            &["nonsense"]
        }
        "filter[from]" | "filter[to]" => &["yesterday", "2026-13-01"],
        "filter[weapon]" => &["not a weapon"],
        _ => &[],
    }
}

/// Of what was played: words for parameters by their names.
async fn known_words(season: &Season) -> BTreeMap<&'static str, Vec<String>> {
    let ask = async |path: &str, list: &str, key: &str| -> Vec<String> {
        let answer = season.get(path).await;
        let entries = answer[list].as_array().unwrap();
        assert!(entries.len() > 1, "{path}: {answer}");
        entries.iter().filter_map(|entry| entry[key].as_str().map(str::to_owned)).collect()
    };
    let some = |words: Vec<String>| words.into_iter().take(2).collect::<Vec<_>>();
    let today = chrono::Utc::now().date_naive();
    let day = |before: u64| (today - chrono::Days::new(before)).to_string();
    // Who was there both times, and where.
    let board = format!("/api/v1/stats/leaderboard?filter[to]={}", day(30));
    let players = some(ask(&board, "players", "player_id").await);
    let names = some(ask(&board, "players", "player_name").await);
    let matches = ask("/api/v1/stats/matches?limit=100", "matches", "match_id").await;
    let match_names = ask("/api/v1/stats/matches", "matches", "source_match_id").await;
    let maps = format!("/api/v1/stats/player/{}/maps", players[0]);
    let maps = some(ask(&maps, "maps", "map_name").await);
    let weapons = some(ask("/api/v1/stats/weapons", "weapons", "slug").await);
    let servers = ask("/api/v1/servers", "servers", "server_id").await;
    let encoded = |name: &String| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    // Both forms of a match's id, and a map with its slash encoded.
    let of_matches = vec![matches[matches.len() - 1].clone(), matches[1].clone(), match_names[1].clone()];
    let q: String = names[0].chars().take(3).collect();
    BTreeMap::from([
        ("id", players.clone()),
        ("name", names.iter().map(encoded).collect()),
        ("guid", players),
        ("matchId", of_matches),
        ("map", vec![maps[0].clone(), maps[0].replace('/', "%2F"), maps[1].clone()]),
        ("weapon", weapons.clone()),
        ("slug", weapons),
        ("server", servers.clone()),
        ("serverId", servers),
        ("gametype", vec!["tdm".to_owned(), "ffa".to_owned(), "objective".to_owned()]),
        ("from", vec![day(41), day(1)]),
        ("to", vec![day(39), day(41)]),
        ("q", vec![q]),
    ])
}

/// Operations that ask for something: all that anybody may, and whose answer ends.
fn questions() -> impl Iterator<Item = &'static Operation> {
    Operation::all().iter().filter(|it| {
        let found = &it.described["responses"]["200"]["content"];
        it.method == "GET"
            && it.described["security"].is_null()
            && found["application/json"].is_object()
            && !NO_QUESTIONS.contains(&it.path.as_str())
    })
}

/// Whether a season has anything to answer it with: there are neither teams nor tournaments in it.
fn is_of_a_season(operation: &Operation) -> bool {
    let path = operation.path.as_str();
    path.starts_with("/api/v1/stats/")
        || matches!(path, "/api/v1/search" | "/api/v1/achievements" | "/api/v1/servers")
}

/// Fails with everything that was found, not only with what came first.
#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_route_of_the_api_is_documented_with_whom_it_is_open_to() {
    let mut undocumented: BTreeSet<String> = Operation::all().iter().map(Operation::name).collect();
    let mut wrong = Vec::new();
    for route in routes::all() {
        let path = route.path.replace(":.+}", "}");
        if !path.starts_with("/api/v1/") && !NO_QUESTIONS.contains(&path.as_str()) {
            continue;
        }
        let name = format!("{} {path}", route.method);
        let Some(operation) = Operation::all().iter().find(|it| it.name() == name) else {
            wrong.push(format!("{name} is not documented"));
            continue;
        };
        undocumented.remove(&name);
        let (statuses, security) = (operation.statuses(), &operation.described["security"]);
        let has = |scheme: &str| {
            security.as_array().is_some_and(|all| all.iter().any(|one| one.get(scheme).is_some()))
        };
        let (needs, schemes): (&[u16], &[&str]) = match route.access {
            Access::Anyone => (&[], &[]),
            Access::GameServer => (&[401], &["server_token"]),
            Access::Role(_) => (&[401, 403], &["bearer", "session"]),
        };
        for status in needs.iter().filter(|status| !statuses.contains(status)) {
            wrong.push(format!("{name} does not document {status}"));
        }
        for scheme in schemes.iter().filter(|scheme| !has(scheme)) {
            wrong.push(format!("{name} does not document {scheme}"));
        }
    }
    wrong.extend(undocumented.iter().map(|name| format!("{name} is documented, and there is none")));
    assert_none(&wrong);
}

#[actix_web::test]
async fn every_question_is_answered_as_documented_and_refused_as_documented() {
    let asked = Asked::play("contract").await;
    let mut wrong = Vec::new();
    for operation in questions() {
        let statuses = operation.statuses();
        let paths = asked.paths(operation);
        for path in &paths {
            let answer = asked.season.ask(path).await;
            if answer.status != 200 {
                wrong.push(format!("{path}: {} {}", answer.status, answer.text));
                continue;
            }
            match (answer.header("etag"), statuses.contains(&304)) {
                (Some(tag), true) => {
                    let again = asked.season.service.client.get_with(path, &[("If-None-Match", tag)]).await;
                    if again.status != 304 {
                        wrong.push(format!("{path}: {} to its own ETag", again.status));
                    }
                }
                (None, false) => {}
                (tag, documented) => wrong.push(format!("{path}: {tag:?}, 304 documented: {documented}")),
            }
        }
        if !operation.parameters("path").is_empty() {
            let unknown = unknown_path(operation);
            let answer = asked.season.ask(&unknown).await;
            if answer.status != 404 || answer.json()["code"].as_str().is_none() {
                wrong.push(format!("{unknown}: {}", answer.status));
            }
        }
        // Of what no season has (teams, tournaments), tests of their own ask.
        let Some(path) = paths.first().cloned() else { continue };
        for (query, field) in [("nonsense=1", "nonsense"), ("filter[nonsense]=1", "filter[nonsense]")] {
            refuse(&asked.season, &format!("{path}&{query}"), field, &mut wrong).await;
        }
        for parameter in operation.parameters("query") {
            for value in refused(operation, parameter) {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                let bare = path.split('?').next().unwrap();
                let path =
                    if needed(operation).is_some_and(|(name, _)| name == parameter) { bare } else { &path };
                let with = if path.contains('?') { "&" } else { "?" };
                refuse(&asked.season, &format!("{path}{with}{parameter}={value}"), parameter, &mut wrong)
                    .await;
            }
        }
    }
    assert_none(&wrong);
    asked.season.service.stop().await;
}

/// Names what nobody knows.
fn unknown_path(operation: &Operation) -> String {
    let mut path = operation.path.clone();
    for parameter in operation.parameters("path") {
        let unknown = if parameter == "id" { "999999999" } else { "nobody-at-all" };
        path = path.replace(&format!("{{{parameter}}}"), unknown);
    }
    path
}

async fn refuse(season: &Season, path: &str, field: &str, wrong: &mut Vec<String>) {
    let answer = season.ask(path).await;
    if answer.status != 422 {
        wrong.push(format!("{path}: {} instead of 422", answer.status));
    } else if answer.json()["fields"][field].as_str().is_none_or(str::is_empty) {
        wrong.push(format!("{path}: does not tell what is wrong: {}", answer.text));
    }
}

#[actix_web::test]
async fn every_parameter_of_a_question_is_taken_and_changes_its_answer() {
    let asked = Asked::play("contract_effects").await;
    let mut wrong = Vec::new();
    for operation in questions().filter(|it| is_of_a_season(it)) {
        let paths = asked.paths(operation);
        for parameter in operation.parameters("query") {
            if paths.is_empty()
                || parameter == "cursor"
                || needed(operation).is_some_and(|it| it.0 == parameter)
            {
                continue;
            }
            let mut without_effect = Vec::new();
            for value in asked.values(operation, parameter) {
                let mut changed = false;
                for path in &paths {
                    let (plain, question) =
                        (asked.season.ask(path).await, format!("{path}&{parameter}={value}"));
                    let answer = asked.season.ask(&question).await;
                    if answer.status != 200 {
                        // What is not about weapons can't be asked of one.
                        let is_refusal = answer.status == 422 && answer.text.contains("weapon");
                        if !is_refusal {
                            wrong.push(format!("{question}: {} {}", answer.status, answer.text));
                        }
                    }
                    changed |= answer.text != plain.text;
                }
                if !changed {
                    without_effect.push(value);
                }
            }
            // One value may well be that of everything.
            if without_effect.len() == asked.values(operation, parameter).len() {
                wrong.push(format!("{}: {parameter}={without_effect:?} changes nothing", operation.name()));
            }
        }
    }
    assert_none(&wrong);
    asked.season.service.stop().await;
}

/// The one list of an answer that has pages or comes as a table.
fn list_of(answer: &Value, rows: usize) -> Option<(&str, &Vec<Value>)> {
    let members = answer.as_object().unwrap();
    let mut lists =
        members.iter().filter_map(|(name, value)| value.as_array().map(|list| (name.as_str(), list)));
    lists.find(|(_, list)| list.len() == rows)
}

#[actix_web::test]
async fn pages_of_a_list_are_the_list_and_files_hold_its_rows() {
    let asked = Asked::play("contract_lists").await;
    let mut wrong = Vec::new();
    for operation in questions() {
        let parameters = operation.parameters("query");
        for path in asked.paths(operation) {
            let most = if parameters.contains(&"limit") { "&limit=100" } else { "" };
            let whole = asked.season.ask(&format!("{path}{most}")).await.json();
            if parameters.contains(&"format") {
                let lines = asked.season.ask(&format!("{path}&format=ndjson{most}")).await.text;
                let lines: Vec<Value> =
                    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                if list_of(&whole, lines.len()).is_none_or(|(_, list)| *list != lines) {
                    wrong.push(format!("{path}: NDJSON has {} other rows", lines.len()));
                }
                let table = asked.season.ask(&format!("{path}&format=csv{most}")).await.text;
                let records =
                    csv::Reader::from_reader(table.as_bytes()).records().map(Result::unwrap).count();
                if records != lines.len() {
                    wrong.push(format!("{path}: CSV has {records} rows, NDJSON {}", lines.len()));
                }
            }
            if !parameters.contains(&"page") {
                continue;
            }
            let total = usize::try_from(whole["total"].as_u64().unwrap()).unwrap();
            let Some((name, all)) = list_of(&whole, total.min(100)) else {
                wrong.push(format!("{path}: total {total} of no list"));
                continue;
            };
            let mut pages = Vec::new();
            for page in 1..=total.min(100).div_ceil(7) {
                let one = asked.season.ask(&format!("{path}&limit=7&page={page}")).await.json();
                pages.extend(one[name].as_array().unwrap().iter().cloned());
            }
            pages.truncate(100);
            if pages != *all {
                wrong.push(format!("{path}: pages are not the list"));
            }
            let beyond = asked.season.ask(&format!("{path}&limit=7&page=1000")).await.json();
            if beyond[name] != serde_json::json!([]) || beyond["total"] != whole["total"] {
                wrong.push(format!("{path}: beyond the last page: {beyond}"));
            }
        }
    }
    assert_none(&wrong);
    asked.season.service.stop().await;
}

#[actix_web::test]
async fn refusals_of_codes_roles_and_bans_are_documented() {
    let service = crate::support::Service::start("documented_refusals").await;
    let (_, admin) = service.add_user("Chief", mohaa_stats::users::Role::Admin).await;
    let (user_id, _) = service.add_user("Anna", mohaa_stats::users::Role::Player).await;
    let bearer = format!("Bearer {admin}");
    let json = ("Content-Type", "application/json");
    let large = "x".repeat(300_000);
    let (as_server, as_admin) = (("X-Server-Token", &*service.client.token), ("Authorization", &*bearer));
    let encoded = ("Content-Encoding", "gzip");
    let (role, ban) =
        (format!("/api/v1/admin/users/{user_id}/role"), format!("/api/v1/admin/users/{user_id}/ban"));
    for (status, path, headers, body) in [
        (413, "/api/v1/auth/verify", vec![], &*large),
        (413, "/api/v1/auth/claim/verify", vec![as_server], &*large),
        (400, "/api/v1/auth/verify", vec![encoded], "no gzip"),
        (400, "/api/v1/auth/claim/verify", vec![as_server, encoded], "no gzip"),
        (415, &*ban, vec![as_admin], "{}"),
        (415, &*role, vec![as_admin], "{}"),
        (422, &*ban, vec![as_admin, json], r#"{"reason":7}"#),
        (422, &*role, vec![as_admin, json], r#"{"role":"king"}"#),
        (400, &*ban, vec![as_admin, json], "{"),
        (400, &*role, vec![as_admin, json], "{"),
        (413, &*ban, vec![as_admin, json], &*large),
        (413, &*role, vec![as_admin, json], &*large),
    ] {
        // Whether the body is as documented is seen as it arrives.
        let reply = service.client.call("POST", path, &headers, body).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert!(Operation::of("POST", path).unwrap().statuses().contains(&status), "{status} of {path}");
    }
    service.stop().await;
}
