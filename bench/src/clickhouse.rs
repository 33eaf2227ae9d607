//! ClickHouse over HTTP, straight: statements as text, what they read, and inserts of ready-made rows.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::{Request, http};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::connection::{Answer, Connection};
use crate::error::BenchError;

/// What a statement read, as the engine counted it (`X-ClickHouse-Summary`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub read_rows: u64,
    pub read_bytes: u64,
    /// The engine's own time.
    pub elapsed_ns: u64,
}

impl Cost {
    /// Reads the header, in which numbers stand as text; zeros where there is none.
    pub fn of_summary(summary: &str) -> Self {
        #[derive(Deserialize)]
        struct Summary<'a> {
            read_rows: &'a str,
            read_bytes: &'a str,
            #[serde(default)]
            elapsed_ns: &'a str,
        }
        let number = |text: &str| text.parse().unwrap_or_default();
        serde_json::from_str::<Summary>(summary).map_or_else(
            |_| Self::default(),
            |summary| Self {
                read_rows: number(summary.read_rows),
                read_bytes: number(summary.read_bytes),
                elapsed_ns: number(summary.elapsed_ns),
            },
        )
    }
}

/// Where ClickHouse is, and as whom it is asked.
#[derive(Clone)]
pub struct ClickHouse {
    pub address: SocketAddr,
    user: String,
    password: String,
    database: String,
}

impl ClickHouse {
    /// # Errors
    /// When the URL has no address.
    pub fn of_url(url: &str) -> Result<Self, BenchError> {
        let unusable = || BenchError::StoreUrl { store: "ClickHouse" };
        let url = Url::parse(url).map_err(|_| unusable())?;
        let addresses = url.socket_addrs(|| Some(8123)).map_err(|_| unusable())?;
        Ok(Self {
            address: *addresses.first().ok_or_else(unusable)?,
            user: url.username().to_owned(),
            password: url.password().unwrap_or_default().to_owned(),
            database: url.path().trim_matches('/').to_owned(),
        })
    }

    pub async fn connect(&self) -> Result<Connection, BenchError> {
        Connection::open(self.address).await
    }

    fn request(&self, parameters: &[(&str, &str)]) -> http::request::Builder {
        let target = Serializer::new(String::from("/?"))
            .append_pair("database", &self.database)
            .extend_pairs(parameters)
            .finish();
        Request::post(target)
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
    }

    /// # Errors
    /// When the statement fails.
    pub async fn run(&self, connection: &mut Connection, sql: &str) -> Result<Answer, BenchError> {
        let request = self.request(&[("wait_end_of_query", "1"), ("max_execution_time", "0")]);
        connection.send(request, Bytes::copy_from_slice(sql.as_bytes())).await?.accepted()
    }

    /// The rows of a question, each an object; whole numbers of 64 bits as numbers.
    ///
    /// # Errors
    /// When the statement fails, or its rows are of another shape.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        connection: &mut Connection,
        sql: &str,
    ) -> Result<Vec<T>, BenchError> {
        let request = self.request(&[("output_format_json_quote_64bit_integers", "0")]);
        let sql = format!("{sql} FORMAT JSONEachRow");
        let body = connection.send(request, Bytes::from(sql)).await?.success()?;
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(BenchError::from)).collect()
    }

    /// One insert, whole or not at all; the same token again stores nothing.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn insert(
        &self,
        connection: &mut Connection,
        statement: &str,
        token: Uuid,
        rows: Bytes,
    ) -> Result<(), BenchError> {
        let token = token.to_string();
        let mut parameters = vec![("query", statement), ("insert_deduplication_token", &token)];
        parameters.extend_from_slice(&crate::engine::INSERT_SETTINGS);
        connection.send(self.request(&parameters), rows).await?.accepted()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_statement_read_is_taken_from_the_engines_summary() {
        let summary = r#"{"read_rows":"81920","read_bytes":"1234","written_rows":"0","elapsed_ns":"500"}"#;
        assert_eq!(Cost::of_summary(summary), Cost { read_rows: 81_920, read_bytes: 1_234, elapsed_ns: 500 });
        assert_eq!(Cost::of_summary(""), Cost::default());
    }
}
