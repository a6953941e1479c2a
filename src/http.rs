//! HTTP as values: requests, edits, local replies and callouts. Header values are bytes, because Envoy allows every
//! byte from 0x80 up.

pub mod trace_context;

use std::{fmt, ops::Range, rc::Rc, time::Duration};

use url::Url;

use crate::quoted::Quoted;

/// The headers of a request from Envoy: names in lower case, with pseudo-headers, every line kept.
///
/// They share one buffer: two allocations for each of some twenty headers would cost more than their evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// The lengths of their names: most look-ups are for headers that are not there.
    lengths: Lengths,
    more_follows: bool,
    route: RouteMetadata,
}

/// The metadata of a request's route under this filter's key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RouteMetadata {
    /// The route has no such metadata.
    #[default]
    Absent,
    /// The name of a policy.
    Policy(String),
    /// The metadata has another form.
    Unreadable,
}

impl RouteMetadata {
    /// Reads the members: exactly one, which names a policy.
    pub fn read(members: &Request) -> Self {
        let policy = members.text("policy").filter(|_| members.lines.len() == 1);
        policy.map_or(Self::Unreadable, |name| Self::Policy(name.to_owned()))
    }
}

/// The ranges of a line's name and value in the buffer.
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
    /// A request with these header lines.
    pub fn new<'a>(lines: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut request = Self::default();
        for (name, value) in lines {
            let (start, middle) = (request.bytes.len(), request.bytes.len().saturating_add(name.len()));
            request.bytes.extend_from_slice(name.as_bytes());
            request.bytes.extend_from_slice(value);
            request.lengths.add(name.len());
            request.lines.push(Line { name: start..middle, value: middle..request.bytes.len() });
        }
        request
    }

    /// Reads a header map as the proxy-wasm ABI lays it out: the number of pairs, the lengths of name and value of each,
    /// then each name and value with a NUL behind; numbers are 32 bits, little-endian. `None` where a length reaches
    /// beyond the end, or a name is not ASCII, as every name is (RFC 9110, 5.1).
    pub fn from_pairs(bytes: Vec<u8>) -> Option<Self> {
        let lines = lines_of_pairs(&bytes)?;
        let mut lengths = Lengths::default();
        for line in &lines {
            bytes.get(line.value.clone())?;
            if !bytes.get(line.name.clone())?.is_ascii() {
                return None;
            }
            lengths.add(line.name.len());
        }
        Some(Self { bytes, lines, lengths, ..Self::default() })
    }

    /// Sets whether a body or trailers follow.
    #[must_use]
    pub fn with_more_following(self, more_follows: bool) -> Self {
        Self { more_follows, ..self }
    }

    /// Sets the metadata of the request's route.
    #[must_use]
    pub fn with_route(self, route: RouteMetadata) -> Self {
        Self { route, ..self }
    }

    /// The metadata of its route; `Absent` unless it was read.
    pub const fn route(&self) -> &RouteMetadata {
        &self.route
    }

    /// Whether no body and no trailers follow.
    pub const fn ends_with_headers(&self) -> bool {
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

    /// The lines to search for this header.
    fn lines_for(&self, name: &str) -> &[Line] {
        if self.lengths.have(name.len()) { &self.lines } else { &[] }
    }

    /// The next line of this header in the remaining lines. A request has some thirty look-ups: comparing the length
    /// first skips most lines.
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
        let mut rest = self.lines_for(name);
        std::iter::from_fn(move || self.next_line(name.as_bytes(), &mut rest))
    }

    /// The value of a header with exactly one line. Duplicates count as absent: two parsers would read different ones.
    pub fn single(&self, name: &str) -> Option<&[u8]> {
        let (name, mut rest) = (name.as_bytes(), self.lines_for(name));
        let first = self.next_line(name, &mut rest)?;
        self.next_line(name, &mut rest).is_none().then_some(first)
    }

    /// Like [`Self::single`], as UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.single(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The names of lines that an app may take for this header ([`folded`]).
    pub fn names_like(&self, name: &str) -> Vec<&str> {
        let alike = self.lines.iter().filter(|line| is_alike(self.part(&line.name), name.as_bytes()));
        alike.map(|line| self.name(line)).collect()
    }

    /// The names of lines that an app may take for one of these headers, in one pass.
    pub fn names_like_any(&self, headers: &HeaderNames) -> Vec<&str> {
        let first = |line: &Line| self.bytes.get(line.name.start).copied().unwrap_or_default();
        let listed =
            self.lines.iter().filter(|line| headers.may_have(first(line)) && headers.have(self.part(&line.name)));
        listed.map(|line| self.name(line)).collect()
    }

    /// Whether the header is present, with any value.
    pub fn has(&self, name: &str) -> bool {
        self.next_line(name.as_bytes(), &mut self.lines_for(name)).is_some()
    }

    /// The method; empty if missing or not UTF-8.
    pub fn method(&self) -> &str {
        self.text(":method").unwrap_or_default()
    }

    /// The request target: path and query. Empty for CONNECT.
    pub fn target(&self) -> &[u8] {
        self.single(":path").unwrap_or_default()
    }

    /// The query of the target, without its question mark.
    pub fn query(&self) -> Option<&[u8]> {
        self.target().splitn(2, |byte| *byte == b'?').nth(1)
    }

    /// The `:authority`: host and optional port; empty if missing.
    pub fn authority(&self) -> &str {
        self.text(":authority").unwrap_or_default()
    }
}

/// The names of headers to look for. One that ends in `*` stands for all that begin so.
///
/// Every request is searched for some forty of them, and has none: its lines are told by their first character, then by their
/// length or by [`Marks`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderNames {
    /// The names by their length; the last list has all that are longer.
    by_length: Vec<Vec<String>>,
    beginnings: Vec<String>,
    /// A bit for each first character.
    first: u32,
    /// Those of the beginnings.
    marks: Marks,
}

impl HeaderNames {
    /// The shortest beginning, in bytes, which has all that [`Marks`] look at.
    pub const MIN_BEGINNING: usize = 5;
    /// The length from which on names are in one list.
    const LONG: usize = 63;

    /// Whether a name with this first byte may be among them.
    const fn may_have(&self, first: u8) -> bool {
        self.first & 1 << (first & 31) != 0
    }

    fn have(&self, found: &[u8]) -> bool {
        let begins = |begin: &String| found.get(..begin.len()).is_some_and(|found| is_alike(found, begin.as_bytes()));
        let of_length = self.by_length.get(found.len().min(Self::LONG)).map(Vec::as_slice).unwrap_or_default();
        of_length.iter().any(|name| is_alike(found, name.as_bytes()))
            || self.marks.have(found) && self.beginnings.iter().any(begins)
    }

    /// Adds a name.
    pub fn add(&mut self, name: String) {
        // Letters and digits have the same five low bits in either case; other characters, which are alike, have not.
        self.first |= match name.as_bytes() {
            [first, ..] if first.is_ascii_alphanumeric() => 1 << (first & 31),
            _ => u32::MAX,
        };
        if let Some(begin) = name.strip_suffix('*') {
            self.marks.add(begin.as_bytes());
            self.beginnings.push(begin.to_owned());
            return;
        }
        let length = name.len().min(Self::LONG);
        if self.by_length.len() <= length {
            self.by_length.resize_with(length.saturating_add(1), Vec::new);
        }
        if let Some(names) = self.by_length.get_mut(length)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
}

impl FromIterator<String> for HeaderNames {
    fn from_iter<T: IntoIterator<Item = String>>(names: T) -> Self {
        let mut headers = Self::default();
        names.into_iter().for_each(|name| headers.add(name));
        headers
    }
}

/// A bit for each beginning, by its first and its fifth character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks(u64);

impl Marks {
    const fn of(name: &[u8]) -> u64 {
        match name {
            [first, _, _, _, fifth, ..] => 1 << (fold(*first).wrapping_add(fold(*fifth)) & 63),
            _ => 0,
        }
    }

    const fn add(&mut self, name: &[u8]) {
        self.0 |= Self::of(name);
    }

    const fn have(self, name: &[u8]) -> bool {
        self.0 & Self::of(name) != 0
    }
}

/// The lengths of some names, a bit for each; those from 63 on share one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lengths(u64);

impl Lengths {
    const fn of(length: usize) -> Self {
        Self(1 << if length < 63 { length } else { 63 })
    }

    const fn add(&mut self, length: usize) {
        self.0 |= Self::of(length).0;
    }

    /// Whether a name of this length may be among them.
    const fn have(self, length: usize) -> bool {
        self.0 & Self::of(length).0 != 0
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

/// From the end: most headers of one length begin alike, with `x-forwarded-`.
fn is_alike(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).rev().all(|(a, b)| fold(*a) == fold(*b))
}

/// A header's name as apps may read it: CGI, WSGI and PHP treat `_` and `-` alike, and some servers every character
/// except letters and digits.
pub fn folded(name: &str) -> String {
    name.bytes().map(|byte| char::from(fold(byte))).collect()
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// The value of a parameter that a query or form contains exactly once. Duplicates count as absent: two parsers would
/// read different ones.
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
    /// Add a line to those of this name.
    Add(String, Vec<u8>),
    /// Remove every line of this name.
    Remove(String),
    /// Replace every line of this name by this one.
    Set(String, Vec<u8>),
}

/// The edits that carry an identity, the same for every request of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct IdentityEdits {
    /// Edits of headers for the app.
    pub headers: Vec<HeaderEdit>,
    /// Keys and values of filter state.
    pub state: Vec<(String, String)>,
    /// The header or key with a value that is too long, if the request is refused for it.
    pub too_long: Option<String>,
}

/// The changes to a permitted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// First: headers to remove, and edits of this request alone.
    pub own: Vec<HeaderEdit>,
    /// Then: the identity.
    pub identity: Option<Rc<IdentityEdits>>,
    /// The name of the deciding rule, for filter state.
    pub rule: Option<String>,
    /// The subject, for filter state.
    pub user: Option<String>,
    /// The client's credentials, for the request after an internal redirect.
    pub credentials: Option<Vec<u8>>,
}

impl Edits {
    /// The edits of headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderEdit> {
        self.own.iter().chain(self.identity.iter().flat_map(|identity| &identity.headers))
    }

    /// Keys and values of filter state.
    pub fn state(&self) -> impl Iterator<Item = (&str, &str)> {
        let identity = self.identity.iter().flat_map(|identity| &identity.state);
        let rule = self.rule.as_deref().map(|name| ("vestibule_rule", name));
        let user = self.user.as_deref().map(|subject| ("vestibule_user", subject));
        identity.map(|(key, value)| (key.as_str(), value.as_str())).chain(rule).chain(user)
    }
}

/// A local reply; the request does not go upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// The status code.
    pub status: u16,
    /// The stable code, in the response-code details and a response header.
    pub code: &'static str,
    /// Headers; a name may repeat (`Set-Cookie`).
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Parses an absolute URL with an ASCII host. International names are written in punycode: their appearance is then
/// unambiguous, and Unicode tables are not needed.
pub fn parse_url(text: &str) -> Option<Url> {
    let authority = text.split_once("://")?.1.split(['/', '?', '#', '\\']).next()?;
    (text.is_ascii() && !authority.contains('%')).then(|| Url::parse(text).ok()).flatten()
}

/// The Envoy cluster of a host. It determines address and TLS of a connection, regardless of the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster(String);

impl Cluster {
    /// A cluster of this name, or `None` if it is empty.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        (!name.is_empty()).then_some(Self(name))
    }

    /// The cluster's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An HTTP request through Envoy. Its `Debug` omits headers and body, which hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct CalloutRequest {
    /// The target cluster.
    pub cluster: Cluster,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The `:authority`, from a configured or discovered URL, never from a client.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Headers beside the pseudo-headers and `User-Agent`.
    pub headers: Vec<(&'static str, String)>,
    /// The body. It may hold secrets and is never logged.
    pub body: Vec<u8>,
    /// The time until Envoy answers 504.
    pub timeout: Duration,
}

/// The header of a DPoP proof (RFC 9449, 4).
pub const DPOP: &str = "dpop";

/// `User-Agent` of every call: GitHub and many firewalls refuse requests without one.
const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));

impl CalloutRequest {
    /// All headers, pseudo-headers first.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [
            (":method", self.method),
            (":path", self.path.as_str()),
            (":authority", self.authority.as_str()),
            ("user-agent", USER_AGENT),
        ];
        own.into_iter().chain(self.headers.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn has_dpop_proof(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == DPOP)
    }
}

impl fmt::Debug for CalloutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, method, authority, path, .. } = self;
        write!(f, "CalloutRequest({method} {authority}{path} by {})", cluster.as_str())
    }
}

/// The response to a callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalloutResponse {
    /// The status code. Envoy itself answers 503 without a connection, and 504 after the timeout.
    pub status: u16,
    /// The complete body, at most [`MAX_CALLOUT_BODY`].
    pub body: Vec<u8>,
    /// `DPoP-Nonce`, where the request carried a DPoP proof (RFC 9449, 8.1).
    pub dpop_nonce: Option<String>,
}

impl CalloutResponse {
    /// A response without a DPoP nonce.
    pub const fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, dpop_nonce: None }
    }

    /// The response to this request, unless it is a redirect. Redirects are not followed, because credentials are meant for one
    /// host. A header is looked up only where it matters: each look-up is a call of the host.
    ///
    /// # Errors
    /// [`CalloutError::Redirected`]
    pub fn received(
        request: &CalloutRequest,
        status: u16,
        header: impl Fn(&str) -> Option<Vec<u8>>,
        body: Vec<u8>,
    ) -> Result<Self, CalloutError> {
        if (300..400).contains(&status)
            && let Some(location) = header("location")
        {
            let location = Quoted::new(&String::from_utf8_lossy(&location));
            return Err(CalloutError::Redirected { status, location });
        }
        let nonce = request.has_dpop_proof().then(|| header("dpop-nonce")).flatten();
        Ok(Self { status, body, dpop_nonce: nonce.and_then(|nonce| String::from_utf8(nonce).ok()) })
    }
}

/// Why a callout has no usable response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalloutError {
    /// Envoy did not start the request: the cluster has no endpoint, or is full.
    #[error(
        "Envoy did not start the request: the host name of its cluster does not resolve, no endpoint is healthy, or its circuit breaker is open"
    )]
    Dispatch,
    /// Envoy has no cluster of this name.
    #[error(
        "Envoy has no cluster {0}; ADMIN/clusters lists them: Istio calls that of a ServiceEntry outbound|443||HOST, Envoy \
         Gateway that of an HTTPRoute httproute/NAMESPACE/NAME/rule/NUMBER"
    )]
    NoCluster(Quoted),
    /// The stream was reset before the response was complete.
    #[error("the response broke off")]
    NoResponse,
    /// The response is a redirect.
    #[error(
        "the response is {status} with Location {location}, which is not followed: configure that issuer or address"
    )]
    Redirected {
        /// The redirect's status code.
        status: u16,
        /// The target in `Location`.
        location: Quoted,
    },
    /// The body is larger than [`MAX_CALLOUT_BODY`].
    #[error("the response is larger than {} bytes", MAX_CALLOUT_BODY)]
    TooLarge,
}

impl CalloutError {
    /// Whether Envoy did not start the request: nothing was sent.
    pub const fn was_not_sent(&self) -> bool {
        matches!(self, Self::Dispatch | Self::NoCluster(_))
    }
}

/// Why Envoy has no answer of a server, as it says in the body of its own answer in place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The connection was closed before an answer.
    Closed,
    /// No connection or no TLS handshake: newer Envoys do not say which.
    NoConnection,
    /// The cluster has no address that could be tried.
    NoAddress,
    /// No connection within the cluster's `connect_timeout`.
    NotInTime,
    /// Nothing listens at the address.
    Refused,
    /// No TLS handshake.
    Tls(TlsFault),
}

/// Why there is no TLS handshake, as BoringSSL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is not trusted.
    Certificate,
    /// The server does not speak TLS.
    NotTls,
    /// Another reason.
    Other,
}

impl Unreachable {
    /// Reads the answer; `None` where it is that of a server, as far as its body tells.
    pub fn of(response: &CalloutResponse) -> Option<Self> {
        const BEGINNING: &[u8] = b"upstream connect error or disconnect/reset before headers. reset reason: ";
        if response.status != 503 {
            return None;
        }
        if response.body == b"no healthy upstream" {
            return Some(Self::NoAddress);
        }
        let reason = response.body.strip_prefix(BEGINNING)?;
        let begins = |text: &[u8]| reason.starts_with(text);
        if begins(b"connection timeout") {
            Some(Self::NotInTime)
        } else if begins(b"connection termination") {
            Some(Self::Closed)
        } else if begins(b"remote connection failure") || begins(b"local connection failure") {
            let reason = String::from_utf8_lossy(reason);
            let detail = reason.split_once(", transport failure reason: ").map(|(_, detail)| detail);
            Some(match detail {
                None => Self::NoConnection,
                Some(detail) => match TlsFault::of(detail) {
                    Some(fault) => Self::Tls(fault),
                    None if detail.contains("Connection refused") => Self::Refused,
                    None => Self::NoConnection,
                },
            })
        } else {
            None
        }
    }

    fn describe(self, who: &str) -> String {
        match self {
            Self::Closed => {
                format!(
                    "{who} closed the connection without an answer; does its cluster use TLS exactly where the server does?"
                )
            }
            Self::NoConnection => format!(
                "Envoy could not connect to {who}: nothing listens at the address of its cluster, or the TLS handshake failed; \
                 ADMIN/stats?filter=ssl counts why (fail_verify_error, fail_verify_san, connection_error)"
            ),
            Self::NoAddress => format!(
                "Envoy has no address for {who}: the host name of its cluster does not resolve, or no endpoint is healthy"
            ),
            Self::NotInTime => {
                format!(
                    "{who} did not take the connection in time; check the address of its cluster, firewalls, and whether TLS is spoken there"
                )
            }
            Self::Refused => {
                format!("Envoy could not connect to {who}: nothing listens at the address of its cluster")
            }
            Self::Tls(fault) => format!("there is no TLS handshake with {who}: {}", fault.describe()),
        }
    }
}

impl TlsFault {
    /// Reads the reason of a failed connection; `None` where it is not TLS.
    fn of(reason: &str) -> Option<Self> {
        let error = reason.strip_prefix("TLS_error:")?;
        Some(if error.contains("CERTIFICATE_VERIFY_FAILED") {
            Self::Certificate
        } else if error.contains("WRONG_VERSION_NUMBER") {
            Self::NotTls
        } else {
            Self::Other
        })
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Certificate => {
                "its cluster does not trust the certificate; compare trusted_ca, sni and the names in the certificate"
            }
            Self::NotTls => "the address of its cluster does not speak TLS; compare the port, and transport_socket",
            Self::Other => "compare the cluster's tls_params and sni with what the server takes",
        }
    }
}

/// The log text for an error status of `who`. Envoy itself answers 503 without a connection, and 504 after the timeout.
pub fn describe_status(who: &str, status: u16, unreachable: Option<Unreachable>) -> String {
    match (status, unreachable) {
        (_, Some(unreachable)) => unreachable.describe(who),
        (503, None) => format!("Envoy could not reach {who}, or it answered 503; check the cluster's address and TLS"),
        (504, None) => format!("{who} did not answer in time"),
        (404 | 410, None) => format!("{who} answered {status}: nothing is at its URL"),
        (other, None) => format!("{who} answered {other}"),
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
        let headers: [(&[u8], &[u8]); 3] = [(b":path", b"/"), (b"cookie", b""), (b"cookie", b"a=\xff\0;b")];
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
        for name in [b"\xff".as_slice(), "\u{e9}".as_bytes()] {
            assert_eq!(Request::from_pairs(pairs(&[(b"a", b"b"), (name, b"b")])), None, "{name:?}");
        }
    }

    fn call(headers: Vec<(&'static str, String)>) -> CalloutRequest {
        CalloutRequest {
            cluster: Cluster::new("idp").unwrap(),
            method: "POST",
            authority: "idp.example.com".to_owned(),
            path: "/token".to_owned(),
            headers,
            body: Vec::new(),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_header_of_a_response_is_looked_up_only_where_it_matters() {
        use std::cell::RefCell;
        let asked = RefCell::new(Vec::new());
        let header = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some(b"n".to_vec())
        };
        let plain = CalloutResponse::received(&call(Vec::new()), 200, header, Vec::new()).unwrap();
        assert_eq!((plain.dpop_nonce, asked.take().len()), (None, 0));
        let with_proof = call(vec![(DPOP, "proof".to_owned())]);
        let answer = CalloutResponse::received(&with_proof, 400, header, Vec::new()).unwrap();
        assert_eq!((answer.dpop_nonce.as_deref(), asked.take()), (Some("n"), vec!["dpop-nonce".to_owned()]));
    }

    #[test]
    fn a_redirect_is_no_response() {
        let received = |status, location: Option<&[u8]>| {
            let header = |name: &str| location.filter(|_| name == "location").map(<[u8]>::to_vec);
            CalloutResponse::received(&call(Vec::new()), status, header, Vec::new())
        };
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

    #[test]
    fn envoys_own_answers_say_why_there_is_no_other() {
        let of = |status, body: &str| Unreachable::of(&CalloutResponse::new(status, body.as_bytes().to_vec()));
        let reset = |reason: &str| {
            of(503, &format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}"))
        };
        assert_eq!(of(503, "no healthy upstream"), Some(Unreachable::NoAddress));
        assert_eq!(reset("remote connection failure"), Some(Unreachable::NoConnection));
        assert_eq!(
            reset("remote connection failure, transport failure reason: delayed connect error: Connection refused"),
            Some(Unreachable::Refused)
        );
        for (error, fault) in [
            ("|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end", TlsFault::Certificate),
            ("|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end", TlsFault::NotTls),
            ("|268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end", TlsFault::Other),
        ] {
            let reason = format!("remote connection failure, transport failure reason: TLS_error:{error}");
            assert_eq!(reset(&reason), Some(Unreachable::Tls(fault)), "{error}");
        }
        assert_eq!(reset("connection termination"), Some(Unreachable::Closed));
        assert_eq!(reset("connection timeout"), Some(Unreachable::NotInTime));
        for other in [reset("overflow"), of(503, "down for maintenance"), of(502, "no healthy upstream"), of(503, "")] {
            assert_eq!(other, None);
        }
        assert_eq!(
            describe_status("the provider", 503, Some(Unreachable::NoAddress)),
            "Envoy has no address for the provider: the host name of its cluster does not resolve, or no endpoint is healthy"
        );
        assert_eq!(describe_status("the provider", 504, None), "the provider did not answer in time");
    }
}
