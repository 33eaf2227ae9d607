//! A process that is killed while results are reported.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::StreamExt as _;
use futures_util::stream;
use mohaa_faults::process::ServiceProcess;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Cup, PATIENCE, Service, ServiceClient, schemas};

const TOURNAMENTS: usize = 100;
const REPORTERS: usize = 20;
const KILLS: usize = 8;

/// What is reported of a match: the same whenever it is reported.
fn scores(number: usize) -> (u32, u32) {
    (number as u32 % 7, 7)
}

/// Reports until the process is gone; `count` follows how many were acknowledged. Gives what was.
async fn report(
    url: &str,
    organizer: &str,
    open: &[(usize, String, String)],
    count: &watch::Sender<usize>,
) -> Vec<(String, String)> {
    let client = ServiceClient::new(url.to_owned(), String::new());
    let bearer = format!("Bearer {organizer}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let reports = open.iter().map(|(number, id, key)| {
        let (client, headers) = (&client, &headers);
        async move {
            let (score1, score2) = scores(*number);
            let path = format!("/api/v1/tournaments/{id}/matches/{key}/report");
            let body = json!({ "score1": score1, "score2": score2 }).to_string();
            let answer = client.post(&path, headers, body).await.ok()?;
            // What is decided already was committed by a request whose answer was lost.
            assert!(matches!(answer.status.as_u16(), 200 | 409 | 503), "{}", answer.text);
            (answer.status == 200).then(|| {
                count.send_modify(|count| *count += 1);
                (id.clone(), key.clone())
            })
        }
    });
    stream::iter(reports)
        .buffer_unordered(REPORTERS)
        .filter_map(|acknowledged| async { acknowledged })
        .collect()
        .await
}

#[actix_web::test]
async fn every_acknowledged_result_of_a_hundred_tournaments_survives_a_kill_and_none_is_half_there() {
    let stores = schemas::database("tournament_kill").await;
    let service = Service::start_on(&stores, &[], Surroundings::default()).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "round_robin" });
    let first = Cup::begun(&service.client, &organizer, settings, 4).await;
    let document = service.client.get_as(&organizer, &first.path("/export")).await.json();
    let mut cups = vec![first];
    while cups.len() < TOURNAMENTS {
        let copy =
            service.client.call_as(&organizer, "POST", "/api/v1/tournaments/import", document.clone()).await;
        assert_eq!(copy.status, 201, "{}", copy.text);
        cups.push(Cup { id: copy.json()["id"].as_str().unwrap().to_owned(), ..cups[0].clone() });
    }
    let keys = ["G1.R1.1", "G1.R1.2", "G1.R2.1", "G1.R2.2", "G1.R3.1", "G1.R3.2"];
    let mut all: BTreeMap<(String, String), usize> = BTreeMap::new();
    for key in keys {
        for cup in &cups {
            all.insert((cup.id.clone(), key.to_owned()), all.len());
        }
    }
    let mut open: Vec<(usize, String, String)> =
        all.iter().map(|((id, key), number)| (*number, id.clone(), key.clone())).collect();
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    for kill in 0..KILLS {
        let directory = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
        let process = ServiceProcess::start(program, directory.path(), &stores, &[]).await.unwrap();
        let url = process.url.clone();
        // In the middle of it, each time elsewhere: while others are on their way.
        let enough = 3 + 9 * (kill * kill % 7);
        let (count, mut counted) = watch::channel(0);
        let (done, ()) = tokio::join!(report(&url, &organizer, &open, &count), async {
            let has_enough = counted.wait_for(|count| *count >= enough);
            tokio::time::timeout(PATIENCE, has_enough).await.expect("results are acknowledged").unwrap();
            process.kill().await.unwrap();
        });
        open.retain(|(_, id, key)| !done.contains(&(id.clone(), key.clone())));
        acknowledged.extend(done);
    }
    assert!(!acknowledged.is_empty() && acknowledged.len() < all.len(), "{}", acknowledged.len());

    for cup in &cups {
        for one in cup.matches().await {
            let key = one["key"].as_str().unwrap().to_owned();
            let place = (cup.id.clone(), key);
            let slots = (&one["slots"][0]["score"], &one["slots"][1]["score"]);
            if one["status"] == "completed" {
                let (score1, score2) = scores(all[&place]);
                assert_eq!(slots, (&json!(score1), &json!(score2)), "{one}");
            } else {
                assert_eq!(
                    (one["status"].as_str(), slots),
                    (Some("ready"), (&Value::Null, &Value::Null)),
                    "{one}"
                );
                assert!(!acknowledged.contains(&place), "{place:?} was acknowledged");
            }
        }
    }
    // The rest is reported here, and each log leads to what is stored.
    for cup in &cups {
        for one in cup.matches().await.iter().filter(|one| one["status"] == "ready") {
            cup.reports(one["key"].as_str().unwrap(), 1, 0).await;
        }
        assert_eq!(cup.status().await, "completed");
        let document = service.client.get_as(&organizer, &cup.path("/export")).await.json();
        let copy =
            service.client.call_as(&organizer, "POST", "/api/v1/tournaments/import", document.clone()).await;
        assert_eq!(copy.status, 201, "{}", copy.text);
        let copy = Cup { id: copy.json()["id"].as_str().unwrap().to_owned(), ..cup.clone() };
        assert_eq!(copy.get("/standings").await["groups"], document["standings"]["groups"]);
    }
    service.stop().await;
}
