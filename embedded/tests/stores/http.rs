//! Raw HTTP over TCP, for what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any statement of these tests; a hang fails instead of blocking the run.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Address {
    pub host: String,
    pub user: String,
    pub password: String,
    pub database: String,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Address {
    /// Takes `http://user:password@host:port/database` apart.
    pub fn of(url: &str) -> Address {
        let (credentials, rest) = url.strip_prefix("http://").unwrap().split_once('@').unwrap();
        let (user, password) = credentials.split_once(':').unwrap();
        let (host, database) = rest.split_once('/').unwrap();
        let [host, user, password, database] = [host, user, password, database].map(str::to_owned);
        Address { host, user, password, database }
    }

    pub fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default()
            .with_url(format!("http://{}", self.host))
            .with_user(&self.user)
            .with_password(&self.password)
            .with_database(&self.database)
    }

    pub fn head(&self, method: &str, query: &str, more: &str) -> String {
        let Address { host, user, password, database } = self;
        format!(
            "{method} /?database={database}{query} HTTP/1.1\r\nHost: {host}\r\nX-ClickHouse-User: {user}\r\n\
             X-ClickHouse-Key: {password}\r\nConnection: close\r\n{more}\r\n"
        )
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.host).await.unwrap()
    }

    /// Sends these bytes and reads the answer to its end.
    pub async fn exchange(&self, request: &[u8]) -> Answer {
        let exchange = async {
            let mut stream = self.connect().await;
            stream.write_all(request).await.unwrap();
            read_answer(&mut stream).await
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    pub async fn post(&self, query: &str, body: &[u8]) -> Answer {
        let head = self.head("POST", query, &format!("Content-Length: {}\r\n", body.len()));
        self.exchange(&[head.as_bytes(), body].concat()).await
    }

    pub async fn get(&self, query: &str) -> Answer {
        self.exchange(self.head("GET", query, "").as_bytes()).await
    }

    /// Runs a statement that must succeed and gives its text.
    pub async fn sql(&self, sql: &str) -> String {
        let answer = self.post("", sql.as_bytes()).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        answer.body.trim_end().to_owned()
    }
}

pub async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub async fn fresh(name: &str) -> Address {
    let stores = mohaa_embedded::testing::TestStores::shared().await;
    Address::of(&stores.database(name).await.clickhouse_url)
}
