//! Achievements that are earned in tournaments: given as one is completed, and what a correction makes of them.

use mohaa_stats::users::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Cup, Service, eventually, favourite};

/// A cup of four users with linked players, seeds 1 to 4 in that order, begun.
struct Quartet {
    cup: Cup,
    /// Canonical.
    players: Vec<String>,
}

async fn quartet(service: &Service, organizer: &str, settings: Value, people: &[(i32, String)]) -> Quartet {
    let cup = Cup::draft(&service.client, organizer, settings).await;
    cup.moves_to("registration_open").await;
    for (_, token) in people {
        let entered = service.client.call_as(token, "POST", &cup.path("/register"), json!({})).await;
        assert_eq!(entered.status, 201, "{}", entered.text);
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    Quartet { cup, players: people.iter().map(|(user_id, _)| user_id.to_string()).collect() }
}

async fn four_people(service: &Service, name: &str) -> Vec<(i32, String)> {
    let mut people = Vec::new();
    for number in 1..=4 {
        let guid = format!("{name}-{number}");
        let (user_id, token) = service.add_user(&guid, Role::Player).await;
        service.link_player(user_id, &guid).await;
        people.push((user_id, token));
    }
    people
}

/// `slug.tier` of all that a player has from tournaments, in order.
async fn unlocked(pool: &PgPool, player_id: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT achievement || '.' || tier FROM player_achievements
         WHERE player_id = $1 AND tournament_id IS NOT NULL ORDER BY 1",
    )
    .bind(player_id)
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn told(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM webhook_deliveries WHERE event = 'achievement'")
        .fetch_one(pool)
        .await
        .unwrap()
}

fn single() -> Value {
    json!({ "name": "Cup", "format": "single_elimination" })
}

#[actix_web::test]
async fn a_completed_tournament_gives_once_and_a_correction_moves_what_it_gave() {
    let service = Service::start("cup_unlocks").await;
    let pool = service.application.postgres.clone();
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let hook = json!({ "name": "News", "kind": "generic", "url": "https://example.com/hook", "events": ["achievement"] });
    let hooked = service.client.call_as(&organizer, "POST", "/api/v1/webhooks", hook).await;
    assert_eq!(hooked.status, 201, "{}", hooked.text);
    let people = four_people(&service, "cup_unlocks").await;
    let Quartet { cup, players } = quartet(&service, &organizer, single(), &people).await;
    cup.reports("R1.1", 1, 0).await;
    cup.reports("R1.2", 2, 1).await;
    for player in &players {
        assert!(unlocked(&pool, player).await.is_empty(), "nothing is given while it is played");
    }
    cup.reports("R2.1", 3, 0).await;
    assert_eq!(
        unlocked(&pool, &players[0]).await,
        ["cup-champion.1", "cup-part.1", "cup-shutouts.1", "cup-undefeated.1", "cup-wins.1"]
    );
    assert_eq!(unlocked(&pool, &players[1]).await, ["cup-part.1", "cup-runner-up.1", "cup-wins.1"]);
    assert_eq!(unlocked(&pool, &players[3]).await, ["cup-part.1"]);
    let given = told(&pool).await;
    assert_eq!(given, 5 + 3 + 1 + 1);

    // In lists like everything else.
    let list = eventually("achievements can be read", async || {
        let list = service.client.get("/api/v1/achievements").await;
        (list.status == 200).then(|| list.json())
    })
    .await;
    let recent = list["recent"].as_array().unwrap();
    let champion = recent.iter().find(|one| one["slug"] == "cup-champion").unwrap();
    assert_eq!(
        (&champion["player_id"], &champion["tournament_id"], &champion["match_id"]),
        (&json!(players[0]), &json!(cup.id), &Value::Null)
    );

    // The other way round: what was told is not told again.
    cup.does("/matches/R2.1/correct", json!({ "score1": 0, "score2": 3 })).await;
    assert_eq!(
        unlocked(&pool, &players[0]).await,
        ["cup-part.1", "cup-runner-up.1", "cup-shutouts.1", "cup-wins.1"]
    );
    assert_eq!(
        unlocked(&pool, &players[1]).await,
        ["cup-champion.1", "cup-part.1", "cup-shutouts.1", "cup-undefeated.1", "cup-wins.1"]
    );
    assert_eq!(told(&pool).await, given + 4);
    cup.does("/undo", json!({})).await;
    assert_eq!(
        unlocked(&pool, &players[0]).await,
        ["cup-champion.1", "cup-part.1", "cup-shutouts.1", "cup-undefeated.1", "cup-wins.1"]
    );
    assert_eq!(told(&pool).await, given + 4);

    // Played again: nothing is taken until it is decided again.
    cup.does("/matches/R2.1/reset", json!({})).await;
    assert_eq!(unlocked(&pool, &players[0]).await.len(), 5);
    cup.reports("R2.1", 1, 2).await;
    assert_eq!(unlocked(&pool, &players[0]).await.len(), 4);
    // As if it had never been: the report, the reset, the final, two semi-finals and the start.
    for _ in 0..6 {
        cup.does("/undo", json!({})).await;
    }
    assert_eq!(cup.status().await, "registration_closed");
    for player in &players {
        assert!(unlocked(&pool, player).await.is_empty());
    }
    service.stop().await;
}

#[actix_web::test]
async fn what_is_taken_back_in_one_tournament_is_still_had_from_another() {
    let service = Service::start("cup_twice").await;
    let pool = service.application.postgres.clone();
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let people = four_people(&service, "cup_twice").await;
    let first = quartet(&service, &organizer, single(), &people).await;
    first.cup.plays(favourite).await;
    let second = quartet(&service, &organizer, single(), &people).await;
    second.cup.plays(favourite).await;
    let from = async || -> String {
        sqlx::query_scalar(
            "SELECT tournament_id::text FROM player_achievements WHERE player_id = $1 AND achievement = 'cup-champion'",
        )
        .bind(&first.players[0])
        .fetch_one(&pool)
        .await
        .unwrap()
    };
    assert_eq!(from().await, first.cup.id);
    first.cup.does("/matches/R2.1/correct", json!({ "score1": 0, "score2": 1 })).await;
    assert_eq!(from().await, second.cup.id);

    // A document proves nothing: what is imported gives nothing, whatever is done to it.
    let document = service.client.get_as(&organizer, &second.cup.path("/export")).await.json();
    let before: i64 =
        sqlx::query_scalar("SELECT count(*) FROM player_achievements").fetch_one(&pool).await.unwrap();
    let copy = service.client.call_as(&organizer, "POST", "/api/v1/tournaments/import", document).await;
    assert_eq!(copy.status, 201, "{}", copy.text);
    let copy = Cup { id: copy.json()["id"].as_str().unwrap().to_owned(), ..second.cup.clone() };
    copy.does("/matches/R2.1/correct", json!({ "score1": 0, "score2": 1 })).await;
    let after: i64 =
        sqlx::query_scalar("SELECT count(*) FROM player_achievements").fetch_one(&pool).await.unwrap();
    assert_eq!(after, before);
    service.stop().await;
}

#[actix_web::test]
async fn who_plays_for_two_teams_of_a_tournament_earns_for_both_once() {
    let service = Service::start("cup_teams").await;
    let pool = service.application.postgres.clone();
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let people = four_people(&service, "cup_teams").await;
    let settings = json!({ "name": "Teams", "format": "round_robin", "team_size": 2 });
    let cup = Cup::draft(&service.client, &organizer, settings).await;
    cup.moves_to("registration_open").await;
    let as_user = async |token: &str, path: &str, body: Value| {
        let answer = service.client.call_as(token, "POST", path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.json()
    };
    // Everybody has a team, and the first is in all of them.
    for (number, (_, captain)) in people.iter().enumerate() {
        let team = as_user(captain, "/api/v1/teams", json!({ "name": format!("Team {number}") })).await;
        let id = team["team_id"].as_str().unwrap().to_owned();
        let other = if number == 0 { &people[1] } else { &people[0] };
        let code = as_user(captain, &format!("/api/v1/teams/{id}/invites"), json!({})).await["code"].clone();
        as_user(&other.1, "/api/v1/teams/invites/accept", json!({ "code": code })).await;
        as_user(captain, &cup.path("/register"), json!({ "team_id": id })).await;
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    assert_eq!(cup.plays(favourite).await, 6);
    let of_all = unlocked(&pool, &people[0].0.to_string()).await;
    assert!(
        ["cup-champion.1", "cup-runner-up.1"].iter().all(|one| of_all.iter().any(|it| it == one)),
        "{of_all:?}"
    );
    let written: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tournament_players").fetch_one(&pool).await.unwrap();
    assert_eq!(written, 8);
    service.stop().await;
}
