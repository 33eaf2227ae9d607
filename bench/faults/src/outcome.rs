//! What a scenario came to, and the table of all.

use std::fmt;
use std::time::Duration;

use crate::verdict::Verdict;

/// One scenario that was played to its end.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub scenario: &'static str,
    pub rounds: u64,
    pub verdict: Verdict,
    /// What was measured, in words.
    pub figures: Vec<String>,
    pub took: Duration,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        self.verdict.problems.is_empty()
    }
}

/// Scenario, rounds, result, seconds and figures, a line each; problems below.
pub struct Table<'a>(pub &'a [Outcome]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<24} {:>6}  {:<6} {:>6}  figures", "scenario", "rounds", "result", "time")?;
        for outcome in self.0 {
            let result = if outcome.is_good() { "ok" } else { "FAILED" };
            writeln!(
                formatter,
                "{:<24} {:>6}  {:<6} {:>4.0} s  {}",
                outcome.scenario,
                outcome.rounds,
                result,
                outcome.took.as_secs_f64(),
                outcome.figures.join("; ")
            )?;
            for problem in &outcome.verdict.problems {
                writeln!(formatter, "    {problem}")?;
            }
        }
        Ok(())
    }
}
