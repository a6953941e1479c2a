//! A browser, as far as the filter can tell: its cookie rules, its navigation headers, its tabs; and below that a
//! client that sends any byte.

mod jar;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use url::Url;

use crate::{
    http1::{Answering, Connection, Response, digest},
    http2,
};
pub use jar::{Cookie, Jar, Refused};

/// Longer than anything the filter may hold a request for.
const PATIENCE: Duration = Duration::from_secs(30);
/// More redirects than any sign-in takes.
const MAX_REDIRECTS: usize = 12;

/// What a page visit sends besides `Host` and `Cookie`.
const NAVIGATION: [(&str, &str); 6] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-user", "?1"),
];

/// What a script's `fetch` sends.
const FETCH: [(&str, &str); 4] =
    [("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];

/// A request to send, byte for byte.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The method.
    pub method: String,
    /// The request target on the wire.
    pub target: Vec<u8>,
    /// Header lines, in order, in the case written here.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// A request without headers.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self { method: method.to_owned(), target: target.as_ref().to_vec(), headers: Vec::new(), body: Vec::new() }
    }

    /// A page visit.
    pub fn navigation(target: impl AsRef<[u8]>) -> Self {
        NAVIGATION.iter().fold(Self::new("GET", target), |send, (name, value)| send.header(name, value))
    }

    /// A script's request.
    pub fn fetch(target: impl AsRef<[u8]>) -> Self {
        FETCH.iter().fold(Self::new("GET", target), |send, (name, value)| send.header(name, value))
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Leaves out the header lines of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name.as_bytes()));
        self
    }

    /// Puts another method in.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Adds a body and its length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("content-length", length)
    }

    /// Length and hash of the body, as [`crate::http1::Request::digest`] gives them for one that has arrived.
    pub fn digest(&self) -> String {
        digest(&self.body)
    }

    /// The bytes on the wire. `host` is added unless there is one.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
            bytes.extend([b"host: ", host.as_bytes(), b"\r\n"].concat());
        }
        for (name, value) in &self.headers {
            bytes.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// One request and what came back, for assertions over a whole scenario.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The port it went to.
    pub port: u16,
    /// The request line.
    pub request: String,
    /// The response; nothing when the connection ended before one.
    pub response: Option<Response>,
}

/// Every exchange of one scenario's user agents.
pub type Transcript = Arc<Mutex<Vec<Exchange>>>;

/// A browser. A clone is another tab of the same browser: it shares the cookies.
#[derive(Debug, Clone, Default)]
pub struct UserAgent {
    jar: Arc<Mutex<Jar>>,
    transcript: Transcript,
    http2_port: Option<u16>,
    balanced: Option<(u16, u16)>,
}

impl UserAgent {
    /// A browser without cookies that writes into this transcript.
    pub fn new(transcript: &Transcript) -> Self {
        Self { jar: Arc::default(), transcript: Arc::clone(transcript), http2_port: None, balanced: None }
    }

    /// The same browser, which speaks HTTP/2 with whoever listens on this port.
    #[must_use]
    pub fn over_http2(&self, port: u16) -> Self {
        Self { http2_port: Some(port), ..self.clone() }
    }

    /// The same browser behind a load balancer: what it sends to the port `from` arrives at the port `to`, with the host
    /// that the browser has in its address bar.
    #[must_use]
    pub fn balanced(&self, from: u16, to: u16) -> Self {
        Self { balanced: Some((from, to)), ..self.clone() }
    }

    /// The cookies.
    pub fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The names of the cookies that go to this URL.
    pub fn cookie_names(&self, url: &str) -> Vec<String> {
        let host = parse(url).host_str().expect("a URL with a host").to_owned();
        self.jar().cookies().iter().filter(|cookie| cookie.host == host).map(|cookie| cookie.name.clone()).collect()
    }

    /// Visits a page; redirects are not followed.
    pub fn get(&self, url: &str) -> Response {
        self.visit(url, Outgoing::navigation(target(&parse(url))))
    }

    /// Requests a URL as a script does.
    pub fn fetch(&self, url: &str) -> Response {
        self.visit(url, Outgoing::fetch(target(&parse(url))))
    }

    /// Visits a page and goes wherever it leads. Returns the URLs on the way with their responses; the last one is
    /// where it ended.
    ///
    /// # Panics
    /// On a redirect loop.
    pub fn follow(&self, url: &str) -> Vec<(String, Response)> {
        let mut steps = Vec::new();
        let mut next = url.to_owned();
        while steps.len() < MAX_REDIRECTS {
            let response = self.get(&next);
            let location = response.location().filter(|_| (300..400).contains(&response.status));
            steps.push((next.clone(), response));
            let Some(location) = location else { return steps };
            next = parse(&next).join(&location).expect("a Location that is a URL").into();
        }
        panic!("a redirect loop: {:#?}", steps.iter().map(|(url, _)| url).collect::<Vec<_>>());
    }

    /// Sends this request to where the URL points, with the browser's cookies, and keeps the cookies it sets.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn visit(&self, url: &str, send: Outgoing) -> Response {
        let url = parse(url);
        let host = url.host_str().expect("a URL with a host");
        let cookies = self.jar().header(host, url.path());
        let send = match cookies {
            Some(cookies) => send.header("cookie", cookies),
            None => send,
        };
        let response = self.exchange(&url, &send).unwrap_or_else(|error| panic!("no answer from {url}: {error}"));
        let mut jar = self.jar();
        for line in response.headers.all("set-cookie") {
            jar.take(host, url.path(), line);
        }
        drop(jar);
        response
    }

    /// Sends this request as it is: no cookie is added, none is kept.
    ///
    /// # Errors
    /// When no response comes back.
    pub fn send(&self, url: &str, send: &Outgoing) -> io::Result<Response> {
        self.exchange(&parse(url), send)
    }

    fn exchange(&self, url: &Url, send: &Outgoing) -> io::Result<Response> {
        let named = url.port_or_known_default().expect("a URL with a port");
        let port = self.balanced.filter(|(from, _)| *from == named).map_or(named, |(_, to)| to);
        let result = address(url).and_then(|mut address| {
            address.set_port(port);
            if self.http2_port == Some(port) {
                http2::exchange(address, &authority(url), send, PATIENCE)
            } else {
                http1_exchange(address, &authority(url), send)
            }
        });
        let request = format!("{} {}", send.method, String::from_utf8_lossy(&send.target));
        let exchange = Exchange { port, request, response: result.as_ref().ok().cloned() };
        self.transcript.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(exchange);
        result
    }
}

fn http1_exchange(address: SocketAddr, authority: &str, send: &Outgoing) -> io::Result<Response> {
    let answering = if send.method == "HEAD" { Answering::Head } else { Answering::Other };
    let mut connection = Connection::open(address, PATIENCE)?;
    // Whoever refuses a request early may close before it has read the rest; its answer counts all the same.
    let sent = connection.send(&send.bytes(authority));
    let response = connection.read_response(answering);
    if let Ok(response) = &response
        && response.status != 101
    {
        let more = connection.has_more(Duration::from_millis(2));
        assert!(!more, "more than one response to {} {authority}: {response:?}", send.method);
    }
    sent.and(response)
}

/// Opens a connection to where the URL points.
///
/// # Errors
/// Whatever the operating system says.
pub fn connect(url: &Url) -> io::Result<Connection> {
    Connection::open(address(url)?, PATIENCE)
}

fn address(url: &Url) -> io::Result<SocketAddr> {
    let host = url.host_str().expect("a URL with a host");
    let port = url.port_or_known_default().expect("a URL with a port");
    // As browsers do; the C library does not know these names.
    let host = if host.ends_with("localhost") { "127.0.0.1" } else { host };
    (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no address"))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().expect("a URL with a host");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn target(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{issuer::Issuer, upstream::Upstream};

    #[test]
    fn sends_its_cookies_and_lets_the_app_see_every_byte() {
        let app = Upstream::start();
        let browser = UserAgent::default();
        let url = format!("http://127.0.0.1:{}/page", app.port());
        browser.get(&format!("{url}?set-cookie=a%3D1&set-cookie=__Host-b%3D2"));
        assert_eq!((browser.cookie_names(&url), browser.jar().refused().len()), (vec!["a".to_owned()], 1));

        let tab = browser.clone();
        tab.visit(&url, Outgoing::fetch("/page").header("X-Odd", b"\xff").header("Cookie", "extra=1"));
        let seen = app.last();
        assert_eq!(seen.headers.all("x-odd"), [b"\xff"]);
        assert_eq!(seen.headers.all("cookie"), [&b"extra=1"[..], b"a=1"]);
        assert_eq!(app.count(), 2);
    }

    #[test]
    fn follows_redirects_to_their_end() {
        let app = Upstream::start();
        let issuer = Issuer::start();
        let back = format!("http://127.0.0.1:{}/cb", app.port());
        let mut start = Url::parse(&format!("{}/authorize", issuer.url())).unwrap();
        start.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", crate::issuer::CLIENT_ID),
            ("redirect_uri", &back),
            ("scope", "openid"),
            ("code_challenge", "x"),
            ("code_challenge_method", "S256"),
        ]);
        let steps = UserAgent::default().follow(start.as_str());
        assert_eq!(steps.iter().map(|(_, response)| response.status).collect::<Vec<_>>(), [302, 200]);
        assert!(app.last().target.starts_with("/cb?code=canary-code-"));
    }
}
