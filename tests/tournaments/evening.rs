//! Whole cups on simulated servers: the bracket fills itself.

use mohaa_stats::simulate::cup::{CupOptions, CupReport, play_cup};
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Cup, Service};

async fn played(service: &Service, settings: Value) -> (Cup, CupReport) {
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &token, settings).await;
    let mut servers = Vec::new();
    for number in 1..=4 {
        let (id, token) = service.add_server(&format!("Server {number}")).await;
        servers.push((id.to_string(), token));
    }
    let options = CupOptions {
        url: service.client.url.clone(),
        tournament_id: cup.id.clone(),
        access_token: token,
        servers,
        seed: 7,
    };
    let report = play_cup(options, |_| {}).await.unwrap();
    (cup, report)
}

#[actix_web::test]
async fn a_cup_of_made_up_players_ends_with_a_champion_whom_nobody_reported() {
    let service = Service::start("cup").await;
    let settings = json!({
        "name": "Evening", "format": "double_elimination", "max_participants": 6,
        "options": { "best_of_rounds": { "final": 3 } },
    });
    let (cup, report) = played(&service, settings).await;
    assert_eq!((report.status.as_str(), cup.status().await.as_str()), ("completed", "completed"));
    assert!((10..=11).contains(&report.matches_played), "{report:?}");
    assert_eq!(report.champions, cup.final_places().await[0]);
    for one in cup.matches().await.iter().filter(|one| one["flags"] == json!([])) {
        let games = one["games"].as_array().unwrap();
        assert!(games.iter().all(|game| game["match_id"].is_string()), "{one}");
    }
    let log = service.client.get_as(&cup.organizer, &cup.path("/audit?limit=100")).await.json();
    let entries = log["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["action"] != "report"), "nobody reported");
    let said = entries.iter().filter(|entry| entry["action"] == "report_game").count();
    assert_eq!(said, report.games_played);
    service.stop().await;
}

#[actix_web::test]
async fn swiss_is_paired_and_played_round_by_round() {
    let service = Service::start("swiss_cup").await;
    let settings = json!({ "name": "Swiss", "format": "swiss", "max_participants": 5, "options": { "swiss_rounds": 3 } });
    let (cup, report) = played(&service, settings).await;
    assert_eq!((report.status.as_str(), report.matches_played), ("completed", 6));
    assert_eq!(cup.final_places().await.iter().map(Vec::len).sum::<usize>(), 5);
    service.stop().await;
}
