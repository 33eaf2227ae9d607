//! Whether the service kept its word: what was answered 202 is stored once, nothing is stored twice, what had no answer
//! is stored at most once, what was refused is not, nothing else is there; roll-ups equal a recount, the books balance.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use mohaa_spool::{Spool, SpoolOptions};

use crate::error::Result;
use crate::load::{Fate, Told};
use crate::metrics::Metrics;
use crate::service::{self, eventually_within};
use crate::warehouse::Warehouse;

/// Everything waited for here happens within seconds; a loaded machine gets the rest.
pub const SETTLE_PATIENCE: Duration = Duration::from_secs(120);
/// What engine.md promises for roll-ups after a store came back.
pub const ROLLUP_PATIENCE: Duration = Duration::from_secs(60);
const SHOWN_NAMES: usize = 5;

/// What was found wrong; nothing is the promise kept.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub problems: Vec<String>,
    /// Rows in `raw_events`.
    pub stored: u64,
}

impl Verdict {
    pub fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(otherwise());
        }
    }

    /// Waits until nothing is in flight and judges what is stored, the roll-ups and the books.
    ///
    /// # Errors
    /// When the service or ClickHouse can't be asked.
    pub async fn judge(
        &mut self,
        told: &Told,
        dead_letters: u64,
        address: std::net::SocketAddr,
        warehouse: &Warehouse,
    ) -> Result<()> {
        let metrics = settled(address).await?;
        self.judge_books(&metrics, dead_letters)?;
        self.judge_rows(told, dead_letters, warehouse).await?;
        let differing = warehouse.rollups_differing_after(ROLLUP_PATIENCE).await?;
        self.expect(differing.is_empty(), || {
            format!("roll-ups differ from raw_events: {}", differing.join("; "))
        });
        Ok(())
    }

    fn judge_books(&mut self, metrics: &Metrics, dead_letters: u64) -> Result<()> {
        for (name, expected) in [
            ("mohaa_events_unaccounted_total", 0.0),
            ("mohaa_events_in_flight", 0.0),
            ("mohaa_dead_letters", dead_letters as f64),
        ] {
            let found = metrics.value(name)?;
            self.expect(found == expected, || format!("{name} is {found}, not {expected}"));
        }
        let missing = metrics.missing_events()?;
        self.expect(missing == 0.0, || format!("the books miss {missing} events"));
        Ok(())
    }

    /// `refused_rows`: how many accepted events are in the dead letters instead.
    async fn judge_rows(&mut self, told: &Told, refused_rows: u64, warehouse: &Warehouse) -> Result<()> {
        let mut open: HashMap<(&str, u32), &Fate> =
            told.each_unrefused().map(|(sender, number, fate)| ((sender, number), fate)).collect();
        let (mut twice, mut strangers, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        self.stored = 0;
        let stored = warehouse.stored_names().await?;
        for (name, copies) in &stored {
            self.stored += copies;
            if *copies > 1 {
                twice.push(name.as_str());
            }
            let key = name.rsplit_once('-').and_then(|(sender, number)| Some((sender, number.parse().ok()?)));
            if key.is_some_and(|key| open.remove(&key).is_some()) {
                continue;
            }
            match key {
                Some((sender, number)) if told.was_refused(sender, number) => refused.push(name.as_str()),
                _ => strangers.push(name.as_str()),
            }
        }
        let lost: Vec<String> = open
            .iter()
            .filter(|(_, fate)| ***fate == Fate::Accepted)
            .map(|((sender, number), _)| format!("{sender}-{number}"))
            .collect();
        self.expect(lost.len() as u64 == refused_rows, || {
            let expected =
                if refused_rows > 0 { format!(" ({refused_rows} expected)") } else { String::new() };
            format!("{} accepted events are not stored{expected}: {}", lost.len(), some_of(&lost))
        });
        for (names, what) in [
            (twice, "stored twice"),
            (strangers, "stored though nobody sent them"),
            (refused, "stored though refused"),
        ] {
            self.expect(names.is_empty(), || {
                format!("{} events are {what}: {}", names.len(), some_of(&names))
            });
        }
        Ok(())
    }

    /// After the service has ended: nothing unstored is in its spool.
    ///
    /// # Errors
    /// When the spool can't be opened.
    pub fn judge_spool(&mut self, data_dir: &Path) -> Result<()> {
        let (_spool, recovered) = Spool::open(SpoolOptions::new(data_dir.join("spool")))?;
        self.expect(recovered.unstored_events == 0, || {
            format!("the spool holds {} events that are not stored", recovered.unstored_events)
        });
        self.expect(recovered.damage.is_empty(), || format!("the spool is damaged: {:?}", recovered.damage));
        Ok(())
    }
}

fn some_of<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().take(SHOWN_NAMES).map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// Returns the books when all events that came in have ended.
///
/// # Errors
/// When they don't.
pub async fn settled(address: std::net::SocketAddr) -> Result<Metrics> {
    eventually_within(SETTLE_PATIENCE, "that nothing is in flight", async || {
        let metrics = service::metrics(address).await?;
        let is_settled = metrics.value("mohaa_events_in_flight")? == 0.0 && metrics.missing_events()? == 0.0;
        Ok(is_settled.then_some(metrics))
    })
    .await
}
