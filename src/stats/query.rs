//! One statement to ClickHouse: text with `?` for values, the values, and how its failures are answered. Answers are
//! cached (`cache`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clickhouse::error::Error;
use clickhouse::{Client, RowOwned, RowRead};
use tracing::field::Empty;
use tracing::{Instrument as _, debug_span};

use super::Stats;
use super::cache::{FlightError, Holds};
use super::people::WITH_LINKS;
use super::slowest::SlowestQuestions;
use crate::http::ApiError;

/// Longest that ClickHouse may work on one statement.
const MAX_EXECUTION_SECONDS: &str = "5";
/// The ids of a tournament's games stand in a statement several times.
const MAX_QUERY_BYTES: &str = "1048576";
/// Longest that we wait, so that an unreachable or hanging store is an answer and not a hanging page.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7);
const MAX_MEMORY_BYTES: &str = "1000000000";
const RETRY_AFTER_SECONDS: u32 = 2;

/// ClickHouse's codes for "not now": busy, out of memory or time, starting, shutting down, not yet migrated (a table, a database or
/// a column is missing: 60, 81, 47).
const TRANSIENT_CODES: [u32; 12] = [47, 60, 81, 159, 202, 203, 209, 210, 236, 241, 394, 473];

/// A statement under construction. Text comes from us alone; whatever came from a caller is bound.
#[derive(Clone, Debug, Default)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    /// The present in milliseconds since 1970. Equal statements of different moments share their answer; for how long
    /// is said where they are asked.
    Present(i64),
}

impl Value {
    /// What tells answers apart.
    pub(super) fn for_cache(&self) -> Self {
        match self {
            Value::Present(_) => Value::Present(0),
            other => other.clone(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Value::Texts(texts)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl Sql {
    pub(super) fn new(text: &str) -> Self {
        Sql { text: text.to_owned(), values: Vec::new() }
    }

    /// Appends text without values.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Binds the next `?` of the text so far.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds the next `?` of the text so far to the present.
    pub(super) fn bind_present(mut self, now: DateTime<Utc>) -> Self {
        self.values.push(Value::Present(now.timestamp_millis()));
        self
    }

    /// Names the table of links where the text asks for it.
    fn with_links(self) -> Self {
        if self.text.contains("links.1") { Sql::new(WITH_LINKS).then(self) } else { self }
    }

    /// Appends another statement's text and values.
    pub(super) fn then(mut self, other: Sql) -> Self {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
        self
    }
}

impl Stats {
    /// Every row of an answer that changes with the data alone.
    pub(super) async fn rows<T>(&self, sql: Sql) -> Result<Vec<T>, ApiError>
    where
        T: RowOwned + RowRead + Clone + Send + Sync + 'static,
    {
        self.rows_that_hold(sql, |_| Holds::UntilDataChanges).await
    }

    /// Every row of an answer; `holds` says from the rows how long it is true.
    pub(super) async fn rows_that_hold<T>(
        &self,
        sql: Sql,
        holds: fn(&[T]) -> Holds,
    ) -> Result<Vec<T>, ApiError>
    where
        T: RowOwned + RowRead + Clone + Send + Sync + 'static,
    {
        let sql = sql.with_links();
        // Whoever waits for it hands it on by value, a frame of the stack each.
        let asking = ask_and_time(self.clickhouse.clone(), sql.clone(), self.slowest.clone());
        let asking = Box::pin(asking.in_current_span());
        match self.cache.rows(&sql, holds, asking).await {
            Ok(rows) => Ok(Arc::unwrap_or_clone(rows)),
            Err(FlightError::Failed(error)) => Err(failure(error)),
            Err(lost @ FlightError::Lost) => Err(ApiError::internal(lost.to_string())),
        }
    }

    /// Every row of an answer for which nobody else asks: it is not kept.
    pub(super) async fn rows_once<T: RowOwned + RowRead>(&self, sql: Sql) -> Result<Vec<T>, ApiError> {
        self.cache.count_sent();
        let asking = ask_and_time(self.clickhouse.clone(), sql.with_links(), self.slowest.clone());
        Box::pin(asking).await.map_err(|error| failure(Arc::new(error)))
    }

    /// The one row of an aggregate over everything selected.
    pub(super) async fn row<T>(&self, sql: Sql) -> Result<T, ApiError>
    where
        T: RowOwned + RowRead + Clone + Send + Sync + 'static,
    {
        let first = self.rows(sql).await?.into_iter().next();
        first.ok_or_else(|| ApiError::internal("an aggregate answered no row"))
    }
}

async fn ask_and_time<T: RowOwned + RowRead>(
    clickhouse: Client,
    sql: Sql,
    slowest: SlowestQuestions,
) -> Result<Vec<T>, Error> {
    let (text, asked_at) = (sql.text.clone(), Instant::now());
    // Its text holds no values: they are bound.
    let span = debug_span!(
        "statement",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "clickhouse",
        db.query.text = text,
    );
    let answer = ask(clickhouse, sql).instrument(span.clone()).await;
    if answer.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    slowest.note(&text, asked_at.elapsed(), answer.is_err(), Utc::now());
    answer
}

async fn ask<T: RowOwned + RowRead>(clickhouse: Client, sql: Sql) -> Result<Vec<T>, Error> {
    let mut query = clickhouse
        .query(&sql.text)
        .with_setting("max_execution_time", MAX_EXECUTION_SECONDS)
        .with_setting("max_memory_usage", MAX_MEMORY_BYTES)
        .with_setting("max_query_size", MAX_QUERY_BYTES);
    for value in sql.values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Texts(texts) => query.bind(texts),
            Value::Number(number) | Value::Present(number) => query.bind(number),
        };
    }
    let answer = tokio::time::timeout(GIVE_UP_AFTER, query.fetch_all::<T>()).await;
    answer.unwrap_or(Err(Error::TimedOut))
}

fn failure(error: Arc<Error>) -> ApiError {
    let is_transient = match &*error {
        Error::Network(_) | Error::TimedOut => true,
        Error::BadResponse(text) => exception_code(text).is_none_or(|code| TRANSIENT_CODES.contains(&code)),
        _ => false,
    };
    if !is_transient {
        return ApiError::internal(error);
    }
    let message = "statistics can't be read at the moment; events are still taken in: try again shortly";
    ApiError::unavailable("stats_unavailable", message, RETRY_AFTER_SECONDS).with_source(error)
}

/// The number in `Code: 60. DB::Exception: …`.
fn exception_code(text: &str) -> Option<u32> {
    let after = text.split_once("Code: ")?.1;
    after.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_exception_is_read_from_its_text() {
        let text = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)";
        assert_eq!(exception_code(text), Some(241));
        assert_eq!(exception_code("502 Bad Gateway"), None);
    }
}
