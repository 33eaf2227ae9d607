//! What alerts look at and no part of the service hands out: read from the metrics, as Prometheus reads them.

use prometheus::proto::{Histogram, Metric, MetricFamily};

/// Counted since this process began, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Events refused because a mailbox or the spool was full.
    pub load_shed: u64,
    /// Events refused because their server sent too much, or waits for approval.
    pub limited: u64,
    /// Places of the spool that could not be read.
    pub spool_damage: u64,
    /// Requests that were answered, and of them those with a defect.
    pub answers: u64,
    pub failed_answers: u64,
    /// Answers that are no streams, and of them those that took over a second.
    pub timed_answers: u64,
    pub slow_answers: u64,
    /// Changes of watched matches that viewers were told, and of them those told after more than two seconds.
    pub told: u64,
    pub told_late: u64,
    /// Days on which a roll-up differs from its base table, now.
    pub drift_days: u64,
    /// Days whose roll-ups have to be compared, now.
    pub unverified_days: u64,
    /// Servers of PostgreSQL that say they are the primary, now.
    pub postgres_primaries: u64,
    /// Messages to webhooks that are not sent yet, now.
    pub webhooks_pending: u64,
    /// How late ratings are, in seconds, now.
    pub rating_lag_seconds: f64,
}

/// As the recording rules have it.
const SLOW_ANSWER_SECONDS: f64 = 1.0;
const LATE_SECONDS: f64 = 2.0;

impl Figures {
    pub fn of(families: &[MetricFamily]) -> Self {
        let mut figures = Self::default();
        for family in families {
            let series = family.get_metric();
            let counted = || sum(series, |one| one.get_counter().get_value());
            let gauged = || sum(series, |one| one.get_gauge().get_value());
            match family.name() {
                "mohaa_events_load_shed_total" => figures.load_shed = counted() as u64,
                "mohaa_events_rejected_total" => {
                    let is_limit =
                        |one: &&Metric| matches!(label(one, "reason"), "rate_limited" | "held_full");
                    let limited = series.iter().filter(is_limit);
                    figures.limited = limited.map(|one| one.get_counter().get_value()).sum::<f64>() as u64;
                }
                "mohaa_spool_damage_total" => figures.spool_damage = counted() as u64,
                "mohaa_http_requests_total" => {
                    figures.answers = counted() as u64;
                    let failed = series.iter().filter(|one| is_defect(label(one, "status")));
                    figures.failed_answers =
                        failed.map(|one| one.get_counter().get_value()).sum::<f64>() as u64;
                }
                "mohaa_http_requests_duration_seconds" => {
                    let timed = series.iter().filter(|one| !is_stream(label(one, "endpoint")));
                    (figures.timed_answers, figures.slow_answers) = above(timed, SLOW_ANSWER_SECONDS);
                }
                "mohaa_ingest_to_viewer_seconds" => {
                    (figures.told, figures.told_late) = above(series.iter(), LATE_SECONDS);
                }
                "mohaa_rollup_drift_days" => figures.drift_days = gauged() as u64,
                "mohaa_rollup_unverified_days" => figures.unverified_days = gauged() as u64,
                "mohaa_postgres_primaries" => figures.postgres_primaries = gauged() as u64,
                "mohaa_webhook_deliveries_pending" => figures.webhooks_pending = gauged() as u64,
                "mohaa_rating_lag_seconds" | "mohaa_rating_copy_lag_seconds" => {
                    figures.rating_lag_seconds = figures.rating_lag_seconds.max(gauged());
                }
                _ => {}
            }
        }
        figures
    }
}

fn sum(series: &[Metric], value: impl Fn(&Metric) -> f64) -> f64 {
    series.iter().map(|one| value(one).max(0.0)).sum()
}

fn label<'a>(one: &'a Metric, name: &str) -> &'a str {
    one.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

/// 503 is how the service says that a store is away, and has trouble of its own.
fn is_defect(status: &str) -> bool {
    status.starts_with('5') && status != "503"
}

/// Streams go on for as long as somebody watches, and so does an export.
fn is_stream(endpoint: &str) -> bool {
    endpoint == "/api/v1/live"
        || endpoint.starts_with("/api/v1/live/")
        || endpoint.starts_with("/api/v1/tournaments/") && endpoint.ends_with("/events")
        || endpoint.ends_with("/stream")
        || endpoint.ends_with("/export")
}

/// How many were observed, and how many of them above a bound of the histogram.
fn above<'a>(series: impl Iterator<Item = &'a Metric>, bound: f64) -> (u64, u64) {
    let counts = series.map(|one| {
        let histogram: &Histogram = one.get_histogram();
        let within = histogram.get_bucket().iter().find(|bucket| bucket.upper_bound() >= bound);
        let all = histogram.get_sample_count();
        (all, all.saturating_sub(within.map_or(all, |bucket| bucket.cumulative_count())))
    });
    counts.fold((0, 0), |(all, above), (more, more_above)| (all + more, above + more_above))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

    use super::*;

    #[test]
    fn answers_that_fail_or_are_slow_are_told_from_streams_and_stores_that_are_away() {
        let registry = Registry::new();
        let answers = IntCounterVec::new(Opts::new("mohaa_http_requests_total", "-"), &["status"]).unwrap();
        let times =
            HistogramVec::new(HistogramOpts::new("mohaa_http_requests_duration_seconds", "-"), &["endpoint"])
                .unwrap();
        registry.register(Box::new(answers.clone())).unwrap();
        registry.register(Box::new(times.clone())).unwrap();
        for (status, count) in [("200", 90), ("404", 3), ("500", 4), ("503", 2), ("502", 1)] {
            answers.with_label_values(&[status]).inc_by(count);
        }
        for (endpoint, seconds) in
            [("/", 0.1), ("/", 1.5), ("/ops/stream", 600.0), ("/api/v1/live/{match_id}/stream", 60.0)]
        {
            times.with_label_values(&[endpoint]).observe(seconds);
        }
        let figures = Figures::of(&registry.gather());
        assert_eq!((figures.answers, figures.failed_answers), (100, 5));
        assert_eq!((figures.timed_answers, figures.slow_answers), (2, 1));
    }
}
