//! Every format from the draft to the final places.

use serde_json::{Value, json};

use crate::support::{Cup, Service, favourite};
use mohaa_stats::users::Role;

async fn organizer(service: &Service) -> String {
    service.add_user("Organizer", Role::Organizer).await.1
}

fn keys(matches: &[Value]) -> Vec<&str> {
    matches.iter().map(|one| one["key"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn single_elimination_gives_byes_to_the_best_and_ends_with_places() {
    let service = Service::start("single").await;
    let token = organizer(&service).await;
    let settings = json!({
        "name": "Omaha Cup", "format": "single_elimination",
        "options": { "third_place": true, "best_of_rounds": { "final": 3 } },
    });
    let cup = Cup::begun(&service.client, &token, settings, 5).await;

    let matches = cup.matches().await;
    assert_eq!(keys(&matches), ["R1.1", "R1.2", "R1.3", "R1.4", "R2.1", "R2.2", "R3.1", "C1"]);
    let first = &matches[0];
    assert_eq!(first["slots"][1]["kind"], "bye");
    assert_eq!(first["status"], "completed");
    assert_eq!(first["winner_to"], "R2.1/1");
    assert_eq!(matches[4]["slots"][0]["name"], "P1");
    assert_eq!(matches[4]["slots"][1]["kind"], "tbd");
    assert_eq!(matches[4]["slots"][1]["from"], json!({ "match": "R1.2", "result": "winner" }));
    assert_eq!(matches[4]["loser_to"], "C1/1");
    assert_eq!((&matches[6]["best_of"], &matches[4]["best_of"]), (&json!(3), &json!(1)));

    assert_eq!(cup.plays(favourite).await, 5);
    assert_eq!(cup.status().await, "completed");
    let places = cup.final_places().await;
    assert_eq!(places, [vec!["P1"], vec!["P2"], vec!["P3"], vec!["P4"], vec!["P5"]]);
    service.stop().await;
}

#[actix_web::test]
async fn a_reset_match_is_there_once_it_is_due() {
    let service = Service::start("reset").await;
    let token = organizer(&service).await;
    let settings = json!({ "name": "Double", "format": "double_elimination" });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    let refused = cup.post("/matches/GF2/report", json!({ "score1": 1, "score2": 0 })).await;
    refused.assert_refused(409, "reset_not_due");
    assert!(!keys(&cup.matches().await).contains(&"GF2"));

    for (key, score1, score2) in
        [("W1.1", 2, 0), ("W1.2", 2, 0), ("W2.1", 2, 0), ("L1.1", 2, 0), ("L2.1", 0, 2)]
    {
        cup.reports(key, score1, score2).await;
    }
    cup.reports("GF1", 0, 2).await;
    assert!(keys(&cup.matches().await).contains(&"GF2"));
    assert_eq!(cup.status().await, "in_progress");
    let (first, reset) = (cup.one("GF1").await, cup.one("GF2").await);
    for side in 0..2 {
        assert_eq!(first["slots"][side]["name"], reset["slots"][side]["name"]);
    }
    cup.reports("GF2", 2, 1).await;
    assert_eq!(cup.status().await, "completed");
    assert_eq!(cup.final_places().await[0], ["P1"]);
    service.stop().await;
}

#[actix_web::test]
async fn sixty_four_play_double_elimination_to_the_reset() {
    let service = Service::start("sixty_four").await;
    let token = organizer(&service).await;
    let settings = json!({ "name": "Big", "format": "double_elimination", "seeding": "inner_outer" });
    let cup = Cup::begun(&service.client, &token, settings, 64).await;
    let played = cup
        .plays(|one| match one["key"].as_str() {
            Some("GF1") => 2,
            _ => favourite(one),
        })
        .await;
    assert_eq!(played, 2 * 64 - 1);
    assert_eq!(cup.final_places().await[0], ["P1"]);
    assert_eq!(cup.final_places().await.iter().map(Vec::len).sum::<usize>(), 64);
    service.stop().await;
}

#[actix_web::test]
async fn thirty_three_play_swiss_without_meeting_twice() {
    let service = Service::start("swiss").await;
    let token = organizer(&service).await;
    let settings = json!({ "name": "Swiss", "format": "swiss", "options": { "swiss_rounds": 6 } });
    let cup = Cup::begun(&service.client, &token, settings, 33).await;
    for round in 1..=6 {
        let last = cup.matches().await.pop().unwrap();
        assert_eq!(
            (&last["key"], &last["slots"][1]["kind"]),
            (&json!(format!("S{round}.17")), &json!("bye"))
        );
        let early = cup.post("/rounds/next", json!({})).await;
        early.assert_refused(409, "round_is_open");
        assert_eq!(cup.plays(favourite).await, 16);
        if round < 6 {
            cup.does("/rounds/next", json!({})).await;
        }
    }
    cup.post("/rounds/next", json!({})).await.assert_refused(409, "no_further_round");
    assert_eq!(cup.status().await, "completed");

    let standings = cup.get("/standings").await;
    let rows = standings["groups"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 33);
    assert_eq!((&rows[0]["name"], &rows[0]["points"]), (&json!("P1"), &json!(6.0)));
    for row in rows {
        let games = row["games"].as_array().unwrap();
        let mut met: Vec<u64> = games.iter().filter_map(|game| game["opponent_id"].as_u64()).collect();
        let byes = games.iter().filter(|game| game["result"] == "bye").count();
        assert!(byes <= 1, "{row}");
        met.sort_unstable();
        let all = met.len();
        met.dedup();
        assert_eq!(met.len(), all, "{row}");
        let opponents = games.iter().filter_map(|game| game["opponent_points"].as_f64()).sum::<f64>();
        assert_eq!(row["tie_breaks"]["buchholz"], opponents);
    }
    service.stop().await;
}

#[actix_web::test]
async fn twelve_in_groups_go_on_to_a_knockout() {
    let service = Service::start("groups").await;
    let token = organizer(&service).await;
    let settings =
        json!({ "name": "Groups", "format": "group_stage", "options": { "groups": 4, "advance": 2 } });
    let cup = Cup::begun(&service.client, &token, settings, 12).await;
    let bracket = cup.get("/bracket").await;
    assert_eq!(bracket["stages"][0]["kind"], "groups");
    assert_eq!(bracket["stages"][0]["groups"].as_array().unwrap().len(), 4);
    assert_eq!(bracket["stages"][1]["kind"], "single_elimination");
    let first = cup.one("R1.1").await;
    assert_eq!(first["slots"][0]["kind"], "tbd");
    assert_eq!(first["slots"][0]["from"], json!({ "group": 1, "place": 1 }));
    assert_eq!(cup.plays(favourite).await, 4 * 3 + 7);
    let places = cup.final_places().await;
    assert_eq!(places[0], ["P1"]);
    assert_eq!(places.iter().map(Vec::len).sum::<usize>(), 12);
    // The thirds of the groups, who did not go on, are equals.
    assert_eq!(places.last().unwrap().len(), 4);
    service.stop().await;
}

#[actix_web::test]
async fn round_robin_counts_draws_and_points_as_it_is_told() {
    let service = Service::start("robin").await;
    let token = organizer(&service).await;
    let settings = json!({
        "name": "League", "format": "round_robin",
        "options": { "points": { "win": 2, "draw": 1, "loss": 0 }, "tie_breaks": ["points", "score_diff"] },
    });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    assert_eq!(
        keys(&cup.matches().await),
        ["G1.R1.1", "G1.R1.2", "G1.R2.1", "G1.R2.2", "G1.R3.1", "G1.R3.2"]
    );
    let first = cup.one("G1.R1.1").await;
    assert_eq!((&first["slots"][0]["name"], &first["slots"][1]["name"]), (&json!("P1"), &json!("P4")));
    cup.reports("G1.R1.1", 1, 1).await;
    cup.reports("G1.R1.2", 3, 0).await;
    let standings = cup.get("/standings").await;
    let rows = standings["groups"][0]["rows"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["name"], &rows[0]["points"], &rows[0]["score_diff"]),
        (&json!("P3"), &json!(2.0), &json!(3))
    );
    assert_eq!((&rows[1]["rank"], &rows[2]["rank"], &rows[1]["draws"]), (&json!(2), &json!(2), &json!(1)));
    assert_eq!(standings["final"], json!([]));
    service.stop().await;
}
