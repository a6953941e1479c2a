//! The app behind the filter: it records every request it sees, and answers.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::http1::{Outcome, Request, Server, response};

/// The header by which an answer of the app is told from an answer of the filter.
pub const MARK: &str = "x-answered-by";

/// A running app. Dropping it closes its port.
pub struct Upstream {
    seen: Arc<Mutex<Vec<Request>>>,
    server: Server,
}

impl Upstream {
    /// Starts on a free port.
    ///
    /// It answers 200 with a small body; `?set-cookie=…` in the query makes it set that cookie, `?header=name:value`
    /// adds a header line, and a WebSocket upgrade is answered with 101.
    pub fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&seen);
        let server = Server::start(0, move |request, connection| {
            let answer = answer(&request);
            lock(&recorder).push(request);
            if connection.send(&answer).is_ok() { Outcome::KeepAlive } else { Outcome::Close }
        });
        Self { seen, server }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Every request it saw, in order.
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.seen).clone()
    }

    /// How many requests it saw.
    pub fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// Forgets what it saw.
    pub fn forget(&self) {
        lock(&self.seen).clear();
    }

    /// The request it saw last.
    ///
    /// # Panics
    /// When it saw none.
    pub fn last(&self) -> Request {
        lock(&self.seen).last().expect("a request that reached the app").clone()
    }

    /// Fails when anything at all reached the app.
    ///
    /// # Panics
    /// With what it saw.
    #[track_caller]
    pub fn assert_saw_nothing(&self) {
        let seen = self.seen();
        assert!(seen.is_empty(), "the app saw {seen:#?}");
    }

    /// Fails when anything reached the app since it had seen `before` requests.
    ///
    /// # Panics
    /// With what it saw.
    #[track_caller]
    pub fn assert_saw_nothing_since(&self, before: usize, what: &str) {
        let seen = self.seen();
        assert!(seen.len() == before, "{what}: the app saw {:#?}", &seen[before..]);
    }
}

fn answer(request: &Request) -> Vec<u8> {
    if request.headers.text("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n{MARK}: app\r\n\r\n"
        )
        .into_bytes();
    }
    let query = request.query();
    let mut headers = vec![(MARK, "app"), ("content-type", "text/plain")];
    for (name, value) in &query {
        match name.as_str() {
            "set-cookie" => headers.push(("set-cookie", value)),
            "header" => headers.extend(value.split_once(':')),
            _ => {}
        }
    }
    let body = if request.method == "HEAD" { "" } else { "hello from the app" };
    response(200, &headers, body.as_bytes())
}

fn lock(seen: &Mutex<Vec<Request>>) -> MutexGuard<'_, Vec<Request>> {
    seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
