//! Tournaments as their organizer drives them over HTTP.

use serde_json::{Value, json};

use super::{Reply, ServiceClient};

/// A tournament and the token of its organizer.
#[derive(Clone)]
pub struct Cup {
    pub client: ServiceClient,
    pub organizer: String,
    pub id: String,
}

impl Cup {
    /// A draft.
    pub async fn draft(client: &ServiceClient, organizer: &str, settings: Value) -> Self {
        let made = client.call_as(organizer, "POST", "/api/v1/tournaments", settings).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        Self { client: client.clone(), organizer: organizer.to_owned(), id }
    }

    /// With so many participants by name (`P1`, `P2`, …), begun.
    pub async fn begun(client: &ServiceClient, organizer: &str, settings: Value, entrants: usize) -> Self {
        let cup = Self::draft(client, organizer, settings).await;
        cup.moves_to("registration_open").await;
        for number in 1..=entrants {
            cup.enters(&format!("P{number}")).await;
        }
        cup.moves_to("registration_closed").await;
        cup.moves_to("in_progress").await;
        cup
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/tournaments/{}{rest}", self.id)
    }

    pub async fn get(&self, rest: &str) -> Value {
        let answer = self.client.get(&self.path(rest)).await;
        assert_eq!(answer.status, 200, "{rest}: {}", answer.text);
        answer.json()
    }

    /// As its organizer.
    pub async fn post(&self, rest: &str, body: Value) -> Reply {
        self.client.call_as(&self.organizer, "POST", &self.path(rest), body).await
    }

    /// As its organizer, and it works.
    pub async fn does(&self, rest: &str, body: Value) -> Value {
        let answer = self.post(rest, body).await;
        assert!(answer.status.is_success(), "{rest}: {}", answer.text);
        answer.json()
    }

    pub async fn moves_to(&self, status: &str) -> Value {
        self.does("/status", json!({ "status": status })).await
    }

    pub async fn enters(&self, name: &str) -> Value {
        self.does("/register", json!({ "name": name })).await
    }

    pub async fn reports(&self, key: &str, score1: u32, score2: u32) -> Value {
        let body = json!({ "score1": score1, "score2": score2 });
        self.does(&format!("/matches/{key}/report"), body).await
    }

    pub async fn status(&self) -> String {
        self.get("").await["status"].as_str().unwrap().to_owned()
    }

    /// All matches of the bracket.
    pub async fn matches(&self) -> Vec<Value> {
        let bracket = self.get("/bracket").await;
        let mut matches = Vec::new();
        for stage in bracket["stages"].as_array().unwrap() {
            for group in stage["groups"].as_array().unwrap() {
                for round in group["rounds"].as_array().unwrap() {
                    matches.extend(round["matches"].as_array().unwrap().iter().cloned());
                }
            }
        }
        matches
    }

    pub async fn one(&self, key: &str) -> Value {
        self.get(&format!("/matches/{key}")).await
    }

    /// Reports every match that is ready, whoever `wins` says, until none is. Gives how many that were.
    pub async fn plays(&self, wins: impl Fn(&Value) -> usize) -> usize {
        let mut played = 0;
        loop {
            let ready: Vec<Value> =
                self.matches().await.into_iter().filter(|one| one["status"] == "ready").collect();
            if ready.is_empty() {
                return played;
            }
            for one in ready {
                let need = one["best_of"].as_u64().unwrap() as u32 / 2 + 1;
                let (score1, score2) = if wins(&one) == 1 { (need, 0) } else { (0, need) };
                self.reports(one["key"].as_str().unwrap(), score1, score2).await;
                played += 1;
            }
        }
    }

    /// By name, in tiers.
    pub async fn final_places(&self) -> Vec<Vec<String>> {
        let participants = self.get("/participants").await;
        let name = |id: &Value| {
            let all = participants["participants"].as_array().unwrap();
            let one = all.iter().find(|one| one["participant_id"] == *id).unwrap();
            one["name"].as_str().unwrap().to_owned()
        };
        let standings = self.get("/standings").await;
        let tiers = standings["final"].as_array().unwrap();
        tiers.iter().map(|tier| tier.as_array().unwrap().iter().map(name).collect()).collect()
    }
}

/// The side of the better seed.
pub fn favourite(one: &Value) -> usize {
    let seed = |side: usize| one["slots"][side]["seed"].as_u64().unwrap();
    if seed(0) < seed(1) { 1 } else { 2 }
}
