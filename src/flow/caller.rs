//! Who is asking: a browser that shows the answer to a person, or a program that could not follow a sign-in.

use crate::{
    claims::IssuerId,
    http::{Request, folded},
};

/// The kind of caller, as far as an answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A browser opening a page with GET or HEAD: it can be sent to sign in.
    Navigation,
    /// A browser that shows a page, but could not repeat this request after a sign-in (a form post).
    Page,
    /// Anything else: fetch, sub-resources, WebSocket, gRPC, scripts.
    Program,
}

/// What an answer must know of the request it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What it is.
    pub kind: Kind,
    /// Envoy's `x-request-id`, so that a person can name it to the operator.
    pub request_id: Option<String>,
    /// Who vouches for whoever asks, or is asked to; where there are several, the operator must know which.
    pub issuer: Option<IssuerId>,
}

impl Caller {
    /// Reads it off the request.
    pub fn of(request: &Request) -> Self {
        let readable = |id: &&str| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
        let request_id = request.text("x-request-id").filter(readable).map(str::to_owned);
        Self { kind: kind(request), request_id, issuer: None }
    }

    /// The same, with this issuer.
    pub fn of_issuer(self, issuer: IssuerId) -> Self {
        Self { issuer: Some(issuer), ..self }
    }
}

fn kind(request: &Request) -> Kind {
    if is_program(request) {
        return Kind::Program;
    }
    match request.method() {
        "GET" | "HEAD" => Kind::Navigation,
        _ => Kind::Page,
    }
}

fn is_program(request: &Request) -> bool {
    let content_type = request.text("content-type").unwrap_or_default();
    if is_prefetch(request) || content_type.starts_with("application/grpc") || request.has("upgrade") {
        return true;
    }
    // Scripts cannot set Sec-Fetch-*, so where a browser sends it, it is the last word.
    if request.has("sec-fetch-mode") {
        return request.single("sec-fetch-mode") != Some(b"navigate");
    }
    let accepts_html = request.lines("accept").any(|line| line.windows(9).any(|part| part == b"text/html"));
    !accepts_html || request.has("x-requested-with")
}

/// Whether a browser fetches this before anybody asked for it: nothing may be begun or ended then.
pub fn is_prefetch(request: &Request) -> bool {
    let says = |name: &str| {
        request
            .lines(name)
            .any(|line| line.to_ascii_lowercase().windows(5).any(|part| part == b"fetch" || part == b"rende"))
    };
    says("sec-purpose") || says("purpose") || says("x-moz")
}

/// Whether a page of another site sends this. Sec-Fetch-Site is the browser's own word; where it is missing, Origin is,
/// on everything but plain links.
pub fn comes_from_elsewhere(request: &Request, origin: &str) -> bool {
    if request.has("sec-fetch-site") {
        return !matches!(request.single("sec-fetch-site"), Some(b"same-origin" | b"none"));
    }
    request.has("origin") && request.single("origin") != Some(origin.as_bytes())
}

/// Whether this is a CORS preflight (Fetch, 4.8): the app must answer it, and browsers send it without a body,
/// without headers of the page's own, and never as an upgrade. A request that brings one of those, in any spelling that an
/// app may read so, is another one in disguise, and an app could act on it.
pub fn is_preflight(request: &Request) -> bool {
    request.method() == "OPTIONS"
        && request.single("origin").is_some()
        && request.single("access-control-request-method").is_some()
        && request.is_whole()
        && !NOT_IN_A_PREFLIGHT.iter().any(|name| !request.names_like(name).is_empty())
        && !request.headers().any(|(name, value)| is_method_override(name, value))
}

const NOT_IN_A_PREFLIGHT: [&str; 4] = ["authorization", "content-type", "transfer-encoding", "upgrade"];

/// Whether an app may take another method from this header than the request's (such as `X-HTTP-Method-Override`). Which
/// one depends on the framework, so every name with that word in it counts.
fn is_method_override(name: &str, value: &[u8]) -> bool {
    if name.starts_with(':') || name == "access-control-request-method" || value == b"OPTIONS" {
        return false;
    }
    let name = folded(name);
    name.contains("method") || name.contains("override")
}
