//! What came from the broker and what became of it.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its events are safe.
    Accepted,
    /// It repeats one that was accepted.
    Redelivered,
    /// Its connection was lost or left first; it comes or came again.
    Returned,
    /// It can't be taken, for this reason.
    Refused(&'static str),
}

impl Ending {
    const OUTCOMES: [&'static str; 4] = ["accepted", "redelivered", "returned", "refused"];

    fn outcome(self) -> &'static str {
        match self {
            Ending::Accepted => Self::OUTCOMES[0],
            Ending::Redelivered => Self::OUTCOMES[1],
            Ending::Returned => Self::OUTCOMES[2],
            Ending::Refused(_) => Self::OUTCOMES[3],
        }
    }
}

/// Received = ended by any outcome + waiting, always.
#[derive(Clone)]
pub struct MqttMetrics {
    /// 1 where there is a broker to take events from.
    pub configured: IntGauge,
    pub(super) connected: IntGauge,
    pub(super) received: IntCounter,
    pub(super) waiting: IntGauge,
    pub(super) retries: IntCounterVec,
    ended: IntCounterVec,
    refused: IntCounterVec,
}

impl MqttMetrics {
    /// # Errors
    /// When `registry` already holds metrics of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let family = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let received =
            IntCounter::new("mohaa_mqtt_messages_received_total", "Messages that the broker delivered.")?;
        registry.register(Box::new(received.clone()))?;
        let ended =
            family("mohaa_mqtt_messages_total", "Messages of the broker, by how they ended.", "outcome")?;
        for outcome in Ending::OUTCOMES {
            ended.with_label_values(&[outcome]);
        }
        let refused = family(
            "mohaa_mqtt_messages_refused_total",
            "Messages of the broker that could not be taken, by reason.",
            "reason",
        )?;
        for reason in ["unknown_server", "invalid_token", "unreadable_event", "body_too_large"] {
            refused.with_label_values(&[reason]);
        }
        let retries = family(
            "mohaa_mqtt_message_retries_total",
            "Tries to take a message that had to wait, by reason.",
            "reason",
        )?;
        for reason in ["mailbox_full", "spool_full", "rate_limited", "tokens_unavailable"] {
            retries.with_label_values(&[reason]);
        }
        Ok(Self {
            configured: gauge("mohaa_mqtt_configured", "1 where there is a broker to take events from.")?,
            connected: gauge("mohaa_mqtt_connected", "1 while this node is subscribed at the broker.")?,
            received,
            waiting: gauge(
                "mohaa_mqtt_messages_waiting",
                "Messages of the broker that were received and are not acknowledged.",
            )?,
            retries,
            ended,
            refused,
        })
    }

    /// Whether this node is subscribed; none where there is no broker.
    pub fn is_connected(&self) -> Option<bool> {
        (self.configured.get() == 1).then(|| self.connected.get() == 1)
    }

    pub(super) fn end(&self, ending: Ending) {
        self.ended.with_label_values(&[ending.outcome()]).inc();
        if let Ending::Refused(reason) = ending {
            self.refused.with_label_values(&[reason]).inc();
        }
    }
}
