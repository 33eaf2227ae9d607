//! The games of a bracket as matches: that they name their tournament, and what they add up to.

use serde_json::{Value, json};

use super::witness::{Duel, duel, single};
use crate::support::eventually;

async fn listed_of(duel: &Duel) -> Vec<Value> {
    let path = format!("/api/v1/stats/matches?filter[tournament]={}", duel.cup.id);
    let answer = duel.service.client.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["matches"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn a_match_names_the_tournament_that_it_is_a_game_of_while_it_is_played_and_after() {
    let duel = duel("named_games", single()).await;
    let client = &duel.service.client;
    let kill = json!({
        "type": "player_kill", "match_id": "final", "timestamp": 10.0, "weapon": "M1 Garand", "map_name": "dm/mohdm6",
        "gametype": "tdm", "match_token": duel.token,
        "attacker_name": "A", "attacker_guid": duel.guids[0], "attacker_team": "allies",
        "victim_name": "B", "victim_guid": duel.guids[1], "victim_team": "axis",
    });
    client.send(json!([kill]).to_string()).await.assert_batch(202, 1, &[]);
    let id = json!(duel.cup.id);
    eventually("the live match names its tournament", async || {
        let live = client.get("/api/v1/stats/live").await.json();
        (live["matches"][0]["tournament_id"] == id).then_some(())
    })
    .await;
    let named = json!({ "tournament_id": id, "name": "Final", "key": "R1.1" });
    eventually("so does its statistics", async || {
        let detail = client.get("/api/v1/stats/match/final").await;
        (detail.status == 200 && detail.json()["tournament"] == named).then_some(())
    })
    .await;
    assert!(listed_of(&duel).await.is_empty(), "it has not reported itself yet");

    duel.plays("final", true, (7, 4), json!({})).await;
    duel.completes().await;
    let of_cup = eventually("it is listed as a game of the tournament", async || {
        let listed = listed_of(&duel).await;
        (listed.len() == 1).then_some(listed)
    })
    .await;
    assert_eq!((&of_cup[0]["tournament_id"], &of_cup[0]["source_match_id"]), (&id, &json!("final")));
    assert_eq!(client.get("/api/v1/stats/match/final").await.json()["tournament"], named);

    // Whoever plays there afterwards does not.
    let warm_up = |at: f64| {
        json!({
            "type": "player_kill", "match_id": "warm-up", "timestamp": at, "weapon": "M1 Garand",
            "attacker_name": "A", "attacker_guid": duel.guids[0], "attacker_team": "allies",
            "victim_name": "B", "victim_guid": duel.guids[1], "victim_team": "axis",
        })
    };
    client.send(json!([warm_up(5.0)]).to_string()).await.assert_batch(202, 1, &[]);
    let warm_up = eventually("the next match is there", async || {
        let detail = client.get("/api/v1/stats/match/warm-up").await;
        (detail.status == 200).then(|| detail.json())
    })
    .await;
    assert_eq!(warm_up["tournament"], Value::Null);
    client
        .get("/api/v1/stats/matches?filter[tournament]=mine")
        .await
        .assert_refused(422, "validation_failed");
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_tournament_has_the_statistics_of_those_of_its_games_that_stand() {
    let settings = json!({ "name": "Final", "format": "single_elimination", "best_of": 3 });
    let duel = duel("cup_statistics", settings).await;
    let kill = |game: &str, at: f64, killer: usize| {
        let teams = ["allies", "axis"];
        json!({
            "type": "player_kill", "match_id": game, "timestamp": at,
            "weapon": "M1 Garand", "map_name": "dm/mohdm6", "gametype": "tdm",
            "attacker_name": "A", "attacker_guid": duel.guids[killer], "attacker_team": teams[killer],
            "victim_name": "B", "victim_guid": duel.guids[1 - killer], "victim_team": teams[1 - killer],
        })
    };
    // Not a game of the bracket.
    let stranger = json!({
        "type": "player_kill", "match_id": "warm-up", "timestamp": 5.0, "weapon": "M1 Garand",
        "attacker_name": "S", "attacker_guid": "stranger", "attacker_team": "allies",
        "victim_name": "B", "victim_guid": duel.guids[1], "victim_team": "axis",
    });
    duel.service.client.send(json!([stranger]).to_string()).await.assert_batch(202, 1, &[]);
    duel.plays("warm-up", true, (1, 0), json!({})).await;
    duel.has_been_witnessed(1).await;
    // Two kills of the first in a row, before one of each.
    let before = json!([kill("one", 1.0, 0), kill("one", 2.0, 0)]);
    duel.service.client.send(before.to_string()).await.assert_batch(202, 2, &[]);
    duel.plays("one", true, (9, 2), json!({})).await;
    duel.has_been_witnessed(2).await;
    duel.plays("two", true, (9, 2), json!({})).await;
    duel.completes().await;

    let of_cup = eventually("both games are added up", async || {
        let figures = duel.cup.get("/statistics").await;
        (figures["games"] == 2 && figures["kills"] == 6).then_some(figures)
    })
    .await;
    assert_eq!((&of_cup["matches"], &of_cup["total"]), (&json!(1), &json!(2)));
    let first = &of_cup["players"][0];
    let told = json!({
        "kills": first["kills"], "deaths": first["deaths"], "kd_ratio": first["kd_ratio"], "mvps": first["mvps"],
        "best_killstreak": first["best_killstreak"], "games_played": first["games_played"],
        "participant_id": first["participant_id"], "rank": first["rank"],
    });
    let expected = json!({
        "kills": 4, "deaths": 2, "kd_ratio": 2.0, "mvps": 2, "best_killstreak": 3, "games_played": 2,
        "participant_id": 1, "rank": 1,
    });
    assert_eq!(told, expected, "{of_cup}");
    let most_kills = &of_cup["records"][0];
    assert_eq!(
        (&most_kills["record"], &most_kills["value"], &most_kills["key"], &most_kills["player_id"]),
        (&json!("kills"), &json!(3.0), &json!("R1.1"), &first["player_id"])
    );
    let by_deaths = duel.cup.get("/statistics?stat=deaths&limit=1").await;
    assert_eq!(
        (&by_deaths["players"][0]["deaths"], by_deaths["players"].as_array().unwrap().len()),
        (&json!(4), 1)
    );
    let unknown = duel.service.client.get(&duel.cup.path("/statistics?stat=luck")).await;
    unknown.assert_refused(422, "validation_failed");

    // As if it had not been played.
    duel.cup.does("/matches/R1.1/reset", json!({})).await;
    let nothing = duel.cup.get("/statistics").await;
    assert_eq!(
        (&nothing["games"], &nothing["players"], &nothing["records"]),
        (&json!(0), &json!([]), &json!([]))
    );
    duel.cup.does("/undo", json!({})).await;
    assert_eq!(duel.cup.get("/statistics").await["games"], 2);
    // Decided by hand: the games were played all the same.
    duel.cup.does("/matches/R1.1/correct", json!({ "score1": 2, "score2": 1 })).await;
    assert_eq!(duel.cup.get("/statistics").await["games"], 2);
    duel.service.stop().await;
}
