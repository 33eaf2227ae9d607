//! `dead-letters list`, `show`, `replay`, `drop`: files beside the spool, whether the service runs or not.

use super::{CommandError, load, print_json};
use crate::{
    cli::{ChosenLetters, DeadLetterCommand, SettingFlags},
    config::Purpose,
};
use mohaa_actors::dead_letters::{DeadLetter, DeadLetterContent, DeadLetterError, DeadLetters};
use mohaa_domain::row::COLUMNS;
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub fn dead_letters(command: DeadLetterCommand) -> Result<(), CommandError> {
    match command {
        DeadLetterCommand::List { settings } => {
            let letters = open(settings)?;
            let ids = letters.ids().map_err(CommandError::failed)?;
            let asked_for = letters.asked_for().map_err(CommandError::failed)?;
            let waiting = ids.iter().map(|id| summary(&letters, id, false));
            let replayed = asked_for.iter().map(|id| summary(&letters, id, true));
            print_json(&json!({ "dead_letters": waiting.chain(replayed).collect::<Vec<Value>>() }))
        }
        DeadLetterCommand::Show { id, settings } => {
            let letter = open(settings)?.read(&id).map_err(CommandError::failed)?;
            print_json(&shown(&letter))
        }
        DeadLetterCommand::Replay { chosen, settings } => {
            let done = each(&open(settings)?, chosen, |letters, id| letters.ask_for(id))?;
            print_json(&json!({ "to_be_replayed": done }))
        }
        DeadLetterCommand::Drop { chosen, settings } => {
            let done = each(&open(settings)?, chosen, |letters, id| letters.discard(id))?;
            print_json(&json!({ "dropped": done }))
        }
    }
}

fn open(settings: SettingFlags) -> Result<DeadLetters, CommandError> {
    let config = load(settings, Purpose::READ_SPOOL)?;
    let directory = config.spool_dir();
    if !directory.is_dir() {
        let message = format!("there is no spool in {}: check DATA_DIR and SPOOL_DIR", directory.display());
        return Err(CommandError::Usage(message));
    }
    DeadLetters::open(&directory).map_err(CommandError::failed)
}

/// Does it with every chosen letter, up to the first that fails.
fn each(
    letters: &DeadLetters,
    chosen: ChosenLetters,
    act: impl Fn(&DeadLetters, &str) -> Result<(), DeadLetterError>,
) -> Result<Vec<String>, CommandError> {
    let ids = if chosen.all { letters.ids().map_err(CommandError::failed)? } else { chosen.ids };
    for id in &ids {
        act(letters, id).map_err(CommandError::failed)?;
    }
    Ok(ids)
}

/// A line of the list. A letter that can't be read is listed all the same.
fn summary(letters: &DeadLetters, id: &str, to_be_replayed: bool) -> Value {
    match letters.read(id) {
        Ok(letter) => json!({
            "id": letter.id,
            "kind": letter.content.kind(),
            "received_at": time(letter.received_at.0),
            "server_id": letter.server_id,
            "events": letter.events(),
            "reason": letter.reason,
            "to_be_replayed": to_be_replayed,
        }),
        Err(error) => json!({ "id": id, "error": error.to_string(), "to_be_replayed": to_be_replayed }),
    }
}

fn shown(letter: &DeadLetter) -> Value {
    let events = match letter.rows() {
        Ok((column_count, rows)) => {
            let unreadable = || json!({ "error": "a row of another version, or damaged" });
            rows.iter().map(|row| columns(row, column_count).unwrap_or_else(unreadable)).collect()
        }
        Err(error) => json!({ "error": error.to_string() }),
    };
    let code = match letter.content {
        DeadLetterContent::Row { code, .. } => Some(code),
        DeadLetterContent::Request { .. } | DeadLetterContent::Record { .. } => None,
    };
    json!({
        "id": letter.id,
        "kind": letter.content.kind(),
        "received_at": time(letter.received_at.0),
        "server_id": letter.server_id,
        "reason": letter.reason,
        "clickhouse_code": code,
        "events": events,
    })
}

fn time(millis: i64) -> Option<String> {
    chrono::DateTime::from_timestamp_millis(millis).map(|at| at.to_rfc3339())
}

/// A row's columns by name, as far as they hold something.
fn columns(mut row: &[u8], column_count: usize) -> Option<Value> {
    let mut shown = Map::new();
    for column in COLUMNS.iter().take(column_count) {
        let value = take_value(&mut row, column.sql_type)?;
        if !matches!(&value, Value::Null) && value != json!("") {
            shown.insert(column.name.to_owned(), value);
        }
    }
    row.is_empty().then_some(Value::Object(shown))
}

/// Reads one value in ClickHouse's RowBinary.
fn take_value(row: &mut &[u8], sql_type: &str) -> Option<Value> {
    if let Some(inner) = sql_type.strip_prefix("Nullable(").and_then(|rest| rest.strip_suffix(')')) {
        let [is_null] = take::<1>(row)?;
        return if is_null == 0 { take_value(row, inner) } else { Some(Value::Null) };
    }
    Some(match sql_type {
        "Bool" => json!(take::<1>(row)? == [1]),
        "Int32" => json!(i32::from_le_bytes(take(row)?)),
        "UInt32" => json!(u32::from_le_bytes(take(row)?)),
        "UInt64" => json!(u64::from_le_bytes(take(row)?)),
        "Float32" => json!(f32::from_le_bytes(take(row)?)),
        "Float64" => json!(f64::from_le_bytes(take(row)?)),
        "DateTime64(3, 'UTC')" => json!(time(i64::from_le_bytes(take(row)?))),
        "UUID" => {
            let (high, low) = (u64::from_le_bytes(take(row)?), u64::from_le_bytes(take(row)?));
            json!(Uuid::from_u64_pair(high, low))
        }
        "String" | "LowCardinality(String)" => {
            let mut length = 0_usize;
            for shift in (0..35).step_by(7) {
                let [byte] = take::<1>(row)?;
                length |= usize::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            let (text, rest) = row.split_at_checked(length)?;
            *row = rest;
            json!(String::from_utf8_lossy(text))
        }
        _ => return None,
    })
}

fn take<const N: usize>(row: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = row.split_first_chunk::<N>()?;
    *row = rest;
    Some(*taken)
}
