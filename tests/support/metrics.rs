//! Prometheus' text format, read back; what is missing fails the test.

/// What `/metrics` said.
#[derive(Clone, Debug)]
pub struct Metrics(mohaa_faults::metrics::Metrics);

impl Metrics {
    pub fn parse(text: &str) -> Self {
        Self(mohaa_faults::metrics::Metrics::parse(text).unwrap())
    }

    pub fn has(&self, family: &str) -> bool {
        self.0.has(family)
    }

    /// The sum over all series of a family.
    #[track_caller]
    pub fn value(&self, family: &str) -> f64 {
        self.0.value(family).unwrap()
    }

    /// One series, as it is written.
    #[track_caller]
    pub fn series(&self, series: &str) -> f64 {
        self.0.series(series).unwrap()
    }

    /// What the books can't account for.
    pub fn missing_events(&self) -> f64 {
        self.0.missing_events().unwrap()
    }
}
