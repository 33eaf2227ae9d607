//! What is asked: every statistics endpoint that the service's own OpenAPI document lists, with parameters that find much,
//! and the public pages.

use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use crate::clickhouse::ClickHouse;
use crate::connection::Connection;
use crate::error::BenchError;

const STATS: &str = "/api/v1/stats/";

/// Something to ask, under a name that is the same whatever is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub path: String,
}

impl Question {
    /// Without parameters in its query: what most people ask, and what they come back for.
    pub fn is_plain(&self) -> bool {
        !self.path.contains('?')
    }
}

/// What there is to ask about.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whoever has the most kills, and the second.
    pub top: String,
    pub second: String,
    /// What they were called last, without colour codes.
    pub name: String,
    /// More active than half of the players, less than the other half.
    pub medium: String,
    pub latest_match: String,
    pub old_match: String,
    pub map: String,
    pub weapon: String,
    pub server: String,
    /// A month in the middle of what is stored.
    pub from: String,
    pub to: String,
}

#[derive(Deserialize)]
struct Word {
    word: String,
}

impl Known {
    /// # Errors
    /// When too little is stored.
    pub async fn ask(clickhouse: &ClickHouse) -> Result<Self, BenchError> {
        let mut connection = clickhouse.connect().await?;
        let players = "SELECT player_id AS word FROM player_stats_daily WHERE NOT bots AND NOT startsWith(player_id, 'g_') \
                       GROUP BY word ORDER BY sum(kills) DESC, word";
        let matches = "SELECT toString(match_id) AS word FROM matches GROUP BY match_id ORDER BY min(started_at) DESC, word";
        let half = "(SELECT intDiv(uniqExact(player_id), 2) FROM player_stats_daily WHERE NOT startsWith(player_id, 'g_'))";
        let old = "(SELECT intDiv(uniqExact(match_id), 2) FROM matches)";
        let month = "SELECT toString(subtractDays(min(day) + intDiv(max(day) - min(day), 2), intDiv(least(max(day) - min(day), 30), 2))) \
                     AS word FROM matches";
        let mut word = async |what: &'static str, sql: &str| {
            let rows: Vec<Word> = clickhouse.rows(&mut connection, sql).await?;
            rows.into_iter().next().map(|row| row.word).ok_or(BenchError::NothingStored { what })
        };
        let from = word("day", month).await?;
        let top = word("player", &format!("{players} LIMIT 1")).await?;
        let name = format!(
            "SELECT argMax(name_key, last_seen) AS word FROM player_names WHERE player_id = '{top}' AND name_key != ''"
        );
        Ok(Self {
            name: word("name", &name).await?,
            top,
            second: word("second player", &format!("{players} LIMIT 1 OFFSET 1")).await?,
            medium: word("player", &format!("{players} LIMIT 1 OFFSET {half}")).await?,
            latest_match: word("match", &format!("{matches} LIMIT 1")).await?,
            old_match: word("match", &format!("{matches} LIMIT 1 OFFSET {old}")).await?,
            map: word(
                "map",
                "SELECT map_name AS word FROM matches WHERE position(map_name, '/') > 0 GROUP BY word \
                 ORDER BY uniqExact(match_id) DESC, word LIMIT 1",
            )
            .await?,
            weapon: word(
                "weapon",
                "SELECT toString(weapon) AS word FROM weapon_stats GROUP BY word ORDER BY sum(kills) DESC, word LIMIT 1",
            )
            .await?,
            server: word(
                "server",
                "SELECT toString(server_id) AS word FROM matches GROUP BY server_id \
                 ORDER BY uniqExact(match_id) DESC, word LIMIT 1",
            )
            .await?,
            to: word("day", &format!("SELECT toString(addDays(toDate('{from}'), 30)) AS word")).await?,
            from,
        })
    }

    /// What stands for a path parameter, by what it is called; each with a word for the question's name.
    fn values(&self, parameter: &str) -> Vec<(&'static str, String)> {
        match parameter {
            "guid" => vec![("top", self.top.clone()), ("medium", self.medium.clone())],
            "matchId" => vec![("latest", self.latest_match.clone()), ("old", self.old_match.clone())],
            "map" => vec![("", self.map.clone())],
            "weapon" | "slug" => vec![("", self.weapon.clone())],
            "serverId" => vec![("", self.server.clone())],
            "name" => vec![("", encoded(&self.name))],
            // Whoever plays most is logged in, under the number of a member.
            "id" => vec![("", self.top.clone())],
            _ => Vec::new(),
        }
    }

    /// Query strings for an endpoint, each with a word for the question's name.
    fn queries(&self, template: &str) -> Vec<(String, String)> {
        let plain = |query: &str| (query.to_owned(), query.to_owned());
        let filter = |name: &str, value: &str| {
            (format!("filter {name}"), format!("filter[{name}]={}", encoded(value)))
        };
        let month =
            ("filter from, to".to_owned(), format!("filter[from]={}&filter[to]={}", self.from, self.to));
        match template.trim_start_matches(STATS) {
            "leaderboard" => {
                let stats = [
                    "",
                    "stat=deaths",
                    "stat=kd_ratio",
                    "stat=headshots",
                    "stat=headshot_percent",
                    "stat=accuracy",
                    "stat=damage",
                    "stat=wins",
                    "stat=win_rate",
                    "stat=playtime",
                    "stat=distance",
                    "stat=killstreak",
                    "stat=rating",
                    "period=day",
                    "period=week",
                    "period=month",
                    "stat=wins&period=month",
                    "page=20",
                    "filter[bots]=with",
                    "filter[guests]=with",
                ];
                let filters = [
                    filter("map", &self.map),
                    filter("server", &self.server),
                    filter("gametype", "tdm"),
                    filter("team", "axis"),
                    filter("weapon", &self.weapon),
                    month,
                ];
                stats.iter().map(|query| plain(query)).chain(filters).collect()
            }
            "matches" => {
                vec![
                    plain(""),
                    plain("page=20"),
                    filter("map", &self.map),
                    filter("server", &self.server),
                    filter("gametype", "tdm"),
                    filter("player", &self.top),
                    month,
                ]
            }
            "leaderboard/weapon/{weapon}" => vec![plain(""), plain("stat=accuracy"), month],
            "leaderboard/map/{map}" => vec![plain(""), plain("stat=win_rate"), month],
            "player/{guid}" => vec![plain(""), month],
            "player/{guid}/form" => vec![plain(""), plain("interval=day")],
            "player/{guid}/matches" => vec![plain(""), plain("page=3"), filter("map", &self.map)],
            "maps/{map}/heatmap" => vec![
                plain(""),
                plain("cell_size=32"),
                filter("weapon", &self.weapon),
                filter("server", &self.server),
                month,
            ],
            "match/{matchId}/timeline" => vec![plain("limit=1000")],
            "compare" => vec![("two players".to_owned(), format!("players={},{}", self.top, self.second))],
            _ => vec![plain("")],
        }
    }

    /// The endpoint's questions; none where a path parameter is not known.
    fn of_endpoint(&self, template: &str) -> Vec<Question> {
        let short = template.trim_start_matches("/api/v1");
        let mut paths = vec![(short.to_owned(), template.to_owned())];
        while let Some(parameter) = paths.first().and_then(|(_, path)| parameter_of(path)).map(str::to_owned)
        {
            let values = self.values(&parameter);
            let fill = |(name, path): &(String, String)| -> Vec<(String, String)> {
                let filled = |(word, value): &(&str, String)| {
                    let word = if word.is_empty() { parameter.as_str() } else { word };
                    let place = format!("{{{parameter}}}");
                    (name.replace(&place, &format!("<{word}>")), path.replace(&place, value))
                };
                values.iter().map(filled).collect()
            };
            paths = paths.iter().flat_map(fill).collect();
        }
        let ask = |(name, path): (String, String)| {
            self.queries(template).into_iter().map(move |(label, query)| match query.is_empty() {
                true => Question { name: name.clone(), path: path.clone() },
                false => Question { name: format!("{name} {label}"), path: format!("{path}?{query}") },
            })
        };
        paths.into_iter().flat_map(ask).collect()
    }

    /// Questions for every statistics endpoint of the document, and the endpoints that nothing is known for.
    pub fn questions(&self, openapi: &Value) -> (Vec<Question>, Vec<String>) {
        let paths = openapi["paths"].as_object();
        let templates = paths.into_iter().flatten().filter(|(_, item)| item.get("get").is_some());
        let (mut questions, mut unasked) = (Vec::new(), Vec::new());
        for (template, _) in templates.filter(|(template, _)| template.starts_with(STATS)) {
            match self.of_endpoint(template) {
                asked if asked.is_empty() => unasked.push(template.clone()),
                asked => questions.extend(asked),
            }
        }
        (questions, unasked)
    }

    pub fn pages(&self) -> Vec<Question> {
        let page = |name: &str, path: String| Question { name: format!("page {name}"), path };
        vec![
            page("/", "/".to_owned()),
            page("/leaderboard", "/leaderboard".to_owned()),
            page("/leaderboard, month", "/leaderboard?period=month".to_owned()),
            page("/matches", "/matches".to_owned()),
            page("/players/<top>", format!("/players/{}", self.top)),
            page("/players/<medium>", format!("/players/{}", self.medium)),
            page("/matches/<latest>", format!("/matches/{}", self.latest_match)),
            page("/matches/<old>", format!("/matches/{}", self.old_match)),
            page("/maps", "/maps".to_owned()),
            page("/maps/<map>", format!("/maps/{}", self.map)),
            page("/weapons", "/weapons".to_owned()),
            page("/weapons/<slug>", format!("/weapons/{}", self.weapon)),
            page("/servers/<id>", format!("/servers/{}", self.server)),
            page("/search", format!("/search?q={}", encoded(&self.name))),
        ]
    }
}

/// For a path or a query.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The first `{parameter}` of a path.
fn parameter_of(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once('{')?;
    rest.split_once('}').map(|(parameter, _)| parameter)
}

/// The service's own list of what can be asked.
///
/// # Errors
/// When it is not to be had.
pub async fn openapi(connection: &mut Connection) -> Result<Value, BenchError> {
    let document = connection.send(hyper::Request::get("/api/openapi.json"), bytes::Bytes::new()).await?;
    Ok(serde_json::from_slice(&document.success()?)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Known {
        Known {
            top: "1001".to_owned(),
            second: "1002".to_owned(),
            name: "hiro shi".to_owned(),
            medium: "1500".to_owned(),
            latest_match: "latest".to_owned(),
            old_match: "old".to_owned(),
            map: "dm/mohdm6".to_owned(),
            weapon: "mp40".to_owned(),
            server: "server".to_owned(),
            from: "2026-05-01".to_owned(),
            to: "2026-05-31".to_owned(),
        }
    }

    #[test]
    fn every_endpoint_of_the_statistics_is_asked_or_named_as_not_asked() {
        let openapi = json!({ "paths": {
            "/api/v1/stats/totals": { "get": {} },
            "/api/v1/stats/player/{guid}/heatmap/{map}": { "get": {} },
            "/api/v1/stats/player/name/{name}": { "get": {} },
            "/api/v1/stats/of/{nobody_knows}": { "get": {} },
            "/api/v1/stats/posted": { "post": {} },
            "/api/v1/users/me": { "get": {} },
        }});
        let (questions, unasked) = known().questions(&openapi);
        let paths: Vec<&str> = questions.iter().map(|question| question.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/api/v1/stats/player/name/hiro%20shi",
                "/api/v1/stats/player/1001/heatmap/dm/mohdm6",
                "/api/v1/stats/player/1500/heatmap/dm/mohdm6",
                "/api/v1/stats/totals",
            ]
        );
        assert_eq!(questions[1].name, "/stats/player/<top>/heatmap/<map>");
        assert_eq!(unasked, ["/api/v1/stats/of/{nobody_knows}"]);
    }

    #[test]
    fn no_two_questions_have_one_name() {
        let openapi = json!({ "paths": {
            "/api/v1/stats/leaderboard": { "get": {} },
            "/api/v1/stats/matches": { "get": {} },
            "/api/v1/stats/player/{guid}": { "get": {} },
        }});
        let mut questions = known().questions(&openapi).0;
        questions.extend(known().pages());
        let names: std::collections::BTreeSet<&str> =
            questions.iter().map(|question| question.name.as_str()).collect();
        assert_eq!(names.len(), questions.len());
    }
}
