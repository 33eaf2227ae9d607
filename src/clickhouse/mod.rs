//! ClickHouse: the client that everybody uses, the schema, the writers' store, and the reconciliation of roll-ups.

pub mod client;
pub mod cluster;
pub mod history;
pub mod inserts;
pub mod reconcile;
pub mod schema;
pub mod store;
pub mod touched_days;
pub mod upgrade;

/// ClickHouse's numeric error code in an error's text (`Code: 60. DB::Exception: …`), 0 when it has none.
pub fn error_code(message: &str) -> u32 {
    message
        .split_once("Code: ")
        .and_then(|(_, rest)| rest.split(|character: char| !character.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
