//! The origins at which browsers reach the app.

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    limits, text,
};
use crate::{
    http::parse_url,
    oidc::is_loopback,
    origin::{Origin, OriginPattern, Origins},
    rules::{HostPattern, Rules},
};

const EXPECTED: &str = "an https origin, such as https://app.example.com";

/// Reads `external_url` and `sign_in.external_url`.
#[inline(never)]
pub(super) fn origins(
    external: Option<raw::ExternalUrl>,
    sign_in: Option<String>,
    cookie_domain: Result<Option<&str>, Faulty>,
    faults: &mut Faults,
) -> Result<Origins, Faulty> {
    let root = At::Root;
    let (at, at_sign_in) = (root.key("external_url"), root.key("sign_in"));
    let at_sign_in = at_sign_in.key("external_url");
    let mut found = Found { origins: Vec::new(), patterns: Vec::new(), cookie_domain: cookie_domain.ok().flatten() };
    let listed = faults.required(&at, external, EXPECTED).and_then(|external| match external {
        raw::ExternalUrl::One(url) => found.add(&url, &at, faults),
        raw::ExternalUrl::Several(urls) => found.add_all(&urls, &at, faults),
    });
    let sign_in = sign_in.map(|url| {
        let origin = origin(&url, &at_sign_in, faults)?;
        if let Ok(None) = cookie_domain {
            let expected =
                "nothing, or `session.cookie_domain` as well: the session must be sent to the host of each page";
            return Err(faults.wrong(&at_sign_in, expected));
        }
        if !found.origins.contains(&origin) {
            found.add_origin(origin.clone(), &at_sign_in, faults)?;
        }
        Ok(origin)
    });
    let (_, sign_in) = (listed?, sign_in.transpose()?);
    let mut origins = found.origins.into_iter();
    let home = origins.next().ok_or_else(|| {
        let expected =
            "an origin without `*` as well, to which pages under unknown hosts are sent, or `sign_in.external_url`";
        faults.wrong(&at, expected)
    })?;
    Ok(Origins::new(home, origins, found.patterns, sign_in))
}

struct Found<'a> {
    origins: Vec<Origin>,
    patterns: Vec<OriginPattern>,
    cookie_domain: Option<&'a str>,
}

impl Found<'_> {
    fn add_all(&mut self, urls: &[String], at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
        if !(1..=limits::MAX_ENTRIES).contains(&urls.len()) {
            return Err(faults.wrong(at, format!("1 to {} origins, got {}", limits::MAX_ENTRIES, urls.len())));
        }
        let mut result = Ok(());
        for (place, url) in urls.iter().enumerate() {
            result = self.add(url, &at.index(place), faults).and(result);
        }
        result
    }

    fn add(&mut self, url: &str, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
        if !url.contains('*') {
            let origin = origin(url, at, faults)?;
            return self.add_origin(origin, at, faults);
        }
        let pattern = text::url_text(url, at, faults).map(|()| OriginPattern::parse(url))?.ok_or_else(|| {
            let expected = "a pattern such as https://*.preview.example.com: https, `*` as the whole first label, and two labels \
                            or more behind it";
            text::wrong_url(url, expected, at, faults)
        })?;
        self.require_below_domain(pattern.domain(), at, faults)?;
        if self.patterns.iter().any(|known| known.domain() == pattern.domain()) {
            return Err(faults.wrong_value(at, "each pattern once", url));
        }
        self.patterns.push(pattern);
        Ok(())
    }

    fn add_origin(&mut self, origin: Origin, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
        self.require_below_domain(origin.host(), at, faults)?;
        if self.origins.iter().any(|known| known.host() == origin.host()) {
            return Err(faults.wrong_value(at, "each host once: cookies do not tell ports apart", origin.as_str()));
        }
        self.origins.push(origin);
        Ok(())
    }

    fn require_below_domain(&self, host: &str, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
        let is_below =
            |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        match self.cookie_domain.filter(|domain| !is_below(domain)) {
            None => Ok(()),
            Some(domain) => Err(faults.wrong_value(at, format!("a host of session.cookie_domain, {domain}"), host)),
        }
    }
}

/// One origin. A path is refused: cookies and return URLs apply to the whole origin.
#[inline(never)]
fn origin(value: &str, at: &At<'_>, faults: &mut Faults) -> Result<Origin, Faulty> {
    let url = text::url_text(value, at, faults)
        .and_then(|()| parse_url(value).ok_or_else(|| text::wrong_url(value, EXPECTED, at, faults)))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(text::wrong_url(value, EXPECTED, at, faults));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let expected = "an https origin (http only for localhost, *.localhost and loopback addresses)";
        return Err(text::wrong_url(value, expected, at, faults));
    }
    if url.host_str().is_some_and(|host| host.contains('*')) {
        return Err(text::wrong_url(value, "an origin with one host, no wildcard", at, faults));
    }
    if url.path() != "/" {
        let expected = format!("an origin without a path: {}", url.origin().ascii_serialization());
        return Err(text::wrong_url(value, expected, at, faults));
    }
    Origin::parse(value).ok_or_else(|| {
        let expected = "an origin only: scheme, host and port, no user name, query or fragment";
        text::wrong_url(value, expected, at, faults)
    })
}

/// The hosts of rules that are none of ours: with a typo in one, its rule protects nothing.
pub(super) fn hosts_elsewhere(rules: &Rules, origins: &Origins) -> Vec<String> {
    if !origins.are_several() {
        return Vec::new();
    }
    let exact = origins.all().chain(origins.sign_in()).map(|origin| origin.host().to_owned());
    let below = origins.patterns().iter().map(|pattern| format!("*.{}", pattern.domain()));
    let ours: Vec<_> = exact.chain(below).filter_map(|host| HostPattern::parse(&host).ok()).collect();
    let is_ours = |host: &HostPattern| ours.iter().any(|own| own.covers(host) || host.covers(own));
    let mut elsewhere = Vec::new();
    for (number, rule) in rules.rules().iter().enumerate() {
        for (place, _) in rule.hosts.iter().enumerate().filter(|(_, host)| !is_ours(host)) {
            elsewhere.push(format!(
                "rules[{number}].hosts[{place}]: no host of external_url is meant, so the rule does not apply to one"
            ));
        }
    }
    elsewhere
}
