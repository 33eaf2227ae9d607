//! How long an event takes to whoever watches, and what a live match and a viewer take up.
//!
//! `mohaa-stats simulate` plays on many servers at once; viewers are spread over their matches. A kill's message says when the
//! service received it, by the clock that a viewer reads too: the difference is its way through the service. Each viewer
//! checks that what it is sent has no gaps.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::process::{cpu_seconds, resident_bytes};
use crate::service::Service;
use crate::targets::{Measured, Target};

const MATCHES_PATIENCE: Duration = Duration::from_secs(120);
/// Memory and caches settle.
const SETTLE: Duration = Duration::from_secs(8);
const FIRST_EVENTS_PATIENCE: Duration = Duration::from_secs(5);

pub struct LiveOptions {
    pub service: PathBuf,
    pub data_dir: PathBuf,
    pub servers: usize,
    pub viewers: usize,
    /// Events a second of all servers together.
    pub rate: u32,
    pub length: Duration,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct LiveReport {
    pub servers: usize,
    pub matches: usize,
    pub viewers: usize,
    /// Of the viewers: not connected, or told nothing.
    pub unserved: usize,
    pub events_per_second: u32,
    pub seconds: f64,
    pub kills_received: u64,
    pub messages_received: u64,
    /// While times were measured.
    pub messages_per_second: f64,
    pub bytes_received: u64,
    /// From receipt to viewer.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub snapshots: u64,
    /// Ids that followed on no other: there must be none.
    pub gaps: u64,
    pub service_cores: f64,
    /// Before anybody watched.
    pub service_cores_unwatched: f64,
    pub resident_mib: f64,
    pub kib_per_match: f64,
    pub kib_per_viewer: f64,
}

impl LiveReport {
    /// What came of the targets.
    pub fn measured(&self) -> Vec<Measured> {
        let served = self.viewers.saturating_sub(self.unserved) as f64;
        vec![
            Measured::new(
                Target::Viewers,
                if self.gaps == 0 { served } else { f64::NAN },
                format!(
                    "{} matches, {:.0} messages/s, {} gaps, {:.2} cores of the service, p50 {:.0} ms and p99 {:.0} ms from receipt",
                    self.matches,
                    self.messages_per_second,
                    self.gaps,
                    self.service_cores,
                    self.p50_ms,
                    self.p99_ms
                ),
            ),
            Measured::new(
                Target::ViewerMemory,
                self.kib_per_viewer * 1.024,
                format!("growth by {} viewers", self.viewers),
            ),
        ]
    }
}

impl fmt::Display for LiveReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} viewers of {} matches on {} servers, {} events/s, {:.0} s",
            self.viewers, self.matches, self.servers, self.events_per_second, self.seconds
        )?;
        writeln!(
            out,
            "received to seen     p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms, of {} kills",
            self.p50_ms, self.p99_ms, self.max_ms, self.kills_received
        )?;
        writeln!(
            out,
            "messages             {} of {} MiB, {} snapshots, {} gaps, {} viewers told nothing",
            self.messages_received,
            self.bytes_received >> 20,
            self.snapshots,
            self.gaps,
            self.unserved
        )?;
        writeln!(
            out,
            "service              {:.2} cores, {:.0} MiB resident, {:.0} KiB a match, {:.0} KiB a viewer",
            self.service_cores, self.resident_mib, self.kib_per_match, self.kib_per_viewer
        )
    }
}

#[derive(Deserialize)]
struct List {
    matches: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    match_id: uuid::Uuid,
}

#[derive(Default)]
struct Seen {
    delays_ms: Vec<u32>,
    messages: u64,
    measured_messages: u64,
    bytes: u64,
    snapshots: u64,
    gaps: u64,
}

/// Measures with a service of its own.
///
/// # Errors
/// When the service or the simulation can't be started, or no matches come up.
pub async fn measure(options: &LiveOptions) -> Result<LiveReport, BenchError> {
    let file_error = |source| BenchError::File { path: options.data_dir.clone(), source };
    let _ = std::fs::remove_dir_all(&options.data_dir);
    std::fs::create_dir_all(&options.data_dir).map_err(file_error)?;
    let log = options.data_dir.join("service.log");
    let service = Service::start(&options.service, &options.data_dir.join("data"), &log, &[]).await?;
    let (pid, address) = (service.pid(), service.address());
    let idle_bytes = resident_bytes(pid)?;
    let mut simulation = Command::new(&options.service)
        .arg("simulate")
        .args(["--url", &format!("http://{address}"), "--dialect", "g3", "--matches", "50", "--seed", "1"])
        .args(["--servers", &options.servers.to_string(), "--rate", &options.rate.to_string()])
        .arg("--data-dir")
        .arg(options.data_dir.join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| BenchError::Run { program: options.service.clone(), source })?;
    let matches = wait_for_matches(address, options.servers).await?;
    let (settling, cpu_settling) = (Instant::now(), cpu_seconds(pid)?);
    tokio::time::sleep(SETTLE).await;
    let service_cores_unwatched = (cpu_seconds(pid)? - cpu_settling) / settling.elapsed().as_secs_f64();
    let followed_bytes = resident_bytes(pid)?;

    let measuring = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + SETTLE + options.length;
    let viewers: Vec<_> = (0..options.viewers)
        .map(|number| {
            let match_id = matches[number % matches.len()];
            tokio::spawn(watch(address, match_id, until, measuring.clone()))
        })
        .collect();
    tokio::time::sleep(SETTLE).await;
    measuring.store(1, Ordering::Release);
    let (began, cpu_before) = (Instant::now(), cpu_seconds(pid)?);
    tokio::time::sleep_until((until - Duration::from_millis(500)).into()).await;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(pid)? - cpu_before);
    let watched_bytes = resident_bytes(pid)?;
    let mut seen = Seen::default();
    let mut unserved = 0;
    for viewer in viewers {
        let one = viewer.await??;
        unserved += usize::from(one.messages == 0);
        seen.delays_ms.extend(one.delays_ms);
        seen.messages += one.messages;
        seen.measured_messages += one.measured_messages;
        seen.bytes += one.bytes;
        seen.snapshots += one.snapshots;
        seen.gaps += one.gaps;
    }
    // It has nothing to say that was not seen.
    let _ = simulation.kill().await;
    service.stop().await;
    seen.delays_ms.sort_unstable();
    let at = |share: f64| {
        let index = (seen.delays_ms.len() as f64 * share) as usize;
        seen.delays_ms
            .get(index.min(seen.delays_ms.len().saturating_sub(1)))
            .copied()
            .map_or(f64::NAN, f64::from)
    };
    let kib = |bytes: u64, count: usize| bytes as f64 / 1024.0 / count.max(1) as f64;
    Ok(LiveReport {
        servers: options.servers,
        matches: matches.len(),
        viewers: options.viewers,
        unserved,
        events_per_second: options.rate,
        seconds,
        kills_received: seen.delays_ms.len() as u64,
        messages_received: seen.messages,
        messages_per_second: seen.measured_messages as f64 / seconds,
        bytes_received: seen.bytes,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        snapshots: seen.snapshots,
        gaps: seen.gaps,
        service_cores: cpu / seconds,
        service_cores_unwatched,
        resident_mib: watched_bytes as f64 / f64::from(1 << 20),
        kib_per_match: kib(followed_bytes.saturating_sub(idle_bytes), matches.len()),
        kib_per_viewer: kib(watched_bytes.saturating_sub(followed_bytes), options.viewers),
    })
}

async fn wait_for_matches(address: SocketAddr, servers: usize) -> Result<Vec<uuid::Uuid>, BenchError> {
    let began = Instant::now();
    let mut connection = Connection::open(address).await?;
    loop {
        let answer = connection.send(Request::get("/api/v1/stats/live"), Bytes::new()).await?.success()?;
        let list: List = serde_json::from_slice(&answer)?;
        if list.matches.len() >= servers || began.elapsed() > MATCHES_PATIENCE {
            if list.matches.is_empty() {
                return Err(BenchError::NothingAccepted);
            }
            return Ok(list.matches.into_iter().map(|listed| listed.match_id).collect());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// One viewer, who goes to the match until the time is up or the match is over.
async fn watch(
    address: SocketAddr,
    match_id: uuid::Uuid,
    until: Instant,
    measuring: Arc<AtomicU64>,
) -> Result<Seen, BenchError> {
    let stream = TcpStream::connect(address).await.map_err(BenchError::Connect)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(format!("/api/v1/live/{match_id}"))
        .header(HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = tokio::time::timeout(FIRST_EVENTS_PATIENCE, sender.send_request(request)).await;
    let Ok(answer) = answer else { return Ok(Seen::default()) };
    let mut body = answer?.into_body();
    let (mut seen, mut unread, mut last) = (Seen::default(), Vec::new(), None);
    while let Ok(Some(frame)) = tokio::time::timeout_at(until.into(), body.frame()).await {
        let Ok(part) = frame?.into_data() else { continue };
        seen.bytes += part.len() as u64;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_measured = measuring.load(Ordering::Acquire) == 1;
        // Thousands of viewers share the cores with what is measured: nothing is copied that can be read where it is.
        let searched = unread.len().saturating_sub(1);
        unread.extend_from_slice(&part);
        let mut read = 0;
        for end in memmem::find_iter(&unread[searched..], b"\n\n").map(|place| searched + place) {
            note(&mut seen, &mut last, &String::from_utf8_lossy(&unread[read..end]), now, is_measured);
            read = end + 2;
        }
        unread.drain(..read);
    }
    Ok(seen)
}

fn note(seen: &mut Seen, last: &mut Option<(u64, u64)>, message: &str, now: Duration, is_measured: bool) {
    let field = |name| message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let id = field("id").and_then(|id| id.split_once('-'));
    let Some(id) = id.and_then(|(epoch, number)| Some((epoch.parse().ok()?, number.parse().ok()?))) else {
        return;
    };
    seen.messages += 1;
    seen.measured_messages += u64::from(is_measured);
    let event = field("event").unwrap_or_default();
    match (event, *last) {
        // Whoever fell behind is given the whole state anew: what was between is missing.
        ("snapshot", None) => seen.snapshots += 1,
        (_, Some((epoch, number))) if (epoch, number + 1) == id => {}
        _ => seen.gaps += 1,
    }
    *last = Some(id);
    if event == "kill" && is_measured {
        let kill: serde_json::Value =
            field("data").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        if let Some(at) = kill["at"].as_str().and_then(unix_ms) {
            let delay = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_sub(at);
            seen.delays_ms.push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
    }
}

/// Milliseconds since 1970 of `2026-11-22T12:00:00.123Z`.
fn unix_ms(text: &str) -> Option<u64> {
    let (date, time) = text.trim_end_matches('Z').split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.split(':');
    let (hour, minute): (i64, i64) = (time.next()?.parse().ok()?, time.next()?.parse().ok()?);
    let seconds: f64 = time.next()?.parse().ok()?;
    // Days since 1970 by the civil calendar, years beginning in March.
    let (shifted, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * month + 2) / 5 + day
        - 1
        - 719_468;
    let whole = (days * 24 + hour) * 60 + minute;
    u64::try_from(whole * 60_000 + (seconds * 1000.0).round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(unix_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(unix_ms("2026-11-22T12:00:00.123Z"), Some(1_795_348_800_123));
        assert_eq!(unix_ms("2024-02-29T23:59:59Z"), Some(1_709_251_199_000));
    }

    #[test]
    fn a_number_that_does_not_follow_is_a_gap() {
        let (mut seen, mut last) = (Seen::default(), None);
        for message in [
            "id: 7-3\nevent: snapshot\ndata: {}",
            "id: 7-4\nevent: state\ndata: {}",
            ": still here",
            "id: 7-6\nevent: kill\ndata: {}",
            "id: 7-300\nevent: snapshot\ndata: {}",
        ] {
            note(&mut seen, &mut last, message, Duration::ZERO, false);
        }
        assert_eq!((seen.snapshots, seen.gaps, seen.messages), (1, 2, 4));
    }
}
