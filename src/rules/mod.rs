//! Who gets what: rules in order, the first that matches decides, and what none matches needs a session.
//!
//! A request is public only if every reader would find it so. They see method, host and path, never the query, and
//! no header that a client may send beside them (`x-envoy-original-path`: CVE-2023-27487). Whatever two readers could
//! take for different requests is protected: see [`path`].

pub mod host;
pub mod path;
mod pattern;

pub use host::HostPattern;
pub use pattern::PathPattern;

use crate::http::Request;
use host::Host;
use path::Path;

/// What a rule says of the requests it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever has signed in.
    Required,
}

/// Why a pattern cannot be used: what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub &'static str);

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its paths; `None` means every path.
    pub path: Option<PathPattern>,
    /// Its methods, as [`parse_method`] gives them; empty means every method.
    pub methods: Vec<String>,
    /// Its hosts; empty means every host.
    pub hosts: Vec<HostPattern>,
    /// What it says.
    pub access: Access,
}

/// Proof that a public rule matched; only [`Rules::decide`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct PublicRoute(());

/// What the rules say of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may pass as it is.
    Public(PublicRoute),
    /// It needs a session.
    Required,
}

/// All rules in order.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    own_port: Option<u16>,
}

impl Rules {
    /// The rules in the order given; the first that matches decides.
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self { rules, own_port: None }
    }

    /// The same rules for an app that is reached at this port, where it is not the scheme's own.
    #[must_use]
    pub fn at_port(self, own_port: Option<u16>) -> Self {
        Self { own_port, ..self }
    }

    /// What they say of this request.
    pub fn decide(&self, request: &Request) -> Decision {
        self.public_route(request).map_or(Decision::Required, Decision::Public)
    }

    fn public_route(&self, request: &Request) -> Option<PublicRoute> {
        if self.rules.iter().all(|rule| rule.access == Access::Required) {
            return None;
        }
        let facts = Facts::read(request, self.own_port)?;
        let path = Path::of_target(request.single(":path")?).ok()?;
        path.readings().all(|reading| self.access(&facts, reading) == Access::Public).then_some(PublicRoute(()))
    }

    fn access(&self, facts: &Facts<'_>, path: &str) -> Access {
        self.rules.iter().find(|rule| rule.matches(facts, path)).map_or(Access::Required, |rule| rule.access)
    }
}

/// What a rule may look at beside the path.
struct Facts<'a> {
    method: &'a str,
    /// `None` where it is missing, doubled, or readable in more than one way.
    host: Option<Host<'a>>,
    /// Whether Envoy finds the virtual host of just this name for it.
    is_plain_host: bool,
}

impl<'a> Facts<'a> {
    /// `None` where no rule may make the request public.
    fn read(request: &'a Request, own_port: Option<u16>) -> Option<Self> {
        let method = std::str::from_utf8(request.single(":method")?).ok().filter(|text| is_method(text))?;
        // TRACE gives back what it was sent, cookies included; no browser sends it.
        let host = request.single(":authority").and_then(Host::read);
        let is_plain_host = host.is_some_and(|host| host.is_plain(own_port));
        (method != "TRACE").then_some(Self { method, host, is_plain_host })
    }
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>, path: &str) -> bool {
        self.covers_method(facts.method)
            && self.covers_host(facts)
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    /// HEAD is GET without the body (RFC 9110, 9.3.2).
    fn covers_method(&self, method: &str) -> bool {
        let lists = |name: &str| self.methods.iter().any(|listed| listed == name);
        self.methods.is_empty() || lists(method) || method == "HEAD" && lists("GET")
    }

    /// Where the host is in doubt, no rule for a host makes public, and every rule for a host that protects does. A port
    /// or a trailing dot is a doubt too: `public.example.com:1` may well be routed to another app.
    fn covers_host(&self, facts: &Facts<'_>) -> bool {
        match facts.host {
            _ if self.hosts.is_empty() => true,
            Some(_) if self.access == Access::Public && !facts.is_plain_host => false,
            Some(host) => self.hosts.iter().any(|pattern| pattern.matches(host)),
            None => self.access == Access::Required,
        }
    }
}

/// The longest method that is known to anybody has 17 letters.
const MAX_METHOD: usize = 32;

/// Reads the method of a rule: methods are case-sensitive, so `get` is none that a browser would send.
///
/// # Errors
/// [`PatternError`] says what was expected.
pub fn parse_method(text: &str) -> Result<String, PatternError> {
    if is_method(text) { Ok(text.to_owned()) } else { Err(PatternError("a method in upper case, such as GET")) }
}

/// An upper-case token. A request with another method is protected: an app may take `get` for `GET`.
fn is_method(text: &str) -> bool {
    (1..=MAX_METHOD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
