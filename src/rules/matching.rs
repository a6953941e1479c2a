//! Whether a rule is for a request. Where two readers of the request could disagree, nobody can tell, and the request is
//! then held to what the rule says and to what the next ones say as well.

use super::{Access, HostPattern, PathPattern, Rule, host::Host, is_method};
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
pub(super) struct Facts<'a> {
    request: &'a Request,
    /// `None` where it is missing, doubled, or none that every app takes for the same.
    method: Option<&'a str>,
    /// `None` where it is missing, doubled, or readable in more than one way.
    host: Option<Host<'a>>,
    /// Whether Envoy finds the virtual host of just this name for it: `public.example.com:1` may well be routed to
    /// another app.
    is_plain_host: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn read(request: &'a Request, own_port: Option<u16>) -> Self {
        let method = request.text(":method").filter(|text| is_method(text));
        let host = request.single(":authority").and_then(Host::read);
        Self { request, method, host, is_plain_host: host.is_some_and(|host| host.is_plain(own_port)) }
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
    pub(super) fn matches(&self, facts: &Facts<'_>, path: Option<&str>) -> Match {
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

    /// HEAD is GET without the body (RFC 9110, 9.3.2).
    fn matches_method(&self, facts: &Facts<'_>) -> Match {
        let lists = |name: &str| self.methods.iter().any(|listed| listed == name);
        match facts.method {
            _ if self.methods.is_empty() => Match::Yes,
            Some(method) => (lists(method) || method == "HEAD" && lists("GET")).into(),
            None => Match::Perhaps,
        }
    }

    fn matches_host(&self, facts: &Facts<'_>) -> Match {
        match facts.host {
            _ if self.hosts.is_empty() => Match::Yes,
            Some(host) if !self.hosts.iter().any(|pattern| pattern.matches(host)) => Match::No,
            Some(_) if facts.is_plain_host => Match::Yes,
            _ => Match::Perhaps,
        }
    }

    /// Whether every request that the other rule matches has been matched by this one, as far as their texts tell.
    pub fn covers(&self, other: &Self) -> bool {
        let covers_path = |own: &PathPattern| other.path.as_ref().is_some_and(|other| own.covers(other));
        let lists = |host: &HostPattern| self.hosts.contains(host);
        self.headers.is_empty()
            && self.path.as_ref().is_none_or(covers_path)
            && (self.methods.is_empty()
                || !other.methods.is_empty() && other.methods.iter().all(|method| self.methods.contains(method)))
            && (self.hosts.is_empty() || !other.hosts.is_empty() && other.hosts.iter().all(lists))
    }

    /// Whether it is for every request.
    pub fn covers_everything(&self) -> bool {
        let everything = PathPattern::prefix("/").ok();
        let is_everything = |own: &PathPattern| everything.as_ref().is_some_and(|everything| own.covers(everything));
        self.methods.is_empty()
            && self.hosts.is_empty()
            && self.headers.is_empty()
            && self.path.as_ref().is_none_or(is_everything)
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.access, Access::Optional | Access::Public)
    }
}

impl HeaderCondition {
    fn matches(&self, request: &Request) -> Match {
        let mut lines = request.lines(&self.name);
        match (&self.value, lines.next(), lines.next()) {
            (_, None, _) => Match::No,
            (None, Some(_), _) => Match::Yes,
            (Some(value), Some(line), None) => (line == value.as_bytes()).into(),
            // Some readers take the first, some the last, some all of them.
            (Some(_), Some(_), Some(_)) => Match::Perhaps,
        }
    }
}
