//! What was decoded, by type: the counters that tell an operator what his servers' scripts send.

use mohaa_domain::vocabulary::EventType;
use mohaa_domain::wire::Decoded;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

pub struct IngestMetrics {
    /// A counter for each type, in the order of [`EventType::ALL`]; types that nobody listed are all `other`.
    by_type: Vec<IntCounter>,
    unreadable_fields: IntCounter,
}

impl IngestMetrics {
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let family = IntCounterVec::new(
            Opts::new(
                "mohaa_events_decoded_total",
                "Readable events, by canonical type; unlisted types are `other`.",
            ),
            &["type"],
        )?;
        registry.register(Box::new(family.clone()))?;
        let unreadable_fields = IntCounter::new(
            "mohaa_event_fields_unreadable_total",
            "Fields of readable events whose value could not be read and counts as absent.",
        )?;
        registry.register(Box::new(unreadable_fields.clone()))?;
        let by_type =
            EventType::ALL.iter().map(|listed| family.with_label_values(&[listed.as_str()])).collect();
        Ok(Self { by_type, unreadable_fields })
    }

    pub fn count(&self, decoded: &Decoded) {
        for same_type in decoded.events.chunk_by(|left, right| left.event_type == right.event_type) {
            if let Some(counter) = self.by_type.get(same_type[0].event_type as usize) {
                counter.inc_by(same_type.len() as u64);
            }
        }
        self.unreadable_fields.inc_by(decoded.unreadable_fields);
    }
}
