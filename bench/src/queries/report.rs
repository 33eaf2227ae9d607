//! The figures, as JSON and as Markdown tables.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;

use super::catalogue::Question;
use super::load::LoadReport;
use super::proxy::Asked;

/// Slow paths that the tables name.
const SLOWEST_SHOWN: usize = 5;

#[derive(Debug, Serialize)]
pub struct QueriesReport {
    /// In the order of the data directories.
    pub scales: Vec<Scale>,
}

/// What was measured over one data directory.
#[derive(Debug, Serialize)]
pub struct Scale {
    pub events: u64,
    pub load_average_before: Option<f64>,
    pub load_average_after: Option<f64>,
    pub answers: Vec<AnswerCost>,
    /// Endpoints for whose path parameters nothing is known.
    pub unasked: Vec<String>,
    pub load: LoadReport,
}

/// What an answer cost that nothing in memory helped.
#[derive(Debug, Serialize)]
pub struct AnswerCost {
    pub name: String,
    pub path: String,
    pub status: u16,
    pub read_rows: u64,
    pub read_bytes: u64,
    /// Of its statements, sent again one after the other.
    pub bare_ms: f64,
    pub answer_ms: f64,
    pub statements: Vec<StatementCost>,
}

#[derive(Debug, Serialize)]
pub struct StatementCost {
    pub text: String,
    pub read_rows: u64,
    pub read_bytes: u64,
    /// While the answer was made, beside the answer's other statements.
    pub within_answer_ms: f64,
    pub bare_ms: f64,
}

impl StatementCost {
    pub fn new(asked: &Asked, bare: Duration) -> Self {
        Self {
            text: asked.text.clone(),
            read_rows: asked.cost.read_rows,
            read_bytes: asked.cost.read_bytes,
            within_answer_ms: milliseconds(asked.elapsed),
            bare_ms: milliseconds(bare),
        }
    }

    /// The tables that it reads, without what only says who is who.
    fn tables(&self) -> Vec<&str> {
        let words: Vec<&str> =
            self.text.split([' ', '(', ')', '\n']).filter(|word| !word.is_empty()).collect();
        let read = words.windows(2).filter(|two| matches!(two[0], "FROM" | "JOIN"));
        let named =
            read.map(|two| two[1]).filter(|word| word.chars().all(|it| it.is_ascii_lowercase() || it == '_'));
        let mut tables: Vec<&str> = named.filter(|table| *table != "player_links").collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

impl AnswerCost {
    pub fn new(
        question: &Question,
        status: StatusCode,
        elapsed: Duration,
        statements: Vec<StatementCost>,
    ) -> Self {
        Self {
            name: question.name.clone(),
            path: question.path.clone(),
            status: status.as_u16(),
            read_rows: statements.iter().map(|statement| statement.read_rows).sum(),
            read_bytes: statements.iter().map(|statement| statement.read_bytes).sum(),
            bare_ms: statements.iter().map(|statement| statement.bare_ms).sum(),
            answer_ms: milliseconds(elapsed),
            statements,
        }
    }

    fn ratio(&self) -> f64 {
        self.answer_ms / self.bare_ms.max(0.001)
    }

    /// The tables of the statement that reads most.
    fn dearest(&self) -> String {
        let dearest = self.statements.iter().max_by_key(|statement| statement.read_rows);
        dearest.map_or_else(String::new, |statement| statement.tables().join(", "))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// `12`, `3.4 k`, `5.6 M`.
fn short(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{:.1} k", number as f64 / 1e3),
        _ => format!("{:.1} M", number as f64 / 1e6),
    }
}

impl fmt::Display for QueriesReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.scales.first(), self.scales.last()) else { return Ok(()) };
        let earlier: BTreeMap<&str, &AnswerCost> =
            first.answers.iter().map(|answer| (answer.name.as_str(), answer)).collect();
        let compares = self.scales.len() > 1;
        write!(out, "| answer | statements |")?;
        if compares {
            write!(out, " rows read of {} |", short(first.events))?;
        }
        write!(out, " rows read of {} |", short(last.events))?;
        if compares {
            write!(out, " growth |")?;
        }
        writeln!(out, " MB read | bare ms | answer ms | ratio | most rows from |")?;
        writeln!(out, "|---|{}---|", "---|".repeat(if compares { 8 } else { 6 }))?;
        for answer in &last.answers {
            let status = if answer.status == 200 { String::new() } else { format!(" ({})", answer.status) };
            write!(out, "| {}{status} | {} |", answer.name, answer.statements.len())?;
            let before = earlier.get(answer.name.as_str()).map(|before| before.read_rows);
            if compares {
                write!(out, " {} |", before.map_or_else(String::new, short))?;
            }
            write!(out, " {} |", short(answer.read_rows))?;
            if compares {
                let growth = before.map(|before| answer.read_rows as f64 / before.max(1) as f64);
                write!(out, " {} |", growth.map_or_else(String::new, |growth| format!("{growth:.1} ×")))?;
            }
            writeln!(
                out,
                " {:.1} | {:.0} | {:.0} | {:.2} | {} |",
                answer.read_bytes as f64 / 1e6,
                answer.bare_ms,
                answer.answer_ms,
                answer.ratio(),
                answer.dearest()
            )?;
        }
        writeln!(out)?;
        writeln!(
            out,
            "| events | load average | requests/s | answered | refused | p50 ms | p99 ms | at most ms |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        for scale in &self.scales {
            let average =
                |average: Option<f64>| average.map_or_else(|| "?".to_owned(), |it| format!("{it:.1}"));
            writeln!(
                out,
                "| {} | {} to {} | {} | {} | {} | {:.1} | {:.1} | {:.0} |",
                short(scale.events),
                average(scale.load_average_before),
                average(scale.load_average_after),
                scale.load.requests_per_second,
                scale.load.requests - scale.load.refused,
                scale.load.refused,
                scale.load.p50_ms,
                scale.load.p99_ms,
                scale.load.max_ms
            )?;
        }
        writeln!(out)?;
        for slow in last.load.slowest.iter().take(SLOWEST_SHOWN) {
            writeln!(out, "- {}: p50 {:.1} ms, at most {:.0} ms", slow.name, slow.p50_ms, slow.max_ms)?;
        }
        for unasked in &last.unasked {
            writeln!(out, "- not asked: {unasked}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_tables_that_it_reads_once_each() {
        let statement = StatementCost {
            text: "WITH (SELECT 1 FROM player_links FINAL) AS links SELECT * FROM (SELECT a FROM matches) AS outcomes \
                   LEFT JOIN (SELECT b FROM player_match_totals) USING (a) WHERE a IN (SELECT a FROM matches)"
                .to_owned(),
            read_rows: 1,
            read_bytes: 1,
            within_answer_ms: 1.0,
            bare_ms: 1.0,
        };
        assert_eq!(statement.tables(), ["matches", "player_match_totals"]);
    }

    #[test]
    fn numbers_are_shown_short() {
        assert_eq!([999, 1_500, 2_340_000].map(short), ["999", "1.5 k", "2.3 M"]);
    }
}
