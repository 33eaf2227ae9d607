//! History that is imported: once, however often it is run, with its own times.

use std::path::Path;

use mohaa_embedded::StoreUrls;
use mohaa_stats::startup::Surroundings;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::support::{Service, eventually, schemas};

const LOG: &str = "\
[2019-05-04 20:00:00] Server: dm/mohdm1
[2019-05-04 20:00:06] Anna has joined the Allies
[2019-05-04 20:00:07] Bert has joined the Axis
[2019-05-04 20:00:30] Anna was rifled by Bert in the head
[2019-05-04 20:00:30] Anna was rifled by Bert in the head
[2019-05-04 20:00:41] Bert cratered
[2019-05-04 20:05:00] Bert was perforated by Anna's SMG
[2019-05-04 20:10:00] ==== ShutdownGame ====
[2019-05-04 20:10:05] Server: obj/obj_team2
[2019-05-04 20:10:30] Bert was shot by Anna
";

/// A service whose schema is complete: it has stored a jump, on another server.
async fn started(urls: &StoreUrls) -> Service {
    let service = Service::start_on(urls, &[], Surroundings::default()).await;
    let (_, token) = service.add_server("Other").await;
    let other = service.client.with_token(&token);
    other.send(r#"[{"type":"jump"}]"#).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    service
}

struct Importer<'a> {
    urls: &'a StoreUrls,
    data_dir: &'a Path,
    server_id: Uuid,
}

impl Importer<'_> {
    fn command(&self, arguments: &[&str], file: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mohaa-stats"));
        command
            .args(["import", "--server", &self.server_id.to_string()])
            .args(arguments)
            .arg(file)
            .env("POSTGRES_URL", &self.urls.postgres_url)
            .env("CLICKHOUSE_URL", &self.urls.clickhouse_url)
            .env("REDIS_URL", &self.urls.redis_url)
            .env("DATA_DIR", self.data_dir)
            .kill_on_drop(true);
        command
    }

    /// What the command says it did.
    async fn run(&self, arguments: &[&str], file: &Path) -> Value {
        let output = self.command(arguments, file).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[actix_web::test]
async fn a_consoles_log_is_imported_once_with_the_times_of_its_lines() {
    let urls = schemas::database("import_console").await;
    let service = started(&urls).await;
    let folder = tempfile::tempdir().unwrap();
    let importer = Importer { urls: &urls, data_dir: folder.path(), server_id: service.server_id };
    let file = folder.path().join("qconsole.log");
    let end = LOG.find("[2019-05-04 20:05:00]").unwrap();
    std::fs::write(&file, &LOG[..end]).unwrap();
    let stored =
        async || service.warehouse.count("SELECT count() FROM raw_events WHERE type <> 'jump'").await;

    let dry = importer.run(&["--dry-run"], &file).await;
    assert_eq!((&dry["matches"], &dry["imported"]), (&json!(1), &json!(0)));
    assert_eq!(stored().await, 0);

    let report = importer.run(&[], &file).await;
    let first = report["imported"].as_u64().unwrap();
    assert_eq!((&report["events"], &report["already_stored"]), (&json!(first), &json!(0)));
    // Start, two sides, three kills.
    assert_eq!((first, stored().await), (6, 6));
    let again = importer.run(&[], &file).await;
    assert_eq!((&again["imported"], &again["already_stored"], stored().await), (&json!(0), &json!(6), 6));
    // The log grows: another kill and an end, and another match.
    std::fs::write(&file, LOG).unwrap();
    let grown = importer.run(&[], &file).await;
    assert_eq!((&grown["imported"], &grown["already_stored"], stored().await), (&json!(4), &json!(6), 10));
    assert_eq!(
        service.warehouse.count("SELECT uniqExact(match_id) FROM raw_events WHERE type <> 'jump'").await,
        2
    );
    // Nor is anything sent where nothing is remembered but what is stored.
    std::fs::remove_dir_all(folder.path().join("import")).unwrap();
    let again = importer.run(&[], &file).await;
    assert_eq!((&again["imported"], &again["already_stored"], stored().await), (&json!(0), &json!(10), 10));

    let rows = service
        .warehouse
        .rows(
            "SELECT toString(event_at) AS at, player_name, target_name, hitloc, kill_kind, map_name FROM raw_events \
             WHERE type = 'kill' AND event_at < '2019-05-04 20:01:00' ORDER BY event_at, spool_seq",
        )
        .await;
    let kills: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| {
            ["at", "player_name", "target_name", "hitloc", "kill_kind", "map_name"]
                .map(|column| row[column].as_str().unwrap())
                .to_vec()
        })
        .collect();
    let twice = vec!["2019-05-04 20:00:30.000", "Bert", "Anna", "head", "kill", "dm/mohdm1"];
    let fall = vec!["2019-05-04 20:00:41.000", "", "Bert", "", "world", "dm/mohdm1"];
    assert_eq!(kills, [twice.clone(), twice, fall]);
    service.warehouse.assert_rollups_agree().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_file_of_events_is_on_the_boards_and_what_the_server_reported_itself_is_left_alone() {
    let urls = schemas::database("import_events").await;
    let service = started(&urls).await;
    let folder = tempfile::tempdir().unwrap();
    let importer = Importer { urls: &urls, data_dir: folder.path(), server_id: service.server_id };
    let kill = |name: &str, second: u64| {
        json!({"type": "kill", "match_id": name, "timestamp": 1_557_000_000 + second, "map_name": "dm/mohdm1",
               "attacker_guid": "4711", "attacker_name": "Anna", "victim_guid": "4712", "victim_name": "Bert"})
    };
    let mut text = String::new();
    for second in 0..1_200 {
        text.push_str(&format!("{}\n", kill("evening", second)));
    }
    let file = folder.path().join("events.ndjson");
    std::fs::write(&file, &text).unwrap();
    // Killed in the middle, it goes on.
    let mut killed = importer.command(&[], &file).spawn().unwrap();
    let spool = folder.path().join("import");
    eventually("the import has begun", async || {
        let mut files = std::fs::read_dir(&spool).ok()?.flatten();
        files.any(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 50_000)).then_some(())
    })
    .await;
    killed.kill().await.unwrap();
    let report = importer.run(&[], &file).await;
    let (imported, before) =
        (report["imported"].as_u64().unwrap(), report["already_stored"].as_u64().unwrap());
    assert_eq!(imported + before, 1_200, "{report}");
    let stored = "SELECT count() FROM raw_events WHERE type <> 'jump'";
    let distinct = "SELECT uniqExact(event_at) FROM raw_events WHERE type <> 'jump'";
    assert_eq!(service.warehouse.count(stored).await, 1_200);
    assert_eq!(service.warehouse.count(distinct).await, 1_200);
    assert_eq!(
        service.warehouse.count("SELECT uniqExact(match_id) FROM raw_events WHERE type <> 'jump'").await,
        1
    );
    eventually("the board counts them", async || {
        let board = service.client.get("/api/v1/stats/leaderboard?stat=kills&period=all").await.json();
        let first = &board["players"][0];
        (first["player_id"] == "4711" && first["kills"] == 1_200).then_some(())
    })
    .await;

    // A match that the server has posted.
    service.client.send(json!([kill("posted", 0)]).to_string()).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    let now = chrono::Utc::now().timestamp();
    let mut posted = kill("posted", 0);
    posted["timestamp"] = json!(now);
    let file = folder.path().join("posted.json");
    std::fs::write(&file, posted.to_string()).unwrap();
    let report = importer.run(&[], &file).await;
    assert_eq!((&report["imported"], &report["reported_live"]), (&json!(0), &json!(1)));

    let unknown = Importer { server_id: Uuid::new_v4(), ..importer };
    let output = unknown.command(&[], &file).output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no server"));
    service.warehouse.assert_rollups_agree().await;
    service.stop().await;
}
