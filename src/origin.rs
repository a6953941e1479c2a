//! The origins at which browsers reach the app. They come from the configuration alone: a request only selects one of them,
//! by its host.

use std::rc::Rc;

use crate::http::{Request, parse_url};

/// The most characters of a label of a host name (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// An origin of the app in browsers: scheme, host and port as configured, never as a client writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The origin of this URL, or `None` if it has none, or has a path, query or user name.
    pub fn parse(text: &str) -> Option<Self> {
        let url = parse_url(text)?;
        let origin = url.origin().ascii_serialization();
        let bare = matches!(url.scheme(), "https" | "http") && url.as_str().strip_suffix('/') == Some(origin.as_str());
        let host = url.host_str().filter(|_| bare)?.to_owned();
        Some(Self { text: origin, host, port: url.port() })
    }

    /// The host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether this authority is our host: case-insensitive, with any port, because cookies ignore ports (RFC 6265,
    /// 8.5).
    #[inline(never)]
    pub fn matches_host(&self, authority: &str) -> bool {
        self.host().eq_ignore_ascii_case(without_port(authority))
    }

    /// Its port, unless it is the scheme's default.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The serialized origin, such as `https://app.example.com`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The origins of the hosts one label below a domain, such as `https://*.preview.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// The origin of the domain.
    domain: Origin,
}

impl OriginPattern {
    /// A pattern of `https` origins; `None` for other texts, and where the domain has fewer than two labels.
    pub fn parse(text: &str) -> Option<Self> {
        let domain = Origin::parse(&format!("https://{}", text.strip_prefix("https://*.")?))?;
        let (_, top) = domain.host().rsplit_once('.')?;
        // A domain whose last label is a number is an IPv4 address (URL Standard, 3.5).
        let is_domain = !top.is_empty() && !top.bytes().all(|byte| byte.is_ascii_digit());
        (is_domain && !domain.host().contains('*')).then_some(Self { domain })
    }

    /// The domain below which its hosts are.
    pub fn domain(&self) -> &str {
        self.domain.host()
    }

    /// The pattern as configured, with this in place of the star.
    pub fn with_label(&self, label: &str) -> String {
        format!("https://{label}.{}", self.domain.as_str().strip_prefix("https://").unwrap_or_default())
    }

    /// The label in place of the star, if this is one of its hosts.
    fn label<'a>(&self, host: &'a str) -> Option<&'a str> {
        let length = host.len().checked_sub(self.domain().len())?;
        let (start, domain) = host.split_at_checked(length)?;
        let label = start.strip_suffix('.').filter(|_| domain.eq_ignore_ascii_case(self.domain()))?;
        let is_plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_plain && (1..=MAX_LABEL).contains(&label.len())).then_some(label)
    }

    fn origin(&self, host: &str) -> Option<Origin> {
        let label = self.label(host)?.to_ascii_lowercase();
        Some(Origin { text: self.with_label(&label), host: host.to_ascii_lowercase(), port: self.domain.port })
    }
}

/// The origin of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    origin: Origin,
    /// `None` for a host that is none of ours; its pages are sent to the home.
    id: Option<SiteId>,
}

/// The site at which a session or a pending sign-in counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteId {
    /// Empty for the home.
    origin: String,
}

impl SiteId {
    /// The home; for sessions whose cookies are those of a domain, every site.
    pub const HOME: &Self = &Self { origin: String::new() };

    /// Its form in sealed values.
    pub fn sealed(&self) -> &str {
        &self.origin
    }

    /// Reads the form in sealed values.
    pub fn from_sealed(text: &str) -> Self {
        Self { origin: text.to_owned() }
    }
}

impl Site {
    /// The origin of the URLs in the answer.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The site in sealed values; `None` for a host that is none of ours.
    pub const fn id(&self) -> Option<&SiteId> {
        self.id.as_ref()
    }

    fn of(origin: Origin) -> Rc<Self> {
        let id = Some(SiteId { origin: origin.text.clone() });
        Rc::new(Self { origin, id })
    }
}

/// Every origin of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    home: Rc<Site>,
    unknown: Rc<Site>,
    others: Vec<Rc<Site>>,
    patterns: Vec<OriginPattern>,
    /// The origin at which all sign-ins take place, if there is one.
    sign_in: Option<Origin>,
}

impl Origins {
    /// The home, to which pages under unknown hosts are sent, and the others. Their hosts differ.
    pub fn new(
        home: Origin,
        others: impl Iterator<Item = Origin>,
        patterns: Vec<OriginPattern>,
        sign_in: Option<Origin>,
    ) -> Self {
        Self {
            others: others.map(Site::of).collect(),
            unknown: Rc::new(Site { origin: home.clone(), id: None }),
            home: Rc::new(Site { origin: home, id: Some(SiteId::default()) }),
            patterns,
            sign_in,
        }
    }

    /// The home.
    pub const fn home(&self) -> &Rc<Site> {
        &self.home
    }

    /// The origin at which all sign-ins take place, if there is one.
    pub const fn sign_in(&self) -> Option<&Origin> {
        self.sign_in.as_ref()
    }

    /// Each origin, the home first.
    pub fn all(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.home).chain(&self.others).map(|site| site.origin())
    }

    /// The patterns of further origins.
    pub fn patterns(&self) -> &[OriginPattern] {
        &self.patterns
    }

    /// The port that all of them have; `None` where they differ, or for the scheme's default.
    pub fn port(&self) -> Option<u16> {
        let port = self.home.origin.port();
        let is_common = self.others.iter().all(|site| site.origin.port() == port)
            && self.patterns.iter().all(|pattern| pattern.domain.port() == port);
        port.filter(|_| is_common)
    }

    /// Whether there is more than one.
    pub const fn are_several(&self) -> bool {
        !self.others.is_empty() || !self.patterns.is_empty()
    }

    /// The site of a request; `None` where there is one origin: a proxy may write another host into every request.
    pub fn site(&self, request: &Request) -> Option<Rc<Site>> {
        self.are_several().then(|| self.find(request.authority()).unwrap_or_else(|| Rc::clone(&self.unknown)))
    }

    /// The site of this authority.
    #[inline(never)]
    pub fn find(&self, authority: &str) -> Option<Rc<Site>> {
        let matches = |site: &Rc<Site>| site.origin.matches_host(authority);
        let known =
            Some(&self.home).filter(|home| matches(home)).or_else(|| self.others.iter().find(|site| matches(site)));
        known.map(Rc::clone).or_else(|| {
            let origin = self.patterns.iter().find_map(|pattern| pattern.origin(without_port(authority)))?;
            Some(Site::of(origin))
        })
    }

    /// Splits a URL of the app into one of the origins, exactly as browsers serialize it, and the rest.
    pub fn split<'a>(&self, url: &'a str) -> Option<(&'a str, &'a str)> {
        let site = self.find(url.split('/').nth(2)?)?;
        let (origin, rest) = url.split_at_checked(site.origin.text.len())?;
        let is_whole = rest.is_empty() || rest.starts_with('/');
        (is_whole && origin == site.origin.text).then_some((origin, rest))
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests;
