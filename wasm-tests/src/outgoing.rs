//! Requests on their way out.

use crate::http1::digest;

/// The headers of a page visit besides `Host` and `Cookie`.
const NAVIGATION: [(&str, &str); 6] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-user", "?1"),
];

/// The headers of a script's `fetch`.
const FETCH: [(&str, &str); 4] =
    [("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];

/// `Content-Type` of a form.
const FORM: &str = "application/x-www-form-urlencoded";

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

    /// A form that a page of the same site posts.
    pub fn form(target: impl AsRef<[u8]>, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let send = Self::navigation(target).method("POST").without("sec-fetch-site");
        send.header("sec-fetch-site", "same-origin").header("content-type", FORM).body(body)
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Whether a browser sends this for a frame.
    pub fn is_framed(&self) -> bool {
        const FRAMES: [&[u8]; 5] = [b"embed", b"fencedframe", b"frame", b"iframe", b"object"];
        self.headers.iter().any(|(name, value)| name == b"sec-fetch-dest" && FRAMES.contains(&value.as_slice()))
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
