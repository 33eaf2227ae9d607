//! Which of several servers is the primary.
//!
//! A pool has one address at a time. A task asks the server behind it every second, over a connection of its own, whether it is still
//! the primary; when it says no, or nothing, all servers are asked, and new connections of the pool go to the one that says yes. Until
//! there is one nothing is changed: whoever wants a connection waits, and is told that PostgreSQL is away.
//!
//! Who becomes the primary is decided elsewhere (an operator, Patroni, repmgr). Two say that they are when one was promoted while the
//! other one lived on, or when the one before came back by itself. A promotion begins a timeline with a higher number, so the one on the
//! highest is meant. All servers are looked at before the first connection is made, and every five seconds after that: nodes write to the
//! same one, whenever they started. One on a lower timeline than a primary that was seen before lacks what was written since, and no
//! connection of this process leads to it any more, even where it is the only one that answers.
//!
//! Two on the same timeline (two standbys that were both promoted) are not told apart: the one in use stays in use, and who starts
//! takes the first in the list. That there are two is told by an error and by the gauge.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

const ASK_EVERY: Duration = Duration::from_secs(1);
/// Of the servers that are not in use; each costs one short question over a connection that is kept.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(5);
/// A server that says nothing for so long is away.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// The number of a server's history: each promotion begins the next one.
type Timeline = i64;

/// The timeline of the server at the other end; none where it is a standby. The name of a file of the log begins with it: what
/// `pg_control_checkpoint()` says is that of the last checkpoint, which may be older than the promotion. Any role may ask for it.
async fn timeline(connection: &mut PgConnection) -> sqlx::Result<Option<Timeline>> {
    sqlx::query_scalar(
        "SELECT CASE WHEN NOT pg_is_in_recovery()
             THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END",
    )
    .fetch_one(connection)
    .await
}

#[derive(Clone, Copy)]
struct Primary {
    timeline: Timeline,
    /// When the pool's address became this server's.
    since: Instant,
}

/// The primary that was found, which a pool's connections are held against; none before the first one. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct KnownPrimary(Arc<RwLock<Option<Primary>>>);

impl KnownPrimary {
    fn get(&self) -> Option<Primary> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, primary: Primary) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(primary);
    }

    /// Whether a connection of this age may lead to the server before.
    pub fn is_younger_than(&self, age: Duration) -> bool {
        self.get().is_none_or(|primary| primary.since.elapsed() < age)
    }

    /// Whether the server at the other end takes what is written, and is no primary of the past.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn is_at(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let Some(asked) = timeline(connection).await? else { return Ok(false) };
        // Read when the answer is there: another one may have been found meanwhile.
        Ok(self.get().is_some_and(|primary| asked >= primary.timeline))
    }
}

struct Server {
    address: PgConnectOptions,
    /// For questions alone; kept, as they come again.
    connection: Option<PgConnection>,
}

impl Server {
    /// The timeline on which it is the primary; none where it is a standby, or says nothing.
    async fn ask(&mut self) -> Option<Timeline> {
        tokio::time::timeout(ANSWER_PATIENCE, self.timeline()).await.ok()?.ok()?
    }

    /// A connection that fails, or whose answer nobody waits for any more, is not kept.
    async fn timeline(&mut self) -> sqlx::Result<Option<Timeline>> {
        if let Some(mut kept) = self.connection.take()
            && let Ok(answer) = timeline(&mut kept).await
        {
            self.connection = Some(kept);
            return Ok(answer);
        }
        let mut connection = PgConnection::connect_with(&self.address).await?;
        let answer = timeline(&mut connection).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// Why no server can be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    NoPrimary,
    OnlyAnOlderOne,
}

/// The servers of a pool.
pub struct Servers {
    /// In the order in which they were written.
    servers: Vec<Server>,
    /// The place of the one that the pool connects to.
    in_use: Option<usize>,
    known: KnownPrimary,
    looked_at: Instant,
    /// How many said at the last look that they are the primary.
    primaries: IntGauge,
    /// What was told already.
    lack: Option<Lack>,
}

impl Servers {
    /// Asks all of them, so that the pool's first connection goes to the right one; where none answers it is found later.
    pub async fn find(addresses: Vec<PgConnectOptions>, primaries: IntGauge) -> Self {
        let servers = addresses.into_iter().map(|address| Server { address, connection: None }).collect();
        let mut this = Self {
            servers,
            in_use: None,
            known: KnownPrimary::default(),
            looked_at: Instant::now(),
            primaries,
            lack: None,
        };
        this.look_around().await;
        this
    }

    pub fn known(&self) -> KnownPrimary {
        self.known.clone()
    }

    /// That of the primary, or of the first in the list before one was found.
    pub fn address(&self) -> PgConnectOptions {
        self.servers.get(self.in_use.unwrap_or(0)).map(|server| server.address.clone()).unwrap_or_default()
    }

    /// Keeps the pool's address that of the primary until the pool is closed.
    pub async fn follow(mut self, pool: PgPool) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            if pool.is_closed() {
                return;
            }
            let before = self.known.get().map(|known| known.since);
            if self.looked_at.elapsed() >= LOOK_AROUND_EVERY || !self.is_still_primary().await {
                self.look_around().await;
            }
            if self.known.get().map(|known| known.since) != before {
                pool.set_connect_options(self.address());
            }
        }
    }

    async fn is_still_primary(&mut self) -> bool {
        let Some((in_use, known)) = self.in_use.zip(self.known.get()) else { return false };
        self.servers[in_use].ask().await == Some(known.timeline)
    }

    /// All are asked at once, as some may say nothing.
    async fn look_around(&mut self) {
        self.looked_at = Instant::now();
        let said = futures_util::future::join_all(self.servers.iter_mut().map(Server::ask)).await;
        self.count(&said);
        let known = self.known.get();
        let Some((found, timeline)) = choose(&said, self.in_use, known.map(|known| known.timeline)) else {
            self.tell_lack(&said);
            return;
        };
        self.lack = None;
        // Behind an address that stays the same there may be another server, which was promoted.
        let is_same = |known: &Primary| self.in_use == Some(found) && known.timeline == timeline;
        if known.as_ref().is_none_or(|known| !is_same(known)) {
            let (host, port) =
                (self.servers[found].address.get_host(), self.servers[found].address.get_port());
            match self.in_use {
                None => tracing::info!(host, port, timeline, "PostgreSQL's primary is found"),
                Some(_) => tracing::warn!(host, port, timeline, "PostgreSQL's primary is another server now"),
            }
            self.known.set(Primary { timeline, since: Instant::now() });
            self.in_use = Some(found);
        }
    }

    /// Tells once when there come to be several.
    fn count(&self, said: &[Option<Timeline>]) {
        let primaries =
            || self.servers.iter().zip(said).filter_map(|(server, said)| Some((server, (*said)?)));
        let (count, counted_before) = (primaries().count(), self.primaries.get());
        if count > 1 && counted_before <= 1 {
            let named = |(server, timeline): (&Server, Timeline)| {
                format!("{}:{} (timeline {timeline})", server.address.get_host(), server.address.get_port())
            };
            let primaries: Vec<String> = primaries().map(named).collect();
            tracing::error!(
                primaries = primaries.join(", "),
                "several of PostgreSQL's servers say that they are the primary: the one on the highest timeline is used, and what \
                 others were written is missing there"
            );
        } else if count <= 1 && counted_before > 1 {
            tracing::info!(
                "there are no longer several of PostgreSQL's servers that say they are the primary"
            );
        }
        self.primaries.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn tell_lack(&mut self, said: &[Option<Timeline>]) {
        let is_any = said.iter().any(Option::is_some);
        let lack = if is_any { Lack::OnlyAnOlderOne } else { Lack::NoPrimary };
        if self.lack.replace(lack) == Some(lack) {
            return;
        }
        match lack {
            Lack::NoPrimary => tracing::warn!("none of PostgreSQL's servers is the primary"),
            Lack::OnlyAnOlderOne => tracing::error!(
                "PostgreSQL's primary is away, and one of an older timeline says that it is: it lacks what was written since, and \
                 is not used before a restart of this process"
            ),
        }
    }
}

/// The one on the highest timeline, unless that is below the one that is known: the one in use, or else the first in the list.
fn choose(
    said: &[Option<Timeline>],
    in_use: Option<usize>,
    known: Option<Timeline>,
) -> Option<(usize, Timeline)> {
    let highest = said.iter().copied().flatten().max().filter(|highest| Some(*highest) >= known)?;
    let is_on_it = |place: &usize| said.get(*place) == Some(&Some(highest));
    let found = in_use.filter(is_on_it).or_else(|| (0..said.len()).find(is_on_it))?;
    Some((found, highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_on_the_highest_timeline_wins_and_then_the_first() {
        assert_eq!(choose(&[None, Some(1)], None, None), Some((1, 1)), "the only one");
        assert_eq!(choose(&[Some(1), Some(2)], None, None), Some((1, 2)));
        assert_eq!(choose(&[Some(1), Some(2)], Some(0), Some(1)), Some((1, 2)), "though one is in use");
        assert_eq!(choose(&[None, Some(2), Some(2)], None, None), Some((1, 2)));
        assert_eq!(choose(&[None, None], Some(0), Some(1)), None);
    }

    #[test]
    fn the_one_in_use_stays_in_use_beside_another_on_its_timeline() {
        assert_eq!(choose(&[Some(2), Some(2)], Some(1), Some(2)), Some((1, 2)));
        assert_eq!(choose(&[Some(2), None], Some(1), Some(2)), Some((0, 2)), "but not when it is away");
    }

    #[test]
    fn no_primary_of_the_past_is_taken() {
        assert_eq!(choose(&[Some(1), None], Some(1), Some(2)), None);
        assert_eq!(choose(&[Some(1), Some(3)], Some(1), Some(2)), Some((1, 3)), "promoted once more");
    }
}
