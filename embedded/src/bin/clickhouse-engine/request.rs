//! What an HTTP request of ClickHouse's interface asks for, before its body is looked at.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Uri};

use crate::engine::SessionRequest;
use crate::exception::{Code, Exception};

/// The server's default for `session_timeout`, in seconds.
const SESSION_TIMEOUT_SECONDS: u64 = 60;
/// URL parameters of the interface that are no settings and need nothing done here: answers are
/// always complete before they are sent, and there are no roles, quotas or native revisions.
const WITHOUT_EFFECT: [&str; 7] = [
    "wait_end_of_query",
    "buffer_size",
    "role",
    "quota_key",
    "stacktrace",
    "close_session",
    "client_protocol_version",
];

#[derive(Debug, Default)]
pub struct RequestHead {
    pub user: String,
    pub password: String,
    pub query: String,
    pub query_id: Option<String>,
    pub database: Option<String>,
    pub default_format: Option<String>,
    pub session: Option<SessionRequest>,
    /// The body comes in compressed blocks.
    pub decompress: bool,
    /// The answer goes in compressed blocks.
    pub compress: bool,
    pub settings: Vec<(String, String)>,
    /// Server-side parameters, without their `param_`.
    pub parameters: Vec<(String, String)>,
    /// The boundary when the body is a form.
    pub form_boundary: Option<String>,
}

impl RequestHead {
    pub fn read(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, Exception> {
        let mut head = RequestHead { user: "default".to_owned(), ..RequestHead::default() };
        head.read_headers(headers)?;
        let mut session_id = None;
        let mut session_timeout = SESSION_TIMEOUT_SECONDS;
        let mut session_check = false;
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let value = value.into_owned();
            match name.as_ref() {
                "query" => head.query = value,
                "user" => head.user = value,
                "password" => head.password = value,
                "query_id" => head.query_id = Some(value).filter(|id| !id.is_empty()),
                "database" => head.database = Some(value),
                "default_format" => head.default_format = Some(value),
                "session_id" => session_id = Some(value),
                "session_timeout" => {
                    session_timeout = value.parse().map_err(|_| {
                        Exception::new(Code::BadArguments, format!("Invalid session timeout: '{value}'"))
                    })?;
                }
                "session_check" => session_check = is_on(&value),
                "decompress" => head.decompress = is_on(&value),
                "compress" => head.compress = is_on(&value),
                name if WITHOUT_EFFECT.contains(&name) => {}
                name => head.add(name, value),
            }
        }
        head.session = session_id.filter(|id| !id.is_empty()).map(|id| SessionRequest {
            id,
            timeout: Duration::from_secs(session_timeout),
            must_exist: session_check,
        });
        // As a server: reading verbs can't change anything, settings may still be given.
        if method == Method::GET && !head.settings.iter().any(|(name, _)| name == "readonly") {
            head.settings.push(("readonly".to_owned(), "2".to_owned()));
        }
        head.settings.sort();
        Ok(head)
    }

    /// One more field, from the URL or a form.
    pub fn add(&mut self, name: &str, value: String) {
        match name.strip_prefix("param_") {
            Some(parameter) => self.parameters.push((parameter.to_owned(), value)),
            None => self.settings.push((name.to_owned(), value)),
        }
    }

    fn read_headers(&mut self, headers: &HeaderMap) -> Result<(), Exception> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(encoding) = text(CONTENT_ENCODING.as_str())
            && encoding != "identity"
        {
            return Err(Exception::new(
                Code::NotImplemented,
                format!("Content-Encoding {encoding} is not supported, use decompress=1 or none"),
            ));
        }
        self.form_boundary = text(CONTENT_TYPE.as_str()).and_then(|content_type| {
            let rest = content_type.strip_prefix("multipart/form-data")?;
            let boundary = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
            Some(boundary.trim_matches('"').to_owned())
        });
        if let Some(credentials) = text(AUTHORIZATION.as_str()).and_then(|v| v.strip_prefix("Basic ")) {
            let decoded = BASE64_STANDARD
                .decode(credentials.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
            let (user, password) = pair.ok_or_else(|| {
                Exception::new(Code::AuthenticationFailed, "Invalid Basic authorization header")
            })?;
            (self.user, self.password) = (user.to_owned(), password.to_owned());
        }
        if let Some(user) = text("x-clickhouse-user") {
            user.clone_into(&mut self.user);
        }
        if let Some(key) = text("x-clickhouse-key") {
            key.clone_into(&mut self.password);
        }
        if let Some(database) = text("x-clickhouse-database") {
            self.database = Some(database.to_owned());
        }
        if let Some(format) = text("x-clickhouse-format") {
            self.default_format = Some(format.to_owned());
        }
        Ok(())
    }
}

fn is_on(value: &str) -> bool {
    matches!(value, "1" | "true")
}

/// The fields of a `multipart/form-data` body, in order.
pub fn form_fields(body: &[u8], boundary: &str) -> Result<Vec<(String, String)>, Exception> {
    let malformed = || Exception::new(Code::BadArguments, "malformed multipart/form-data body");
    let delimiter = format!("--{boundary}").into_bytes();
    let mut fields = Vec::new();
    let start = find(body, &delimiter).ok_or_else(malformed)?;
    let mut rest = &body[start + delimiter.len()..];
    let next_delimiter = [b"\r\n", delimiter.as_slice()].concat();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let head_end = find(part, b"\r\n\r\n").ok_or_else(malformed)?;
        let head = String::from_utf8_lossy(&part[..head_end]);
        let content = &part[head_end + 4..];
        let content_end = find(content, &next_delimiter).ok_or_else(malformed)?;
        let name = head
            .split(['\r', '\n', ';'])
            .find_map(|piece| piece.trim().strip_prefix("name="))
            .ok_or_else(malformed)?;
        let value = String::from_utf8(content[..content_end].to_vec()).map_err(|_| malformed())?;
        fields.push((name.trim_matches('"').to_owned(), value));
        rest = &content[content_end + next_delimiter.len()..];
    }
    if rest.starts_with(b"--") { Ok(fields) } else { Err(malformed()) }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_form_gives_its_fields_byte_for_byte() {
        let body =
            b"--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT\r\n{x:String}\r\n--b\r\n\
            Content-Disposition: form-data; name=\"param_x\"\r\n\r\n--b?\r\n--b--\r\n";
        let fields = form_fields(body, "b").unwrap();
        assert_eq!(fields[0], ("query".to_owned(), "SELECT\r\n{x:String}".to_owned()));
        assert_eq!(fields[1], ("param_x".to_owned(), "--b?".to_owned()));
        assert!(form_fields(&body[..body.len() - 6], "b").is_err());
    }
}
