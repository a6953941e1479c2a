//! The caller: a browser that shows the answer to a user, or a program that could not follow a sign-in.

use crate::{
    claims::IssuerId,
    http::{Request, folded, parameter},
    page::text::Language,
};

use super::super::event::Operation;

/// The kind of caller, as far as an answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) enum Kind {
    /// A browser opening a page inside a frame: providers forbid frames, and on another site no cookie comes along.
    Frame,
    /// A browser opening a page with GET or HEAD: it can be sent to sign in.
    Navigation,
    /// A browser that shows a page, but could not repeat this request after a sign-in (a form post).
    Page,
    /// Anything else: fetch, sub-resources, WebSocket, gRPC, scripts.
    Program,
}

/// The parts of a request that its answer depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::flow) struct Caller {
    /// Its kind.
    pub(in crate::flow) kind: Kind,
    /// The language of its pages, where the browser prefers one of ours.
    pub(in crate::flow) language: Option<Language>,
    /// Envoy's `x-request-id`, which the page shows.
    pub(in crate::flow) request_id: Option<String>,
    /// The issuer of its identity, or the provider it signs in at, for the log.
    pub(in crate::flow) issuer: Option<IssuerId>,
    /// The operation that it is a part of, for the audit log.
    pub(in crate::flow) operation: Operation,
}

impl Caller {
    /// Reads it off the request.
    pub(in crate::flow) fn of(request: &Request) -> Self {
        let kind = kind(request);
        let accepted = if kind == Kind::Program { None } else { request.text("accept-language") };
        let language = accepted.and_then(Language::preferred);
        Self { kind, language, request_id: request_id(request), ..Self::unknown() }
    }

    /// A program, for answers after the request is gone.
    pub(in crate::flow) const fn unknown() -> Self {
        Self { kind: Kind::Program, language: None, request_id: None, issuer: None, operation: Operation::Access }
    }

    /// The same, with this issuer.
    pub(in crate::flow) fn of_issuer(self, issuer: IssuerId) -> Self {
        Self { issuer: Some(issuer), ..self }
    }

    /// The same, for this operation.
    pub(in crate::flow) fn for_operation(self, operation: Operation) -> Self {
        Self { operation, ..self }
    }
}

/// Envoy's `x-request-id`, if it can be shown.
pub(in crate::flow) fn request_id(request: &Request) -> Option<String> {
    let readable = |id: &&str| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    request.text("x-request-id").filter(readable).map(str::to_owned)
}

fn kind(request: &Request) -> Kind {
    if !shows_a_page(request) {
        return Kind::Program;
    }
    let is_read = matches!(request.method(), "GET" | "HEAD");
    match destination(request) {
        Destination::Frame if is_read || request.method() == "POST" => Kind::Frame,
        Destination::Document | Destination::Unnamed if is_read => Kind::Navigation,
        Destination::Document | Destination::Unnamed if request.method() == "POST" => Kind::Page,
        _ => Kind::Program,
    }
}

/// Whether a browser shows the answer to a person. `Sec-Fetch-*` decide where they are there, because scripts cannot set
/// them (Fetch Metadata, 2).
fn shows_a_page(request: &Request) -> bool {
    let content_type = request.text("content-type").unwrap_or_default();
    if is_prefetch(request) || content_type.starts_with("application/grpc") || request.has("upgrade") {
        return false;
    }
    let accepts =
        |wanted: &[u8]| request.lines("accept").any(|line| line.windows(wanted.len()).any(|part| part == wanted));
    let accepts_html = accepts(b"text/html") && !request.has("x-requested-with");
    match request.single("sec-fetch-mode") {
        Some(b"navigate") => true,
        // A service worker that passes a navigation on with anything changed (Fetch, 5.4: `init` is not empty). Its
        // destination is mostly lost then, but not what browsers accept for pages, and it leaves redirects to the browser.
        Some(b"same-origin") => match destination(request) {
            Destination::Document | Destination::Frame => true,
            Destination::Unnamed => accepts_html && accepts(b"application/xhtml+xml"),
            Destination::Other => false,
        },
        Some(_) => false,
        None => !request.has("sec-fetch-mode") && accepts_html,
    }
}

/// The destination of a request (Fetch, 2.2.5), as far as pages are concerned.
enum Destination {
    /// The page itself.
    Document,
    /// A page inside a page.
    Frame,
    /// A part of a page, or nothing that is known.
    Other,
    /// None: a script, a download, a service worker that passes a navigation on, an old browser.
    Unnamed,
}

fn destination(request: &Request) -> Destination {
    match request.single("sec-fetch-dest") {
        Some(b"document") => Destination::Document,
        Some(b"embed" | b"fencedframe" | b"frame" | b"iframe" | b"object") => Destination::Frame,
        Some(b"empty") => Destination::Unnamed,
        None if !request.has("sec-fetch-dest") => Destination::Unnamed,
        _ => Destination::Other,
    }
}

/// Whether a browser fetches this ahead of time or for a preview: such a request may begin and end nothing.
pub(in crate::flow) fn is_prefetch(request: &Request) -> bool {
    const WORDS: [&[u8]; 3] = [b"prefetch", b"prerender", b"preview"];
    let says = |line: &[u8]| {
        let line = line.to_ascii_lowercase();
        WORDS.iter().any(|word| line.windows(word.len()).any(|part| part == *word))
    };
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| request.lines(name).any(says))
}

/// Whether a page of another site sends this. Sec-Fetch-Site is the browser's own word; where it is missing, Origin is,
/// on everything but plain links.
pub(in crate::flow) fn comes_from_elsewhere(request: &Request, origin: &str) -> bool {
    if request.has("sec-fetch-site") {
        return !matches!(request.single("sec-fetch-site"), Some(b"same-origin" | b"none"));
    }
    request.has("origin") && request.single("origin") != Some(origin.as_bytes())
}

/// Whether a page of another site has its browser send this without loading a page: by a form, a script, an image or a WebSocket.
/// No cookie with `SameSite=Lax` comes with such a request. Browsers that do not name the site name the origin of scripts,
/// WebSockets and forms.
pub(in crate::flow) fn is_sent_by_other_site(request: &Request, origin: &str) -> bool {
    let is_page_load = matches!(request.method(), "GET" | "HEAD")
        && !request.has("upgrade")
        && request.single("sec-fetch-mode") == Some(b"navigate");
    let is_cross_site = if request.has("sec-fetch-site") {
        !matches!(request.single("sec-fetch-site"), Some(b"same-origin" | b"same-site" | b"none"))
    } else {
        request.has("origin") && request.single("origin") != Some(origin.as_bytes())
    };
    is_cross_site && !is_page_load
}

/// Whether this is a CORS preflight (Fetch, 4.8): the app must answer it, and browsers send it without a body,
/// without headers of the page's own, and never as an upgrade. A request with one of those, in any spelling that an app may
/// read so, is none, and an app could act on it.
pub(in crate::flow) fn is_preflight(request: &Request) -> bool {
    request.method() == "OPTIONS"
        && request.single("origin").is_some()
        && request.single("access-control-request-method").is_some()
        && request.ends_with_headers()
        && !NOT_IN_A_PREFLIGHT.iter().any(|name| !request.names_like(name).is_empty())
        && !request.headers().any(|(name, value)| is_method_override(name, value))
}

const NOT_IN_A_PREFLIGHT: [&str; 4] = ["authorization", "content-type", "transfer-encoding", "upgrade"];

/// Whether an app may take another method from this header than the request's (such as `X-HTTP-Method-Override`). The name
/// depends on the framework, so every name with `method` or `override` in it counts.
fn is_method_override(name: &str, value: &[u8]) -> bool {
    if name.starts_with(':') || name == "access-control-request-method" || value == b"OPTIONS" {
        return false;
    }
    let name = folded(name);
    name.contains("method") || name.contains("override")
}

/// `rd` of the query: the page to go to afterwards. A parameter that is there twice does not count.
pub(in crate::flow) fn return_target(request: &Request) -> Option<String> {
    parameter(request.query()?, "rd")
}
