//! Prometheus' text format, read back.

/// What `/metrics` said.
#[derive(Clone, Debug)]
pub struct Metrics {
    series: Vec<(String, f64)>,
}

impl Metrics {
    pub fn parse(text: &str) -> Self {
        let series = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
                (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
            })
            .collect();
        Self { series }
    }

    fn of_family(&self, family: &str) -> impl Iterator<Item = f64> {
        let is_member = move |name: &str| name.split('{').next() == Some(family);
        self.series.iter().filter(move |(name, _)| is_member(name)).map(|(_, value)| *value)
    }

    pub fn has(&self, family: &str) -> bool {
        self.of_family(family).next().is_some()
    }

    /// The sum over all series of a family.
    #[track_caller]
    pub fn value(&self, family: &str) -> f64 {
        assert!(self.has(family), "there is no metric {family}");
        self.of_family(family).sum()
    }

    /// One series, as it is written.
    #[track_caller]
    pub fn series(&self, series: &str) -> f64 {
        let found = self.series.iter().find(|(name, _)| name == series);
        found.unwrap_or_else(|| panic!("there is no series {series}")).1
    }

    /// What the books can't account for: received + recovered less everything that became of it.
    pub fn missing_events(&self) -> f64 {
        let arrived = self.value("mohaa_events_ingested_total") + self.value("mohaa_events_recovered_total");
        let ended = self.value("mohaa_events_processed_total")
            + self.value("mohaa_events_rejected_total")
            + self.value("mohaa_events_failed_total");
        let open = self.value("mohaa_events_held") + self.value("mohaa_events_in_flight");
        arrived - ended - open
    }
}
