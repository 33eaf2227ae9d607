//! Something to count: matches that were simulated, and what is told of them.

use std::collections::BTreeMap;

use mohaa_stats::simulate::{DialectChoice, SimulateOptions, run};
use serde_json::Value;

use super::{Reply, Service, eventually};

/// Two servers' matches of today, whose events are all stored.
pub struct Season {
    pub service: Service,
    /// Those who took part under an id of their own in what was played last.
    pub players: Vec<String>,
    tokens: Vec<String>,
}

impl Season {
    pub async fn play(name: &str) -> Self {
        Self::play_as(name, DialectChoice::Mixed, 2).await
    }

    pub async fn play_as(name: &str, dialect: DialectChoice, matches: usize) -> Self {
        Self::play_at(Service::start(name).await, dialect, matches).await
    }

    pub async fn play_at(service: Service, dialect: DialectChoice, matches: usize) -> Self {
        let (_, second) = service.add_server("Stalingrad").await;
        let tokens = vec![service.client.token.clone(), second];
        let mut season = Self { service, tokens, players: Vec::new() };
        season.play_on(dialect, matches, 6).await;
        season
    }

    /// What was stored by other means.
    pub fn of(service: Service) -> Self {
        Self { service, tokens: Vec::new(), players: Vec::new() }
    }

    /// Other matches than with another seed; returns when all of it is stored.
    pub async fn play_on(&mut self, dialect: DialectChoice, matches: usize, seed: u64) {
        let options = SimulateOptions {
            dialect,
            matches,
            guests: Some(20),
            seed,
            match_length: 150..=240,
            ..SimulateOptions::new(&self.service.client.url, self.tokens.clone())
        };
        let report = run(options, |_| {}).await.unwrap();
        assert_eq!(report.complaints, Vec::<String>::new());
        self.service.client.settled().await;
        self.players = report.players.iter().map(|player| player.player_id.clone()).collect();
        assert!(self.players.len() > 10, "{:?}", self.players);
    }

    /// The matches of one server once more, as other matches, with other values in some columns (`player_bot`, say, as
    /// ClickHouse's `REPLACE` has it). `number` names them; `server` is `min` or `max` of both ids.
    pub async fn again(&self, number: u8, server: &str, changed: &str) {
        // Names of columns mean the new values wherever they stand beside `REPLACE`: hence the statement within.
        let statement = format!(
            "INSERT INTO raw_events SELECT * REPLACE (reinterpretAsUUID(reverse(sipHash128(match_id, {number}))) AS match_id, \
             concat(source_match_id, '-{number}') AS source_match_id, {changed}) FROM (SELECT * FROM raw_events \
             WHERE server_id = (SELECT {server}(server_id) FROM raw_events) AND NOT match(source_match_id, '-[0-9]+$'))"
        );
        let stored = "SELECT count() FROM raw_events";
        let before = self.service.warehouse.count(stored).await;
        self.service.warehouse.execute(&statement).await;
        let added = self.service.warehouse.count(stored).await - before;
        assert!(added > 100, "{added} events of other matches: too few to tell anything");
    }

    /// Returns when everything is told that was put into ClickHouse behind the service's back.
    pub async fn told(&self) {
        // The version of the data moves on with what is stored in the usual way.
        let jump = r#"[{"type":"jump","player_guid":"4711"}]"#;
        self.service.client.send(jump).await.assert_batch(202, 1, &[]);
        self.service.client.settled().await;
        let stored = self.service.warehouse.count("SELECT count() FROM raw_events").await;
        eventually("all of it is told", async || {
            let totals = self.service.client.get("/api/v1/stats/totals").await.json();
            (totals["events"] == stored).then_some(())
        })
        .await;
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.ask(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    pub async fn ask(&self, path: &str) -> Reply {
        self.service.client.get(path).await
    }

    /// `value` by `id`.
    pub async fn counted(&self, sql: &str) -> BTreeMap<String, f64> {
        let rows = self.service.warehouse.rows(sql).await;
        let entry = |row: &Value| (row["id"].as_str().unwrap().to_owned(), row["value"].as_f64().unwrap());
        rows.iter().map(entry).collect()
    }
}
