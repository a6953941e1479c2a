//! A browser, as far as the filter can tell: its cookie rules, its navigation headers, its tabs; and below that a
//! client that sends any byte.

mod jar;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, Barrier, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use url::Url;

pub use crate::outgoing::Outgoing;
use crate::{
    cookies::is_session_cookie,
    http1::{Answering, Connection, Response},
    http2,
};
pub use jar::{Cookie, Jar, Refused};

/// Longer than anything the filter may hold a request for.
const PATIENCE: Duration = Duration::from_secs(60);
/// More redirects than any sign-in takes.
const MAX_REDIRECTS: usize = 12;

/// One request and what came back, for assertions over a whole scenario.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The port it went to.
    pub port: u16,
    /// The request line.
    pub request: String,
    /// Whether a browser shows the answer in a frame.
    pub is_framed: bool,
    /// The response; nothing when the connection ended before one.
    pub response: Option<Response>,
}

impl Exchange {
    /// The exchange of this request and its response.
    pub fn of(send: &Outgoing, port: u16, response: Option<Response>) -> Self {
        let request = format!("{} {}", send.method, String::from_utf8_lossy(&send.target));
        Self { port, request, is_framed: send.is_framed(), response }
    }
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

    /// The same browser, which speaks HTTP/2 on this port.
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
        let url = parse(url);
        let host = host(&url);
        self.jar().cookies().iter().filter(|cookie| cookie.goes_to(host)).map(|cookie| cookie.name.clone()).collect()
    }

    /// The cookies of its session with the filter: one, or several when it does not fit in one.
    pub fn session_cookies(&self) -> Vec<Cookie> {
        self.jar().cookies().iter().filter(|cookie| is_session_cookie(&cookie.name)).cloned().collect()
    }

    /// Visits a page; redirects are not followed.
    pub fn get(&self, url: &str) -> Response {
        self.visit(url, Outgoing::navigation(target(&parse(url))))
    }

    /// Requests a URL as a script does.
    pub fn fetch(&self, url: &str) -> Response {
        self.visit(url, Outgoing::fetch(target(&parse(url))))
    }

    /// Visits a page and follows redirects. Returns the URLs on the way with their responses, the final page last.
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
        let send = self.with_cookies(&url, send);
        let response = self.exchange(&url, &send).unwrap_or_else(|error| panic!("no answer from {url}: {error}"));
        self.keep(&url, &response);
        response
    }

    fn with_cookies(&self, url: &Url, send: Outgoing) -> Outgoing {
        match self.jar().header(host(url), url.path()) {
            Some(cookies) => send.header("cookie", cookies),
            None => send,
        }
    }

    fn keep(&self, url: &Url, response: &Response) {
        let mut jar = self.jar();
        for line in response.headers.all("set-cookie") {
            jar.take(host(url), url.path(), line);
        }
    }

    /// Sends all these requests at the same moment, each on a connection of its own to where its URL points, with the
    /// cookies that the browser has now. The cookies that come back are kept as they come; the responses are returned in
    /// the order of the requests.
    ///
    /// # Panics
    /// When one has no answer.
    #[track_caller]
    pub fn at_once(&self, requests: &[(String, Outgoing)]) -> Vec<Response> {
        let snapshot = Self { jar: Arc::new(Mutex::new(self.jar().clone())), ..self.clone() };
        let start = Barrier::new(requests.len());
        thread::scope(|scope| {
            let send = |(url, send): &(String, Outgoing)| {
                let (url, send) = (parse(url), snapshot.with_cookies(&parse(url), send.clone()));
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let response =
                        self.exchange(&url, &send).unwrap_or_else(|error| panic!("no answer from {url}: {error}"));
                    self.keep(&url, &response);
                    response
                })
            };
            let threads: Vec<_> = requests.iter().map(send).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer to each request")).collect()
        })
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
        let exchange = Exchange::of(send, port, result.as_ref().ok().cloned());
        self.transcript.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(exchange);
        result
    }
}

fn http1_exchange(address: SocketAddr, authority: &str, send: &Outgoing) -> io::Result<Response> {
    let answering = if send.method == "HEAD" { Answering::Head } else { Answering::Other };
    let mut connection = Connection::open(address, PATIENCE)?;
    // A server may refuse a request early and close before it has read the rest; its answer counts.
    let sent = connection.send(&send.bytes(authority));
    let response = connection.read_response(answering);
    if let Ok(response) = &response
        && response.status != 101
    {
        let more = connection.has_more(Duration::from_millis(2));
        assert!(!more, "more than one response to {} {authority}: {response:?}", send.method);
    }
    // An earlier error of the request explains a missing response.
    response.map_err(|error| sent.err().unwrap_or(error))
}

/// Opens a connection to the host and port of the URL.
///
/// # Errors
/// The error of the operating system.
pub fn connect(url: &Url) -> io::Result<Connection> {
    Connection::open(address(url)?, PATIENCE)
}

fn host(url: &Url) -> &str {
    url.host_str().expect("a URL with a host")
}

fn address(url: &Url) -> io::Result<SocketAddr> {
    let host = host(url);
    let port = url.port_or_known_default().expect("a URL with a port");
    // Browsers resolve these names to this machine; the C library does not know them.
    let host = if host.ends_with("localhost") { "127.0.0.1" } else { host };
    (host, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no address"))
}

fn authority(url: &Url) -> String {
    let host = host(url);
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
    use crate::{issuer::Issuer, process::until, upstream::Upstream};

    #[test]
    fn the_user_agent_sends_its_cookies_and_headers_unchanged() {
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
    fn concurrent_requests_send_the_same_cookies_and_the_last_response_wins() {
        let app = Upstream::start();
        let browser = UserAgent::default();
        let url = |query: &str| format!("http://127.0.0.1:{}/page?{query}", app.port());
        browser.get(&url("set-cookie=a%3D0"));
        let requests = ["1&held", "2"].map(|value| (url(""), Outgoing::fetch(format!("/page?set-cookie=a%3D{value}"))));
        let value = || browser.jar().find("127.0.0.1", "a").map(|cookie| cookie.value.clone());
        let responses = thread::scope(|scope| {
            let responses = scope.spawn(|| browser.at_once(&requests));
            until("the second answer", || (value()? == b"2").then_some(()));
            app.release();
            responses.join().expect("answers")
        });
        let set: Vec<String> = responses.iter().flat_map(Response::set_cookies).collect();
        assert_eq!(set, ["a=1", "a=2"]);
        // The first request was answered last.
        assert_eq!(value(), Some(b"1".to_vec()));
        for request in &app.seen()[1..] {
            assert_eq!(request.headers.all("cookie"), [b"a=0"]);
        }
    }

    #[test]
    fn session_cookies_are_distinguished_from_pending_sign_ins() {
        let browser = UserAgent::default();
        for name in ["__Host-vestibule", "__Host-vestibule-1", "__Host-vestibule-p-abc", "other"] {
            browser.jar().take("127.0.0.1", "/", format!("{name}=x; Secure; Path=/").as_bytes());
        }
        let names: Vec<String> = browser.session_cookies().into_iter().map(|cookie| cookie.name).collect();
        assert_eq!(names, ["__Host-vestibule", "__Host-vestibule-1"]);
    }

    #[test]
    fn the_user_agent_follows_redirects_to_the_end() {
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
