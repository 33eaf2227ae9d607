//! Bots that only their names tell: an operator marks the names, and every node keeps such players apart.

use mohaa_stats::servers::{ServerError, set_bot_names};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Service, ServiceClient, eventually, schemas};

const BOT: &str = "77";
const HUMAN: &str = "41";

/// The bot kills the human once; says whether the event was flagged.
async fn bot_kills(service: &Service, client: &ServiceClient) -> bool {
    let key = Uuid::new_v4().simple().to_string();
    let kill = json!([{"type": "kill", "attacker_guid": BOT, "attacker_name": "^1BOT^7 Hans", "victim_guid": HUMAN,
                       "victim_name": "Robot"}]);
    client.send_with(&[("Idempotency-Key", &key)], kill.to_string()).await.assert_batch(202, 1, &[]);
    let stored = service.warehouse.events_of(&key, 1).await.remove(0);
    assert_eq!((&stored["player_id"], &stored["target_bot"]), (&BOT.into(), &false.into()), "{stored}");
    stored["player_bot"].as_bool().unwrap()
}

/// Kills of the bot on a board, none when it does not stand on it.
async fn kills_on_board(service: &Service, filter: &str) -> Option<u64> {
    let board = service.client.get(&format!("/api/v1/stats/leaderboard{filter}")).await.json();
    let players = board["players"].as_array().unwrap();
    players.iter().find(|player| player["player_id"] == BOT).map(|player| player["kills"].as_u64().unwrap())
}

#[actix_web::test]
async fn players_by_a_marked_name_are_bots_from_then_on_and_on_every_node() {
    let urls = schemas::database("bot_names").await;
    let one = Service::start_on(&urls, &[], Default::default()).await;
    let other = Service::start_on(&urls, &[], Default::default()).await;
    let on_other = other.client.with_token(&one.client.token);
    assert!(!bot_kills(&one, &one.client).await, "nobody has marked the name yet");
    assert!(!bot_kills(&one, &on_other).await);

    let mark = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        set_bot_names(&one.application.postgres, one.server_id, &names).await
    };
    assert_eq!(mark(&["Bot *"]).await.unwrap(), ["bot *"]);
    let mut humanly_killed = 2;
    let mut killed = 2;
    for client in [&one.client, &on_other] {
        eventually("the node has heard of the name", async || {
            let is_flagged = bot_kills(&one, client).await;
            killed += 1;
            humanly_killed += u64::from(!is_flagged);
            is_flagged.then_some(())
        })
        .await;
    }
    let flagged = killed - humanly_killed;
    for (filter, kills) in
        [("", humanly_killed), ("?filter[bots]=only", flagged), ("?filter[bots]=with", killed)]
    {
        eventually(&format!("the board of {filter:?} shows {kills} kills"), async || {
            (kills_on_board(&other, filter).await == Some(kills)).then_some(())
        })
        .await;
    }

    assert!(matches!(mark(&["Bot *", "*"]).await, Err(ServerError::BotName(name)) if name == "*"));
    assert!(bot_kills(&one, &one.client).await, "a mistake changes nothing");
    mark(&[]).await.unwrap();
    eventually("the name marks nobody any more", async || {
        (!bot_kills(&one, &one.client).await).then_some(())
    })
    .await;
    one.stop().await;
    other.stop().await;
}
