//! Whether a rule is for a request. Where two readers of the request could disagree, nobody can tell, and the request is
//! then held to what the rule says and to what the next ones say as well.

use std::cell::OnceCell;

use super::{HostPattern, PathPattern, Rule, host::Host, is_method};
use crate::http::Request;

/// Whether a rule is for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// It is not.
    No,
    /// To some readers it may be.
    Perhaps,
    /// It is.
    Yes,
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// What a rule may look at beside the path.
pub(super) struct RequestFacts<'a> {
    request: &'a Request,
    own_port: Option<u16>,
    /// `None` where it is missing, doubled, or none that every app takes for the same.
    method: Option<&'a str>,
    /// `None` where it is missing, doubled, or readable in more than one way. Few rules ask for it.
    host: OnceCell<Option<Host<'a>>>,
}

impl<'a> RequestFacts<'a> {
    pub(super) fn read(request: &'a Request, own_port: Option<u16>) -> Self {
        let method = request.text(":method").filter(|text| is_method(text));
        Self { request, own_port, method, host: OnceCell::new() }
    }

    fn host(&self) -> Option<Host<'a>> {
        *self.host.get_or_init(|| self.request.single(":authority").and_then(Host::read))
    }

    /// Whether its host is written as Envoy and every app take it for the same, so that Envoy finds the virtual host of just
    /// this name for it: `public.example.com:1` may well be routed to another app.
    pub(super) fn is_plain_host(&self) -> bool {
        self.host().is_some_and(|host| host.is_plain(self.own_port))
    }

    /// Whether any rule may make it public. TRACE gives back what it was sent, cookies included; no browser sends it.
    pub(super) fn is_usual(&self) -> bool {
        self.method.is_some_and(|method| method != "TRACE")
    }
}

/// What a rule wants of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderCondition {
    /// The header's name, in lower case.
    pub name: String,
    /// Its whole value; `None` takes any.
    pub value: Option<String>,
}

impl Rule {
    /// Whether it is for a request with these facts and this path, or, without one, with a path that readers take for
    /// different ones.
    pub(super) fn matches(&self, facts: &RequestFacts<'_>, path: Option<&str>) -> Match {
        // The cheapest and most telling first.
        let of_path = match (&self.path, path) {
            (None, _) => Match::Yes,
            (Some(pattern), Some(path)) => pattern.matches(path).into(),
            (Some(_), None) => Match::Perhaps,
        };
        if of_path == Match::No {
            return Match::No;
        }
        let of_headers = self.headers.iter().map(|header| header.matches(facts.request)).min().unwrap_or(Match::Yes);
        of_path.min(self.matches_method(facts)).min(self.matches_host(facts)).min(of_headers)
    }

    fn matches_method(&self, facts: &RequestFacts<'_>) -> Match {
        match facts.method {
            _ if self.methods.is_empty() => Match::Yes,
            Some(method) => lists(&self.methods, method).into(),
            None => Match::Perhaps,
        }
    }

    fn matches_host(&self, facts: &RequestFacts<'_>) -> Match {
        if self.hosts.is_empty() {
            return Match::Yes;
        }
        match facts.host() {
            Some(host) if !self.hosts.iter().any(|pattern| pattern.matches(host)) => Match::No,
            Some(_) if facts.is_plain_host() => Match::Yes,
            _ => Match::Perhaps,
        }
    }

    /// Whether it matches every request that the other rule does, as far as their texts tell.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let covers_path = |own: &PathPattern| other.path.as_ref().is_some_and(|other| own.covers(other));
        let covers_host = |host: &HostPattern| self.hosts.iter().any(|own| own.covers(host));
        self.path.as_ref().is_none_or(covers_path)
            && (self.methods.is_empty()
                || !other.methods.is_empty() && other.methods.iter().all(|method| lists(&self.methods, method)))
            && (self.hosts.is_empty() || !other.hosts.is_empty() && other.hosts.iter().all(covers_host))
            && self.headers.iter().all(|own| other.headers.iter().any(|header| own.covers(header)))
    }

    /// Whether it is for every request, but for what it wants of headers.
    pub(super) fn covers_everything(&self) -> bool {
        // What matches these has no condition on anything in them.
        let is_everything = |own: &PathPattern| ["/", "/~/~.~"].into_iter().all(|path| own.matches(path));
        self.methods.is_empty() && self.hosts.is_empty() && self.path.as_ref().is_none_or(is_everything)
    }
}

impl HeaderCondition {
    fn matches(&self, request: &Request) -> Match {
        let mut lines = request.lines(&self.name);
        let first = lines.next();
        let is_doubled = lines.next().is_some() || self.has_likeness(request);
        match (&self.value, first) {
            (None, Some(_)) => Match::Yes,
            (Some(value), Some(line)) if !is_doubled && line == value.as_bytes() => Match::Yes,
            // Some readers take the first, some the last, some all of them.
            (_, _) if is_doubled => Match::Perhaps,
            // Envoy joins the lines of some headers.
            (Some(value), Some(line)) if has_element(line, value) => Match::Perhaps,
            (_, _) => Match::No,
        }
    }

    /// Whether there is another header that an app may take for this one.
    fn has_likeness(&self, request: &Request) -> bool {
        request.names_like(&self.name).iter().any(|name| *name != self.name)
    }

    /// Whether every request that has the other one's header has this one's.
    fn covers(&self, other: &Self) -> bool {
        self.name == other.name && (self.value.is_none() || self.value == other.value)
    }
}

/// Whether a line is a list with this element.
fn has_element(line: &[u8], element: &str) -> bool {
    line.split(|byte| *byte == b',').any(|part| part.trim_ascii() == element.as_bytes())
}

/// Whether a method of a list stands for this one.
fn lists(methods: &[String], method: &str) -> bool {
    // HEAD is GET without the body (RFC 9110, 9.3.2).
    methods.iter().any(|listed| listed == method || listed == "GET" && method == "HEAD")
}
