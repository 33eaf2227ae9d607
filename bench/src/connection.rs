//! One keep-alive HTTP/1.1 connection, as a game server holds one: the next request leaves when the last is answered.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap};
use hyper::{Request, StatusCode, http};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::BenchError;

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body of a 2xx answer.
    ///
    /// # Errors
    /// When the status is another.
    pub fn success(self) -> Result<Bytes, BenchError> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.unexpected()) }
    }

    /// The answer itself, when it is a 2xx one.
    ///
    /// # Errors
    /// When the status is another.
    pub fn accepted(self) -> Result<Self, BenchError> {
        if self.status.is_success() { Ok(self) } else { Err(self.unexpected()) }
    }

    pub fn unexpected(self) -> BenchError {
        let body = String::from_utf8_lossy(&self.body).chars().take(500).collect();
        BenchError::Answer { status: self.status.as_u16(), body }
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address).await.map_err(BenchError::Connect)?;
        stream.set_nodelay(true).map_err(BenchError::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its failure shows at the next request.
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string() })
    }

    pub async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Result<Answer, BenchError> {
        let request: Request<Full<Bytes>> = request.header(HOST, &self.host).body(Full::new(body))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
    }
}
