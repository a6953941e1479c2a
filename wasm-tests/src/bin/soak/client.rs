//! Connections to Envoy that are kept, as browsers keep theirs.

use std::{io, net::SocketAddr, time::Duration};

use wasm_tests::{
    http1::{Answering, Connection, Response},
    user_agent::Outgoing,
};

/// Longer than anything the filter may hold a request for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client with one connection.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    host: String,
    kept: Option<Connection>,
}

/// A request without an answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// Whether its connection had been used before: the server may have closed it meanwhile.
    pub was_kept: bool,
    /// The error of the connection.
    pub error: io::Error,
}

impl Client {
    /// Of the server on this port.
    pub fn new(port: u16) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), host: format!("127.0.0.1:{port}"), kept: None }
    }

    /// The server.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of `Host`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sends a request on the connection that is kept, or on a new one.
    ///
    /// # Errors
    /// When no answer comes back.
    pub fn send(&mut self, send: &Outgoing) -> Result<Response, NoAnswer> {
        let was_kept = self.kept.is_some();
        let answer = self.try_send(send);
        answer.map_err(|error| NoAnswer { was_kept, error })
    }

    /// The next request goes out on a new connection.
    pub fn reconnect(&mut self) {
        self.kept = None;
    }

    /// A connection that has sent these bytes.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn begin(&self, bytes: &[u8]) -> io::Result<Connection> {
        let mut connection = Connection::open(self.address, PATIENCE)?;
        connection.send(bytes)?;
        Ok(connection)
    }

    fn try_send(&mut self, send: &Outgoing) -> io::Result<Response> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => Connection::open(self.address, PATIENCE)?,
        };
        // A server may refuse a request before it has read it all; its answer counts.
        let sent = connection.send(&send.bytes(&self.host));
        let response = connection.read_response(answering(send)).map_err(|error| sent.err().unwrap_or(error))?;
        let closes = response.headers.text("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.kept = Some(connection);
        }
        Ok(response)
    }
}

fn answering(send: &Outgoing) -> Answering {
    if send.method == "HEAD" { Answering::Head } else { Answering::Other }
}
