//! How many watch.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// The gauges of open streams of this node.
#[derive(Clone)]
pub struct Viewers {
    of_matches: IntGauge,
    of_lists: IntGauge,
}

/// Counts as one viewer for as long as it lives.
pub(super) struct Viewer(IntGauge);

impl Viewers {
    /// # Errors
    /// When `registry` already holds a metric of this name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let viewers = IntGaugeVec::new(
            Opts::new(
                "mohaa_live_viewers",
                "Open streams of this node, of one match or of the list of matches.",
            ),
            &["stream"],
        )?;
        registry.register(Box::new(viewers.clone()))?;
        Ok(Self {
            of_matches: viewers.with_label_values(&["match"]),
            of_lists: viewers.with_label_values(&["list"]),
        })
    }

    /// All of this node.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.of_matches.get() + self.of_lists.get()).unwrap_or(0)
    }

    pub(super) fn of_match(&self) -> Viewer {
        Viewer::of(&self.of_matches)
    }

    pub(super) fn of_list(&self) -> Viewer {
        Viewer::of(&self.of_lists)
    }
}

impl Viewer {
    fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.dec();
    }
}
