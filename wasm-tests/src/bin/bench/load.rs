//! Requests to an Envoy and their answers: in batches, each of which waits for all of its answers.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::envoys::Server;

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests for one page.
#[derive(Debug, Clone)]
pub struct Requests {
    /// The path of the page.
    pub path: &'static str,
    /// The header lines with credentials that are sent in turn; one that is empty is no line.
    pub credentials: Vec<Vec<u8>>,
}

impl Requests {
    /// For a page that asks for no credentials.
    pub fn public() -> Self {
        Self { path: "/public/page", credentials: vec![Vec::new()] }
    }

    /// For a page that asks for them.
    pub fn with(credentials: &[Vec<u8>]) -> Self {
        Self { path: "/page", credentials: credentials.to_vec() }
    }

    /// For the same page without credentials.
    pub fn without_credentials(&self) -> Self {
        Self { path: self.path, credentials: vec![Vec::new()] }
    }

    /// Writes the request of this number for an Envoy on this port.
    pub fn write(&self, number: usize, port: u16, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(b"GET ");
        bytes.extend_from_slice(self.path.as_bytes());
        write!(bytes, " HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n").expect("memory can be written");
        bytes.extend_from_slice(
            b"user-agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\naccept: text/html,application/xhtml+xml\r\n\
              accept-encoding: gzip, br\r\naccept-language: en\r\nsec-fetch-mode: navigate\r\nsec-fetch-site: none\r\n",
        );
        let credentials = &self.credentials[number % self.credentials.len()];
        if !credentials.is_empty() {
            bytes.extend_from_slice(credentials);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    /// Whether [`Self::is_answered`] waits.
    waits: bool,
    answer: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("Envoy listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream, waits: true, answer: Vec::new() }
    }

    /// From now on, [`Self::is_answered`] does not wait.
    pub fn set_nonblocking(&mut self) {
        self.waits = false;
        self.stream.set_nonblocking(true).expect("a socket option");
    }

    pub fn send(&mut self, request: &[u8]) {
        self.answer.clear();
        self.stream.write_all(request).expect("Envoy reads");
    }

    /// Reads once. Returns whether the page is there; every other answer ends the bench.
    pub fn is_answered(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => panic!("Envoy has closed the connection after {:?}", self.text()),
            Ok(length) => self.answer.extend_from_slice(&bytes[..length]),
            Err(error) if !self.waits && error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("no answer from Envoy ({error}) after {:?}", self.text()),
        }
        self.is_page()
    }

    fn is_page(&self) -> bool {
        const OK: &[u8] = b"HTTP/1.1 200 ";
        let begun = self.answer.len().min(OK.len());
        assert!(self.answer[..begun] == OK[..begun], "a request was not let through: {}", self.text());
        self.answer.ends_with(b"\r\n\r\nhello\n")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer).into_owned()
    }
}

/// The cost of a run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Microseconds of CPU for each request.
    pub cpu: f64,
    /// Requests a second.
    pub rate: f64,
}

/// Sends this number of requests at least, beginning with the one of number `first`, sixteen at a time as to a busy worker.
pub fn run(server: &Server, requests: &Requests, first: usize, count: usize) -> Run {
    let mut clients: Vec<Client> = (0..AT_ONCE).map(|_| Client::connect(server.port())).collect();
    let (mut bytes, mut number, batches) = (Vec::new(), first, count.div_ceil(AT_ONCE));
    let (begun, before) = (Instant::now(), server.spent());
    for _ in 0..batches {
        for client in &mut clients {
            requests.write(number, server.port(), &mut bytes);
            client.send(&bytes);
            number += 1;
        }
        for client in &mut clients {
            while !client.is_answered() {}
        }
    }
    let sent = (batches * AT_ONCE) as f64;
    Run { cpu: (server.spent() - before) / sent, rate: sent / begun.elapsed().as_secs_f64() }
}

/// The status of the answer to one request; none while nothing answers on this port.
pub fn status(port: u16, requests: &Requests) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    requests.write(0, port, &mut bytes);
    stream.write_all(&bytes).ok()?;
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).ok()?;
    str::from_utf8(&begun).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
