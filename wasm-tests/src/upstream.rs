//! The app behind the filter: it records every request it sees, and answers.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    thread::sleep,
    time::Duration,
};

use crate::{
    http1::{Connection, Outcome, Request, Server, response},
    issuer::Gate,
};

/// The header that marks an answer of the app, as opposed to one of the filter.
pub const MARK: &str = "x-answered-by";

/// A running app. Dropping it closes its port.
pub struct Upstream {
    seen: Arc<Mutex<Vec<Request>>>,
    gate: Gate,
    server: Server,
}

impl Upstream {
    /// Starts on a free port.
    ///
    /// It answers 200 with a small body, and a WebSocket upgrade with 101. The query changes the answer:
    ///
    /// * `set-cookie=…`, `cache-control=…`, `cdn-cache-control=…`, `expires=…`, `etag=…`: a header line of this name, as
    ///   often as it is asked for;
    /// * `header=name:value`: any other one;
    /// * `status=304`: this status, without a body if it has none;
    /// * `html=…`: a page with this text in its body;
    /// * `script=…`: this script;
    /// * `late=500`: after this many milliseconds;
    /// * `held=…`: once [`Self::release`] says so;
    /// * `chunks=3`: in so many chunks, each `late` milliseconds after the one before, and no length.
    pub fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate::default();
        let (recorder, held) = (Arc::clone(&seen), gate.clone());
        let server = Server::start(0, move |request, connection| {
            lock(&recorder).push(request.clone());
            if request.query().iter().any(|(name, _)| name == "held") {
                held.pass();
            }
            if answer(&request, connection).is_ok() { Outcome::KeepAlive } else { Outcome::Close }
        });
        Self { seen, gate, server }
    }

    /// Answers the held requests; later requests are answered at once.
    pub fn release(&self) {
        self.gate.open();
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

fn answer(request: &Request, connection: &mut Connection) -> io::Result<()> {
    if request.headers.text("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        let switch = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n{MARK}: app\r\n\r\n"
        );
        return connection.send(switch.as_bytes());
    }
    let query = request.query();
    let number = |name: &str| {
        let value = query.iter().find(|(found, _)| found == name)?.1.parse::<u16>();
        Some(value.unwrap_or_else(|_| panic!("{name} is a number: {query:?}")))
    };
    let content = query.iter().find_map(|(name, text)| match name.as_str() {
        "html" => Some(("text/html; charset=utf-8", page(text))),
        "script" => Some(("text/javascript", text.clone())),
        _ => None,
    });
    let (kind, content) = content.unwrap_or_else(|| ("text/plain", "hello from the app".to_owned()));
    let mut headers = vec![(MARK, "app"), ("content-type", kind)];
    for (name, value) in &query {
        match name.as_str() {
            "cache-control" | "cdn-cache-control" | "etag" | "expires" | "set-cookie" => headers.push((name, value)),
            "header" => headers.extend(value.split_once(':')),
            _ => {}
        }
    }
    let status = number("status").unwrap_or(200);
    let late = Duration::from_millis(number("late").unwrap_or(0).into());
    let is_bare = request.method == "HEAD" || matches!(status, 204 | 304);
    let body = if is_bare { String::new() } else { content };
    let Some(chunks) = number("chunks") else {
        sleep(late);
        return connection.send(&response(status, &headers, body.as_bytes()));
    };
    let mut head = format!("HTTP/1.1 {status} Status\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.send(format!("{head}\r\n").as_bytes())?;
    for _ in 0..chunks {
        sleep(late);
        connection.send(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes())?;
    }
    connection.send(b"0\r\n\r\n")
}

fn page(body: &str) -> String {
    format!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>The app</title><body>{body}</body></html>")
}

fn lock(seen: &Mutex<Vec<Request>>) -> MutexGuard<'_, Vec<Request>> {
    seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::user_agent::{Outgoing, UserAgent};

    #[test]
    fn the_test_app_responds_as_the_query_requests() {
        let app = Upstream::start();
        let get = |query: &str| UserAgent::default().get(&format!("http://127.0.0.1:{}/page?{query}", app.port()));
        let response = get(
            "set-cookie=a%3D1&set-cookie=b%3D2&cache-control=public,max-age%3D60&expires=0&etag=%22x%22&header=a:b",
        );
        for (name, values) in [
            ("set-cookie", vec![&b"a=1"[..], b"b=2"]),
            ("cache-control", vec![&b"public,max-age=60"[..]]),
            ("expires", vec![&b"0"[..]]),
            ("etag", vec![&b"\"x\""[..]]),
            ("a", vec![&b"b"[..]]),
        ] {
            assert_eq!(response.headers.all(name), values, "{name}");
        }
        let response = get("status=304");
        assert_eq!((response.status, response.body.len()), (304, 0));
        assert!(get("html=%3Cform%3E").text().contains("<form>"));
        let start = Instant::now();
        assert_eq!(get("chunks=3&late=20").text(), "hello from the app".repeat(3));
        assert!(start.elapsed() >= Duration::from_millis(60));
    }

    #[test]
    fn the_test_app_receives_large_bodies_completely() {
        let app = Upstream::start();
        let url = format!("http://127.0.0.1:{}/", app.port());
        let body: Vec<u8> = (0..10 << 20).map(|at: u32| at.to_le_bytes()[at as usize % 4]).collect();
        let send = Outgoing::fetch("/").method("POST").body(&body);
        UserAgent::default().visit(&url, send.clone());
        assert_eq!((app.last().digest(), app.last().body.len()), (send.digest(), 10 << 20));
        assert_ne!(app.last().digest(), send.body(b"other").digest());
    }
}
