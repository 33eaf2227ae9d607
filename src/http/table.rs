//! Answers that are a table, also as CSV (RFC 4180) and as NDJSON (a JSON object a line), by `?format=`.
//!
//! Both hold the rows of the list that the answer is about, in its order and with its fields; what stands around the list is
//! told as JSON only. In CSV a member of an object is a column of its own (`server.name`), a list is JSON in its cell.

use std::fmt;

use actix_web::http::header::{CONTENT_DISPOSITION, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::query::Format;
use super::{ApiError, caching};

/// Members of a JSON object in their order.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The member of an object that is the table, as it was written.
struct Rows<'de>(Vec<&'de RawValue>);

fn rows_of<'de>(answer: &'de str, table: &str) -> serde_json::Result<Rows<'de>> {
    struct Find<'t>(&'t str);
    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Rows<'de>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "an object with a list `{}`", self.0)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rows<'de>, A::Error> {
            let mut rows = None;
            while let Some(name) = map.next_key::<String>()? {
                if name == self.0 {
                    rows = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            rows.map(Rows).ok_or_else(|| serde::de::Error::custom(format!("no list `{}`", self.0)))
        }
    }
    serde_json::Deserializer::from_str(answer).deserialize_map(Find(table))
}

/// The answer as JSON, or only the rows of its list `table` in the format that was asked for.
///
/// # Errors
/// Our own mistakes: an answer without such a list.
pub fn answer<T: Serialize>(
    request: &HttpRequest,
    format: Format,
    answer: &T,
    table: &'static str,
) -> Result<HttpResponse, ApiError> {
    if format == Format::Json {
        return caching::json(request, answer);
    }
    let text = serde_json::to_string(answer).map_err(ApiError::internal)?;
    let Rows(rows) = rows_of(&text, table).map_err(ApiError::internal)?;
    let (body, content_type, extension) = match format {
        Format::Csv => (csv(&rows)?, "text/csv; charset=utf-8", "csv"),
        Format::Ndjson | Format::Json => (ndjson(&rows), "application/x-ndjson", "ndjson"),
    };
    let mut response = caching::conditional(request, body, content_type, caching::STATS_LIFETIME);
    let disposition = format!("attachment; filename=\"{table}.{extension}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

fn ndjson(rows: &[&RawValue]) -> Vec<u8> {
    let mut body = Vec::new();
    for row in rows {
        body.extend_from_slice(row.get().as_bytes());
        body.push(b'\n');
    }
    body
}

fn csv(rows: &[&RawValue]) -> Result<Vec<u8>, ApiError> {
    let mut columns: Vec<String> = Vec::new();
    let mut records = Vec::new();
    for row in rows {
        let Members(members) = serde_json::from_str(row.get()).map_err(ApiError::internal)?;
        let mut cells = Vec::new();
        members.into_iter().for_each(|(name, value)| flatten(name, value, &mut cells));
        for (name, _) in &cells {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        records.push(cells);
    }
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if !columns.is_empty() {
        writer.write_record(&columns).map_err(ApiError::internal)?;
    }
    for cells in records {
        let of_column = |column: &String| {
            let cell = cells.iter().find(|(name, _)| name == column);
            cell.map_or("", |(_, text)| text.as_str())
        };
        writer.write_record(columns.iter().map(of_column)).map_err(ApiError::internal)?;
    }
    writer.into_inner().map_err(|error| ApiError::internal(error.into_error()))
}

fn flatten(name: String, value: Value, cells: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(members) => {
            members.into_iter().for_each(|(inner, value)| flatten(format!("{name}.{inner}"), value, cells));
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => without_formula(text),
        other => other.to_string(),
    };
    cells.push((name, text));
}

/// Spreadsheets run what begins like this, and anybody may call themselves so (OWASP, CSV Injection).
fn without_formula(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ANSWER: &str = r#"{"page":1,"players":[
        {"rank":1,"name":"a,\"b\"","server":{"id":7,"name":"x"},"rating":null,"tags":[1,2]},
        {"rank":2,"name":"=cmd()","more":-3}],"total":2}"#;

    #[test]
    fn a_table_is_a_record_for_each_row_under_the_names_of_its_columns() {
        let Rows(rows) = rows_of(ANSWER, "players").unwrap();
        let text = String::from_utf8(csv(&rows).unwrap()).unwrap();
        assert_eq!(
            text,
            "rank,name,server.id,server.name,rating,tags,more\r\n\
             1,\"a,\"\"b\"\"\",7,x,,\"[1,2]\",\r\n\
             2,'=cmd(),,,,,-3\r\n"
        );
    }

    #[test]
    fn lines_are_the_rows_as_they_are() {
        let Rows(rows) = rows_of(r#"{"players":[{"a":1},{"b":"\n"}]}"#, "players").unwrap();
        assert_eq!(String::from_utf8(ndjson(&rows)).unwrap(), "{\"a\":1}\n{\"b\":\"\\n\"}\n");
        assert_eq!(csv(&[]).unwrap(), b"");
    }

    #[test]
    fn an_answer_without_the_list_is_a_mistake() {
        assert!(rows_of(ANSWER, "matches").is_err());
    }
}
