//! Whether a rule applies to a request. If two parsers of the request could disagree, the rule applies perhaps, and so
//! do the following rules.

use std::{cell::OnceCell, net::IpAddr};

use super::{HostPattern, Network, PathPattern, Rule, host::Host, is_method};
use crate::http::Request;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// It does not apply.
    No,
    /// It applies for some parsers.
    Perhaps,
    /// It applies.
    Yes,
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// The properties of a request, beside its path, that rules consider.
pub(super) struct RequestFacts<'a> {
    request: &'a Request,
    own_port: Option<u16>,
    /// `None` if missing, duplicate or not upper-case.
    method: Option<&'a str>,
    /// `None` if missing, duplicate or ambiguous. Few rules need it.
    host: OnceCell<Option<Host<'a>>>,
    look_up_client: &'a dyn Fn() -> Option<IpAddr>,
    client: OnceCell<Option<IpAddr>>,
}

impl<'a> RequestFacts<'a> {
    pub(super) fn read(
        request: &'a Request,
        own_port: Option<u16>,
        look_up_client: &'a dyn Fn() -> Option<IpAddr>,
    ) -> Self {
        let method = request.text(":method").filter(|text| is_method(text));
        Self { request, own_port, method, host: OnceCell::new(), look_up_client, client: OnceCell::new() }
    }

    fn host(&self) -> Option<Host<'a>> {
        *self.host.get_or_init(|| self.request.single(":authority").and_then(Host::read))
    }

    fn client(&self) -> Option<IpAddr> {
        *self.client.get_or_init(self.look_up_client)
    }

    /// Whether Envoy and every app read its host alike, so that Envoy chose the virtual host of this name:
    /// `public.example.com:1` may be routed to another app.
    pub(super) fn is_plain_host(&self) -> bool {
        self.host().is_some_and(|host| host.is_plain(self.own_port))
    }

    /// Whether its method may be public. TRACE echoes the request with its cookies; browsers do not send it.
    pub(super) fn is_usual(&self) -> bool {
        self.method.is_some_and(|method| method != "TRACE")
    }
}

/// A condition on a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderCondition {
    /// The header's name, in lower case.
    pub name: String,
    /// The whole value; `None` matches any.
    pub value: Option<String>,
}

impl Rule {
    /// Whether it applies to a request with these properties and this path; `None` is an ambiguous path.
    pub(super) fn matches(&self, facts: &RequestFacts<'_>, path: Option<&str>) -> Match {
        // The cheapest and most selective condition first.
        let of_path = match (&self.path, path) {
            (None, _) => Match::Yes,
            (Some(pattern), Some(path)) => pattern.matches(path).into(),
            (Some(_), None) => Match::Perhaps,
        };
        if of_path == Match::No {
            return Match::No;
        }
        let of_headers = self.headers.iter().map(|header| header.matches(facts.request)).min().unwrap_or(Match::Yes);
        let of_request = of_path.min(self.matches_method(facts)).min(self.matches_host(facts)).min(of_headers);
        if self.networks.is_empty() || of_request == Match::No {
            return of_request;
        }
        of_request.min(self.matches_client(facts))
    }

    fn matches_method(&self, facts: &RequestFacts<'_>) -> Match {
        match facts.method {
            _ if self.methods.is_empty() => Match::Yes,
            Some(method) => lists(&self.methods, method).into(),
            None => Match::Perhaps,
        }
    }

    /// Whether the client is in one of the networks. One without an IP address, such as that of a Unix socket, may be any: it is
    /// denied what a network is denied, and gets nothing that a network gets.
    fn matches_client(&self, facts: &RequestFacts<'_>) -> Match {
        let is_in = |client: IpAddr| self.networks.iter().any(|network| network.contains(client));
        facts.client().map_or(Match::Perhaps, |client| is_in(client).into())
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

    /// Whether it certainly matches every request of the other rule.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let covers_path = |own: &PathPattern| other.path.as_ref().is_some_and(|other| own.covers(other));
        let covers_host = |host: &HostPattern| self.hosts.iter().any(|own| own.covers(host));
        let covers_network = |network: &Network| self.networks.iter().any(|own| own.covers(*network));
        self.path.as_ref().is_none_or(covers_path)
            && (self.methods.is_empty()
                || !other.methods.is_empty() && other.methods.iter().all(|method| lists(&self.methods, method)))
            && (self.hosts.is_empty() || !other.hosts.is_empty() && other.hosts.iter().all(covers_host))
            && (self.networks.is_empty() || !other.networks.is_empty() && other.networks.iter().all(covers_network))
            && self.headers.iter().all(|own| other.headers.iter().any(|header| own.covers(header)))
    }

    /// Whether it applies to every request of one version of IP, except for its conditions on headers.
    pub(super) fn covers_everything(&self) -> bool {
        // A pattern that matches both is unrestricted.
        let is_everything = |own: &PathPattern| ["/", "/~/~.~"].into_iter().all(|path| own.matches(path));
        let is_every_client = self.networks.is_empty() || self.networks.iter().any(|network| network.is_everything());
        is_every_client
            && self.methods.is_empty()
            && self.hosts.is_empty()
            && self.path.as_ref().is_none_or(is_everything)
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
            // Parsers take the first line, the last, or all.
            (_, _) if is_doubled => Match::Perhaps,
            // Envoy joins lines of some headers.
            (Some(value), Some(line)) if has_element(line, value) => Match::Perhaps,
            (_, _) => Match::No,
        }
    }

    /// Whether the request has another header that an app may take for this one.
    fn has_likeness(&self, request: &Request) -> bool {
        request.names_like(&self.name).iter().any(|name| *name != self.name)
    }

    /// Whether every request that fulfils the other condition fulfils this one.
    fn covers(&self, other: &Self) -> bool {
        self.name == other.name && (self.value.is_none() || self.value == other.value)
    }
}

/// Whether a line is a list that contains this element.
fn has_element(line: &[u8], element: &str) -> bool {
    line.split(|byte| *byte == b',').any(|part| part.trim_ascii() == element.as_bytes())
}

/// Whether the list contains this method; GET includes HEAD.
fn lists(methods: &[String], method: &str) -> bool {
    // HEAD is GET without the body (RFC 9110, 9.3.2).
    methods.iter().any(|listed| listed == method || listed == "GET" && method == "HEAD")
}
