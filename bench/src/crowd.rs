//! As many game servers as are wanted: they register by themselves (`REGISTRATION_POLICY=open`) and play the same few battles, each
//! as its own match.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use mohaa_hot::paths::SECONDS_A_REQUEST;
use mohaa_hot::traffic::{BATCH_EVENTS, ServerTraffic, at_level_time};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::load::{INGEST_PATH, Stream};

/// What the service needs to be told.
pub const SETTINGS: [(&str, &str); 1] = [("REGISTRATION_POLICY", "open")];
/// Those that differ; what they are called is another matter.
const BATTLES: usize = 16;
/// Servers that register or post at a time.
const AT_ONCE: usize = 8;

#[derive(Deserialize)]
struct RegisteredServer {
    token: String,
}

pub struct Crowd {
    address: SocketAddr,
    battles: Arc<Vec<ServerTraffic>>,
    members: Vec<Member>,
}

/// A server that was let in.
#[derive(Clone)]
struct Member {
    token: String,
    /// When its match began, by its level's clock.
    began: Instant,
}

impl Crowd {
    pub fn new(address: SocketAddr) -> Self {
        let battles = (0..BATTLES).map(ServerTraffic::of_server).collect();
        Self { address, battles: Arc::new(battles), members: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Registers servers until there are so many, and begins a match on each of the new ones.
    ///
    /// # Errors
    /// When one is not let in.
    pub async fn grow_to(&mut self, servers: usize) -> Result<(), BenchError> {
        let new = self.each(self.len()..servers, |mut connection, number, battles| async move {
            // Servers of one address are told apart by their ports.
            let body = json!({ "name": format!("crowd {number}"), "port": 1_024 + number });
            let request =
                Request::post("/api/v1/servers/register").header("Content-Type", "application/json");
            let answer = connection.send(request, Bytes::from(body.to_string())).await?.success()?;
            let RegisteredServer { token } = serde_json::from_slice(&answer)?;
            let prelude = battles[number % BATTLES].prelude.clone();
            post(&mut connection, &token, prelude).await?;
            Ok((connection, Member { token, began: Instant::now() }))
        });
        self.members.extend(new.await?);
        Ok(())
    }

    /// Has the servers from the place `first` on play: each posts so many requests of [`BATCH_EVENTS`] events, and its level's
    /// clock goes on by as much as they take a full server. Gives the events posted.
    ///
    /// # Errors
    /// When something is not accepted.
    pub async fn play(&mut self, first: usize, requests: usize) -> Result<usize, BenchError> {
        let members = Arc::new(self.members.clone());
        let played = self.each(first..self.len(), move |mut connection, number, battles| {
            let members = members.clone();
            async move {
                let (bodies, member) = (&battles[number % BATTLES].batches, &members[number]);
                let from = member.began.elapsed().as_secs_f64();
                for (place, body) in bodies.iter().cycle().take(requests).enumerate() {
                    let body = at_level_time(body, from + place as f64 * SECONDS_A_REQUEST);
                    post(&mut connection, &member.token, body).await?;
                }
                Ok((connection, requests * BATCH_EVENTS))
            }
        });
        let events = played.await?.into_iter().sum();
        let gone_on = Duration::from_secs_f64(requests as f64 * SECONDS_A_REQUEST);
        for member in &mut self.members[first..] {
            member.began = member.began.checked_sub(gone_on).unwrap_or(member.began);
        }
        Ok(events)
    }

    /// What each server posts from now on, of bodies that servers share.
    pub fn streams(&self, bodies: &[Arc<Vec<Bytes>>], events_per_body: usize) -> Vec<Stream> {
        let stream = |(number, member): (usize, &Member)| Stream {
            token: member.token.clone(),
            began: member.began,
            bodies: bodies[number % bodies.len()].clone(),
            events_per_body,
        };
        self.members.iter().enumerate().map(stream).collect()
    }

    /// Does something for each number, a few at a time; gives the results in the order of the numbers.
    async fn each<T, Doing>(
        &self,
        numbers: std::ops::Range<usize>,
        does: impl Fn(Connection, usize, Arc<Vec<ServerTraffic>>) -> Doing + Clone + Send + 'static,
    ) -> Result<Vec<T>, BenchError>
    where
        T: Send + 'static,
        Doing: Future<Output = Result<(Connection, T), BenchError>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for lane in 0..AT_ONCE {
            let (address, battles, does) = (self.address, self.battles.clone(), does.clone());
            let numbers = numbers.clone().skip(lane).step_by(AT_ONCE);
            tasks.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut results = Vec::new();
                for number in numbers {
                    let (back, result) = does(connection, number, battles.clone()).await?;
                    connection = back;
                    results.push((number, result));
                }
                Ok::<_, BenchError>(results)
            });
        }
        let mut results = Vec::with_capacity(numbers.len());
        while let Some(ended) = tasks.join_next().await {
            results.extend(ended??);
        }
        results.sort_by_key(|(number, _)| *number);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

/// Posts until it is taken: a spool that is behind says so.
async fn post(connection: &mut Connection, token: &str, body: Bytes) -> Result<(), BenchError> {
    loop {
        let request = Request::post(INGEST_PATH).header("X-Server-Token", token);
        let answer = connection.send(request, body.clone()).await?;
        if answer.status != hyper::StatusCode::TOO_MANY_REQUESTS {
            answer.success()?;
            return Ok(());
        }
        tokio::time::sleep(crate::load::PAUSE_AFTER_REFUSAL).await;
    }
}
