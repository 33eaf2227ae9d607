//! Rules, dashboards and runbooks hold what the service really says of itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use mohaa_faults::cuttable::CuttableProxy;
use mohaa_spool::testing::FakeStorage;
use mohaa_stats::startup::Surroundings;

use crate::support::{Service, ServiceClient, eventually, schemas};

const JUMP: &str = r#"[{"type":"jump"}]"#;

/// Families and series that `/metrics` names.
fn exported(text: &str) -> BTreeSet<&str> {
    let families = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    let series =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    families.chain(series).collect()
}

/// Words of a text that look like metrics of ours, or like what recording rules make of them.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
    text.split(|character| !is_part(character))
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| {
            let metric = word.split(':').nth(1).unwrap_or(word);
            metric.starts_with("mohaa_") || metric.starts_with("process_")
        })
        .collect()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// What follows `key` on each line that begins with it.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::trim).collect()
}

fn metrics_section(readme: &str) -> &str {
    readme.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap()
}

fn dashboards() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("ops/grafana/dashboards").unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect()
}

/// A rule or a picture of a metric that nobody exports says nothing, for ever.
#[actix_web::test]
async fn every_metric_that_a_rule_a_dashboard_or_a_page_of_the_docs_names_is_exported() {
    let service = Service::start("alerts").await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    service.client.get("/").await;
    let scrape = service.client.get("/metrics").await.text;
    let exported = exported(&scrape);
    let rules = read("ops/prometheus/recording.yml");
    let recorded: BTreeSet<&str> = values(&rules, "- record:").into_iter().collect();
    let readme = read("README.md");
    let mut texts = vec![("README.md".to_owned(), metrics_section(&readme).to_owned())];
    let files =
        ["recording.yml", "alerts.yml", "tests/alerts.yml"].map(|name| format!("ops/prometheus/{name}"));
    let pages = ["docs/operations.md", "docs/reliability.md", "docs/performance.md"].map(str::to_owned);
    texts.extend(files.into_iter().chain(pages).map(|path| (path.clone(), read(path))));
    texts.extend(dashboards().iter().map(|path| (path.display().to_string(), read(path))));
    assert!(texts.len() > 7, "there are dashboards");
    for (path, text) in &texts {
        for name in metric_names(text) {
            let is_there = if name.contains(':') { recorded.contains(name) } else { exported.contains(name) };
            assert!(is_there, "{name} is in {path} and not among the metrics");
        }
    }
    service.stop().await;
}

/// In a row of the README names are written short behind the first one: `mohaa_mailbox_depth`, `_capacity`.
#[actix_web::test]
async fn every_metric_says_what_it_is_and_is_in_the_readme() {
    let service = Service::start("metrics_help").await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let scrape = service.client.get("/metrics").await.text;
    let readme = read("README.md");
    let mut told = BTreeSet::new();
    for row in metrics_section(&readme).lines() {
        let words = row.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let (mut first, is_short) = (None, |word: &str| word.starts_with('_') && word.len() > 1);
        for word in words {
            if word.starts_with("mohaa_") || word.starts_with("process_") {
                told.insert(word.to_owned());
                first = Some(word);
            } else if let (true, Some(first)) = (is_short(word), first) {
                told.extend(first.match_indices('_').map(|(at, _)| format!("{}{word}", &first[..at])));
            }
        }
    }
    for line in scrape.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) {
            let help = format!("# HELP {name} ");
            assert!(
                scrape.lines().any(|line| line.len() > help.len() + 10 && line.starts_with(&help)),
                "{name}"
            );
            assert!(told.contains(name), "{name} is not in the README");
        }
    }
    service.stop().await;
}

#[test]
fn every_alert_has_a_runbook_and_was_seen_quiet_and_firing() {
    let (rules, tests, operations) = (
        read("ops/prometheus/alerts.yml"),
        read("ops/prometheus/tests/alerts.yml"),
        read("docs/operations.md"),
    );
    let alerts = values(&rules, "- alert:");
    assert!(alerts.len() > 20, "{alerts:?}");
    let runbooks = values(&operations, "### Mohaa");
    assert_eq!(runbooks.len(), alerts.len(), "one heading for each alert: {runbooks:?}");
    for alert in alerts {
        assert!(operations.contains(&format!("\n### {alert}\n")), "{alert} has no runbook");
        let link = format!("runbook: docs/operations.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} does not lead to its runbook");
        let test = tests.split("  - name: ").find(|test| test.starts_with(&format!("{alert}\n")));
        let test = test.unwrap_or_else(|| panic!("{alert} has no test"));
        assert!(test.contains("exp_alerts: []"), "{alert} is never seen quiet");
        assert!(
            test.contains(&format!("alertname: {alert}\n        exp_alerts:\n")),
            "{alert} is never seen firing"
        );
    }
}

/// Every panel asks something that Prometheus understands, of the datasource that is provisioned, and lies on no other.
#[test]
fn every_dashboard_can_be_drawn() {
    let datasource = read("ops/grafana/provisioning/datasources/prometheus.yml");
    let mut rules = String::from("groups:\n  - name: dashboards\n    rules:\n");
    let (mut uids, mut questions) = (BTreeSet::new(), 0);
    for path in dashboards() {
        let board: Value =
            serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(uids.insert(board["uid"].as_str().unwrap().to_owned()), "{path:?} has the uid of another");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{path:?}: {title:?} has the id of another panel"
            );
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{path:?}: {title:?} is outside");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{path:?}: {title:?} lies on another panel");
            }
            for target in panel["targets"].as_array().unwrap() {
                let uid = target["datasource"]["uid"].as_str().unwrap();
                assert!(datasource.contains(&format!("uid: {uid}\n")), "{path:?}: {title:?} asks {uid}");
                let asked = target["expr"].as_str().unwrap();
                let asked = asked.replace("$__rate_interval", "1m").replace("$instance", ".*");
                assert!(!asked.contains('$'), "{path:?}: {asked}");
                writeln!(rules, "      - {{ record: 'panel:{questions}', expr: {} }}", Value::from(asked))
                    .unwrap();
                questions += 1;
            }
        }
    }
    assert!(questions > 80, "{questions}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dashboards.yml");
    std::fs::write(&path, rules).unwrap();
    let output = Command::new(promtool()).args(["check", "rules"]).arg(&path).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}; `ops/setup.sh tests` gets it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A service's metrics at two moments, as a history that rules can be asked about: five minutes of the first, then the
/// second.
struct History {
    before: String,
    after: String,
}

const SECONDS_BETWEEN_SCRAPES: u32 = 15;
const QUIET_SECONDS: u32 = 300;

impl History {
    /// Alerts that fire so many seconds after things changed; none does before.
    fn alerts_after(&self, seconds: u32) -> BTreeSet<String> {
        assert_eq!(
            self.alerts_at(QUIET_SECONDS - SECONDS_BETWEEN_SCRAPES),
            BTreeSet::new(),
            "all is well at first"
        );
        self.alerts_at(QUIET_SECONDS + seconds)
    }

    fn alerts_at(&self, seconds: u32) -> BTreeSet<String> {
        let rules = |name: &str| std::fs::canonicalize(format!("ops/prometheus/{name}")).unwrap();
        let mut test = format!(
            "rule_files: [{}, {}]\nevaluation_interval: {SECONDS_BETWEEN_SCRAPES}s\ntests:\n  - interval: \
             {SECONDS_BETWEEN_SCRAPES}s\n    input_series:\n",
            rules("recording.yml").display(),
            rules("alerts.yml").display()
        );
        let quiet = QUIET_SECONDS / SECONDS_BETWEEN_SCRAPES;
        let samples = self.after.lines().filter(|line| !line.starts_with('#'));
        for (series, value) in samples.filter_map(|line| line.rsplit_once(' ')) {
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let divider = if labels == "}" { "" } else { "," };
            let before = self.before.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            // A value and its repeats; `_` is none at all.
            let earlier = before.map_or(format!("_x{quiet}"), |before| format!("{before}x{}", quiet - 1));
            writeln!(
                test,
                "      - series: '{name}{{job=\"mohaa-stats\",instance=\"node\"{divider}{labels}'\n        \
                 values: '{earlier} {value}x{}'",
                seconds / SECONDS_BETWEEN_SCRAPES
            )
            .unwrap();
        }
        let firing = r#"count by (alertname) (ALERTS{alertstate="firing"})"#;
        writeln!(
            test,
            "    promql_expr_test:\n      - {{ expr: '{firing}', eval_time: {seconds}s, exp_samples: [] }}"
        )
        .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.yml");
        std::fs::write(&path, test).unwrap();
        let output = Command::new(promtool()).args(["test", "rules"]).arg(&path).output();
        let output = output.unwrap_or_else(|error| panic!("promtool: {error}; `ops/setup.sh tests` gets it"));
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // Nothing is expected to fire: whatever does is told as what was got instead.
        let Some((_, got)) = told.split_once("got:") else {
            assert!(output.status.success(), "{told}");
            return BTreeSet::new();
        };
        got.split("alertname=\"")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect()
    }
}

/// Prometheus' tool, as `ops/setup.sh tests` gets it.
fn promtool() -> PathBuf {
    let fetched = mohaa_embedded::setup_cache().join("promtool");
    if fetched.exists() { fetched } else { "promtool".into() }
}

async fn scrape(client: &ServiceClient) -> String {
    client.get("/metrics").await.text
}

fn alerts<const COUNT: usize>(names: [&str; COUNT]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

async fn stores_are_there(service: &Service) {
    eventually("all stores answer", async || {
        (service.client.get("/ready").await.json()["degraded"] == false).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_mailbox_that_fills_is_alerted_on_and_so_are_the_events_that_it_refuses() {
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let settings = [("WORKER_QUEUE_SIZE", "10"), ("SPOOL_FSYNC", "never")];
    let service = Service::start_with("alert_mailbox", &settings, surroundings).await;
    stores_are_there(&service).await;
    let before = scrape(&service.client).await;

    disk.stall();
    let ten: Vec<_> = (0..10).map(|number| json!({"type": "jump", "timestamp": number})).collect();
    let (client, body) = (service.client.clone(), json!(ten).to_string());
    let waiting = tokio::task::spawn_local(async move { client.send(body).await });
    eventually("ten events wait", async || {
        (service.client.get("/ready").await.json()["queue_depth"] == 10).then_some(())
    })
    .await;
    service.client.send(JUMP).await.assert_refused(429, "mailbox_full");
    let history = History { before, after: scrape(&service.client).await };
    disk.release();
    waiting.await.unwrap().assert_batch(202, 10, &[]);
    assert_eq!(
        history.alerts_after(90),
        alerts(["MohaaEventsRefused", "MohaaMailboxFilling", "MohaaMailboxFull"])
    );
    service.stop().await;
}

#[actix_web::test]
async fn a_store_that_stops_is_alerted_on_and_so_is_what_waits_for_it() {
    let urls = schemas::database("alert_store").await;
    let address = url::Url::parse(&urls.clickhouse_url).unwrap();
    let proxy = CuttableProxy::start(format!("127.0.0.1:{}", address.port().unwrap())).await.unwrap();
    let through_proxy = proxy.in_front_of(&urls.clickhouse_url).unwrap();
    let settings = [("CLICKHOUSE_URL", through_proxy.as_str())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    stores_are_there(&service).await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let before = scrape(&service.client).await;

    proxy.cut().await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    eventually("ClickHouse is seen to be away", async || {
        let ready = service.client.get("/ready").await.json();
        (ready["checks"]["clickhouse"]["ok"] == false).then_some(())
    })
    .await;
    let history = History { before, after: scrape(&service.client).await };
    proxy.mend().await.unwrap();
    service.client.settled().await;
    assert_eq!(history.alerts_after(60), alerts([]), "a restart of a store wakes nobody");
    assert_eq!(history.alerts_after(240), alerts(["MohaaStoreAway", "MohaaStoreTakesNothing"]));
    service.stop().await;
}

#[actix_web::test]
async fn an_event_that_the_store_refuses_is_alerted_on() {
    let service = Service::start("alert_poison").await;
    stores_are_there(&service).await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let before = scrape(&service.client).await;

    let constraint = "ALTER TABLE raw_events ADD CONSTRAINT no_poison CHECK player_name != 'poison'";
    service.warehouse.execute(constraint).await;
    let poisoned = r#"[{"type":"jump","player_name":"poison"},{"type":"jump","player_name":"good"}]"#;
    service.client.send(poisoned).await.assert_batch(202, 2, &[]);
    let metrics = service.client.settled().await;
    assert_eq!(metrics.value("mohaa_dead_letters"), 1.0);
    let history = History { before, after: scrape(&service.client).await };
    assert_eq!(history.alerts_after(15), alerts(["MohaaDeadLetters"]));
    service.stop().await;
}
