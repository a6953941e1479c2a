//! HTTP as values: the request we were asked about, what to change in it, what to answer instead, and the calls we
//! make ourselves. Header values are bytes throughout, because Envoy lets any byte from 0x80 up pass.

use std::{fmt, ops::Range, rc::Rc, time::Duration};

use url::Url;

use crate::quoted::Quoted;

/// A request's headers as Envoy handed them over: names in lower case, pseudo-headers among them, every line kept.
///
/// They lie in one buffer: a request has some twenty, and two allocations for each would cost more than what is done
/// with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    more_follows: bool,
    route: RouteMetadata,
}

/// What the metadata of a request's route says to this filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RouteMetadata {
    /// Nothing.
    #[default]
    Absent,
    /// The name of a policy.
    Policy(String),
    /// Something else.
    Unreadable,
}

impl RouteMetadata {
    /// What these members say: there must be one alone, which names a policy.
    pub fn read(members: &Request) -> Self {
        let policy = members.text("policy").filter(|_| members.lines.len() == 1);
        policy.map_or(Self::Unreadable, |name| Self::Policy(name.to_owned()))
    }
}

/// Where a line's name and value lie in the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

impl AsRef<Self> for Request {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Request {
    /// The request with these header lines.
    pub fn new<'a>(lines: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut request = Self::default();
        for (name, value) in lines {
            let (start, middle) = (request.bytes.len(), request.bytes.len().saturating_add(name.len()));
            request.bytes.extend_from_slice(name.as_bytes());
            request.bytes.extend_from_slice(value);
            request.lines.push(Line { name: start..middle, value: middle..request.bytes.len() });
        }
        request
    }

    /// Reads a header map as the proxy-wasm ABI lays it out: the number of pairs, the lengths of name and value of each,
    /// then each name and value with a NUL behind; numbers are 32 bits, little-endian. `None` where a length reaches
    /// beyond the end, or a name is not text.
    pub fn from_pairs(bytes: Vec<u8>) -> Option<Self> {
        let lines = lines_of_pairs(&bytes)?;
        for line in &lines {
            std::str::from_utf8(bytes.get(line.name.clone())?).ok()?;
            bytes.get(line.value.clone())?;
        }
        Some(Self { bytes, lines, ..Self::default() })
    }

    /// The request, of which a body or trailers still follow, or nothing does.
    #[must_use]
    pub fn followed_by_more(self, more_follows: bool) -> Self {
        Self { more_follows, ..self }
    }

    /// The request on a route with this metadata.
    #[must_use]
    pub fn on_route(self, route: RouteMetadata) -> Self {
        Self { route, ..self }
    }

    /// The metadata of its route, where somebody looked.
    pub const fn route(&self) -> &RouteMetadata {
        &self.route
    }

    /// Whether these headers are the whole request.
    pub const fn is_whole(&self) -> bool {
        !self.more_follows
    }

    /// Every header line in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| (self.name(line), self.part(&line.value)))
    }

    fn name(&self, line: &Line) -> &str {
        std::str::from_utf8(self.part(&line.name)).unwrap_or_default()
    }

    fn part(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    /// The next line of this header in what is left of all lines. Some thirty questions go through here for each request:
    /// most lines are passed over by their length alone.
    fn next_line<'a>(&'a self, name: &[u8], rest: &mut &'a [Line]) -> Option<&'a [u8]> {
        while let Some((line, after)) = rest.split_first() {
            *rest = after;
            if line.name.len() == name.len() && self.part(&line.name) == name {
                return Some(self.part(&line.value));
            }
        }
        None
    }

    /// Every line of one header, in order.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.lines.as_slice();
        std::iter::from_fn(move || self.next_line(name.as_bytes(), &mut rest))
    }

    /// The value of a header that stands there exactly once. Twice is as good as never: two parsers would read two
    /// different ones.
    pub fn single(&self, name: &str) -> Option<&[u8]> {
        let (name, mut rest) = (name.as_bytes(), self.lines.as_slice());
        let first = self.next_line(name, &mut rest)?;
        self.next_line(name, &mut rest).is_none().then_some(first)
    }

    /// Like [`Self::single`], and readable as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.single(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The names, one for each line, that an app may take for this one ([`folded`]).
    pub fn names_like(&self, name: &str) -> Vec<&str> {
        let mut found = Vec::new();
        for line in &self.lines {
            if line.name.len() == name.len() && is_alike(self.part(&line.name), name.as_bytes()) {
                found.push(self.name(line));
            }
        }
        found
    }

    /// Whether the header is there at all, readable or not.
    pub fn has(&self, name: &str) -> bool {
        self.next_line(name.as_bytes(), &mut self.lines.as_slice()).is_some()
    }

    /// The method, or nothing where it is missing or not text.
    pub fn method(&self) -> &str {
        self.text(":method").unwrap_or_default()
    }

    /// The request target: path and query as Envoy routes on it. Empty for CONNECT.
    pub fn target(&self) -> &[u8] {
        self.single(":path").unwrap_or_default()
    }

    /// The query of the target, without its question mark.
    pub fn query(&self) -> Option<&[u8]> {
        self.target().splitn(2, |byte| *byte == b'?').nth(1)
    }

    /// The host (and port) the request names.
    pub fn authority(&self) -> &str {
        self.text(":authority").unwrap_or_default()
    }
}

fn lines_of_pairs(pairs: &[u8]) -> Option<Vec<Line>> {
    let (count, rest) = pairs.split_first_chunk::<4>()?;
    let lengths = rest.as_chunks::<4>().0.as_chunks::<2>().0;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let lengths = lengths.get(..count)?;
    let mut lines = Vec::with_capacity(count);
    let mut start = count.checked_mul(8)?.checked_add(4)?;
    for [name, value] in lengths {
        let name = start..start.checked_add(usize::try_from(u32::from_le_bytes(*name)).ok()?)?;
        let value_start = name.end.checked_add(1)?;
        let value = value_start..value_start.checked_add(usize::try_from(u32::from_le_bytes(*value)).ok()?)?;
        start = value.end.checked_add(1)?;
        lines.push(Line { name, value });
    }
    Some(lines)
}

fn is_alike(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fold(*a) == fold(*b))
}

/// A header's name as apps may read it: CGI, WSGI and PHP fold `_` and `-` together, and some servers all that is no
/// letter or digit.
pub fn folded(name: &str) -> String {
    name.bytes().map(|byte| char::from(fold(byte))).collect()
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// The value of a parameter that stands in a query or form exactly once. Twice is as good as never: two readers would
/// take two different ones.
pub fn parameter(pairs: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(pairs).filter(|(found, _)| found == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.into_owned()),
        _ => None,
    }
}

/// One change to a request's headers before it goes upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Add a line beside those that are there.
    Add(String, Vec<u8>),
    /// Remove every line of this name.
    Remove(String),
    /// Remove every line of this name, then set this one.
    Set(String, Vec<u8>),
}

/// Who is there, for those who are told: the same for every request of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// For the app.
    pub headers: Vec<HeaderEdit>,
    /// Filter state: keys and values.
    pub state: Vec<(String, String)>,
    /// The header or key for which the request is refused, because its value is too long.
    pub too_long: Option<String>,
}

/// Every change to a permitted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// First, what must go, and what is for this request alone.
    pub own: Vec<HeaderEdit>,
    /// Then, who is there.
    pub identity: Option<Rc<Identity>>,
    /// The name of the rule, for filter state.
    pub rule: Option<String>,
    /// The client's credentials, for the pass after an internal redirect.
    pub credentials: Option<Vec<u8>>,
}

impl Edits {
    /// Those of headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderEdit> {
        self.own.iter().chain(self.identity.iter().flat_map(|identity| &identity.headers))
    }

    /// What is put into filter state.
    pub fn state(&self) -> impl Iterator<Item = (&str, &str)> {
        let identity = self.identity.iter().flat_map(|identity| &identity.state);
        let rule = self.rule.as_deref().map(|name| ("vestibule_rule", name));
        identity.map(|(key, value)| (key.as_str(), value.as_str())).chain(rule)
    }
}

/// An answer of our own; nothing goes upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// The status code.
    pub status: u16,
    /// The stable code: response-code details, and a header on the reply.
    pub code: &'static str,
    /// Headers, several of one name allowed (Set-Cookie).
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Our own origin as browsers see it: scheme, host and port of the configured `external_url`, never of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin of this URL, or `None` where it has none or carries more than an origin (path, query, user ...).
    pub fn parse(text: &str) -> Option<Self> {
        let url = parse_url(text)?;
        let origin = url.origin().ascii_serialization();
        let bare = matches!(url.scheme(), "https" | "http") && url.as_str().strip_suffix('/') == Some(origin.as_str());
        bare.then_some(Self(origin))
    }

    /// Whether this authority names our host: in any letter case, and with any port, as cookies know none (RFC 6265, 8.5).
    pub fn matches_host(&self, authority: &str) -> bool {
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => authority,
        };
        Url::parse(&self.0).is_ok_and(|url| url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name)))
    }

    /// Its port, where it is not the scheme's own.
    pub fn port(&self) -> Option<u16> {
        Url::parse(&self.0).ok()?.port()
    }

    /// `https://app.example.com`, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads an absolute URL whose host is plain ASCII: international names are written in punycode, so that nobody has to
/// guess what they look like, and no Unicode tables have to be loaded.
pub fn parse_url(text: &str) -> Option<Url> {
    let authority = text.split_once("://")?.1.split(['/', '?', '#', '\\']).next()?;
    (text.is_ascii() && !authority.contains('%')).then(|| Url::parse(text).ok()).flatten()
}

/// The Envoy cluster that reaches a host. It decides where we connect, and with which TLS; a URL never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster(String);

impl Cluster {
    /// A cluster of this name, or `None` when the name is empty.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        (!name.is_empty()).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A call to the provider, made through Envoy. It prints without headers and body, which hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct CalloutRequest {
    /// Where Envoy sends it.
    pub cluster: Cluster,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The `:authority`, from the provider's own URL and never from a client.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; it may hold secrets, so it is never logged.
    pub body: Vec<u8>,
    /// When to give up.
    pub timeout: Duration,
}

/// `User-Agent` of every call: GitHub and many firewalls refuse requests without one.
const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));

impl CalloutRequest {
    /// All its headers, pseudo-headers first.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [
            (":method", self.method),
            (":path", self.path.as_str()),
            (":authority", self.authority.as_str()),
            ("user-agent", USER_AGENT),
        ];
        own.into_iter().chain(self.headers.iter().map(|(name, value)| (*name, value.as_str())))
    }
}

impl fmt::Debug for CalloutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, method, authority, path, .. } = self;
        write!(f, "CalloutRequest({method} {authority}{path} by {})", cluster.as_str())
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalloutResponse {
    /// The status code. Envoy itself answers 503 when it cannot connect and 504 when the time is over.
    pub status: u16,
    /// The body, whole and within the size cap.
    pub body: Vec<u8>,
}

impl CalloutResponse {
    /// The response, unless it is a redirect. None is followed, because a request with credentials is meant for one host.
    ///
    /// # Errors
    /// [`CalloutError::Redirected`]
    pub fn received(status: u16, location: Option<&[u8]>, body: Vec<u8>) -> Result<Self, CalloutError> {
        match location {
            Some(location) if (300..400).contains(&status) => {
                let location = Quoted::new(&String::from_utf8_lossy(location));
                Err(CalloutError::Redirected { status, location })
            }
            _ => Ok(Self { status, body }),
        }
    }
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalloutError {
    /// The host did not take the call: the cluster is unknown, has no endpoint, or is full.
    #[error("Envoy did not take the call: is the cluster there, and does its host resolve?")]
    Dispatch,
    /// The stream broke before the response was whole.
    #[error("the response broke off")]
    NoResponse,
    /// The response is a redirect.
    #[error(
        "the response is {status} with Location {location}, which is not followed: configure that issuer or address"
    )]
    Redirected {
        /// The status.
        status: u16,
        /// The `Location`.
        location: Quoted,
    },
    /// The body is larger than we are ready to read.
    #[error("the response is larger than {} bytes", MAX_CALLOUT_BODY)]
    TooLarge,
}

/// What a status that is no good says of whoever was asked: Envoy answers 503 and 504 itself, where it cannot connect or
/// waits in vain.
pub fn status_of(who: &str, status: u16) -> String {
    match status {
        503 => format!("Envoy could not reach {who}, or it answered 503; check the cluster's address and TLS"),
        504 => format!("{who} did not answer in time"),
        other => format!("{who} answered {other}"),
    }
}

/// The largest body of a provider's response that is read: 256 KiB.
pub const MAX_CALLOUT_BODY: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_user_agent() {
        let request = CalloutRequest {
            cluster: Cluster::new("idp").unwrap(),
            method: "GET",
            authority: "idp.example.com".to_owned(),
            path: "/jwks".to_owned(),
            headers: vec![("accept", "application/json".to_owned())],
            body: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let headers: Vec<_> = request.all_headers().collect();
        let agent = format!("vestibule/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            headers,
            [
                (":method", "GET"),
                (":path", "/jwks"),
                (":authority", "idp.example.com"),
                ("user-agent", agent.as_str()),
                ("accept", "application/json"),
            ]
        );
    }

    /// A header map as the ABI lays it out.
    fn pairs(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut bytes = number(headers.len()).to_vec();
        for (name, value) in headers {
            bytes.extend([number(name.len()), number(value.len())].as_flattened());
        }
        for part in headers.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn headers_are_read_from_the_layout_of_the_abi() {
        let headers: [(&[u8], &[u8]); 4] =
            [(b":path", b"/"), (b"cookie", b""), (b"cookie", b"a=\xff\0;b"), ("\u{e9}".as_bytes(), b"x")];
        let request = Request::from_pairs(pairs(&headers)).unwrap();
        let read: Vec<_> = request.headers().map(|(name, value)| (name.as_bytes(), value)).collect();
        assert_eq!(read, headers);
        assert_eq!(Request::from_pairs(pairs(&[])).unwrap().headers().count(), 0);
    }

    #[test]
    fn a_header_map_that_is_cut_or_lies_about_its_lengths_is_not_read() {
        let whole = pairs(&[(b"a", b"b"), (b"cookie", b"value")]);
        // The last byte is a NUL, which nothing reads.
        for length in 0..whole.len() - 1 {
            assert_eq!(Request::from_pairs(whole[..length].to_vec()), None, "{length}");
        }
        for place in [0, 4, 8, 12, 16] {
            for number in [100, u32::MAX] {
                let mut bytes = whole.clone();
                bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
                assert_eq!(Request::from_pairs(bytes), None, "{place}: {number}");
            }
        }
        assert_eq!(Request::from_pairs(pairs(&[(b"\xff", b"b")])), None);
    }

    #[test]
    fn a_redirect_is_no_response() {
        let received = |status, location: Option<&[u8]>| CalloutResponse::received(status, location, Vec::new());
        for status in [301, 302, 303, 307, 308] {
            let error = received(status, Some(b"https://new.example/\r\n")).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!(r#"the response is {status} with Location "https://new.example/\r\n", "#))
            );
            assert!(received(status, None).is_ok());
        }
        for status in [200, 201, 400, 401, 503] {
            assert!(received(status, Some(b"/")).is_ok());
        }
    }
}
