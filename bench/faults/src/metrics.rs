//! Prometheus' text format, read back.

use crate::error::{FaultsError, Result};

/// What `/metrics` said.
#[derive(Clone, Debug)]
pub struct Metrics {
    series: Vec<(String, f64)>,
}

impl Metrics {
    /// # Errors
    /// When a line is no sample.
    pub fn parse(text: &str) -> Result<Self> {
        let series = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                let sample =
                    line.rsplit_once(' ').and_then(|(name, value)| Some((name, value.parse().ok()?)));
                let (name, value) = sample.ok_or_else(|| FaultsError::NoSample(line.to_owned()))?;
                Ok((name.to_owned(), value))
            })
            .collect::<Result<_>>()?;
        Ok(Self { series })
    }

    fn of_family(&self, family: &str) -> impl Iterator<Item = f64> {
        let is_member = move |name: &str| name.split('{').next() == Some(family);
        self.series.iter().filter(move |(name, _)| is_member(name)).map(|(_, value)| *value)
    }

    pub fn has(&self, family: &str) -> bool {
        self.of_family(family).next().is_some()
    }

    /// The sum over all series of a family.
    ///
    /// # Errors
    /// When it has none.
    pub fn value(&self, family: &str) -> Result<f64> {
        if !self.has(family) {
            return Err(FaultsError::NoMetric(family.to_owned()));
        }
        Ok(self.of_family(family).sum())
    }

    /// One series, as it is written.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn series(&self, series: &str) -> Result<f64> {
        let found = self.series.iter().find(|(name, _)| name == series);
        found.map(|(_, value)| *value).ok_or_else(|| FaultsError::NoMetric(series.to_owned()))
    }

    /// What the books can't account for: received + recovered less everything that became of it.
    ///
    /// # Errors
    /// When a book is missing.
    pub fn missing_events(&self) -> Result<f64> {
        let arrived =
            self.value("mohaa_events_ingested_total")? + self.value("mohaa_events_recovered_total")?;
        let ended = self.value("mohaa_events_processed_total")?
            + self.value("mohaa_events_rejected_total")?
            + self.value("mohaa_events_failed_total")?;
        let open = self.value("mohaa_events_held")? + self.value("mohaa_events_in_flight")?;
        Ok(arrived - ended - open)
    }
}
