//! Hosts of requests, and patterns for them.

use super::PatternError;

/// The longest host name, in bytes (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;

/// The host of an `:authority`, without port and trailing dot, in its original case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
    has_dot: bool,
}

impl<'a> Host<'a> {
    /// The host, or `None` if two parsers could find different ones (user information, unusual characters).
    pub fn read(authority: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(authority).ok()?;
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            Some(port) if is_port(port) => Some(port.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        let bare = name.strip_suffix('.').unwrap_or(name);
        let has_dot = bare.len() < name.len();
        (is_name(bare) || !has_dot && is_address(name)).then_some(Self { name: bare, port, has_dot })
    }

    /// Whether Envoy, which compares port and trailing dot too, finds the virtual host of the bare name: no dot, and no
    /// port except ours.
    pub const fn is_plain(self, own_port: Option<u16>) -> bool {
        !self.has_dot
            && match (self.port, own_port) {
                (None, _) => true,
                (Some(port), Some(own)) => port == own,
                (Some(_), None) => false,
            }
    }
}

/// A pattern for hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Every host below this domain, kept with its leading dot.
    Below(String),
    Exact(String),
}

impl HostPattern {
    /// A host name, or `*.` and a domain: every host below it, at any depth, but not the domain itself (as in Envoy's
    /// own virtual hosts).
    ///
    /// # Errors
    /// [`PatternError`] names the expected syntax.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let kind = match text.strip_prefix("*.") {
            Some(domain) if is_name(domain) => Kind::Below(format!(".{domain}")),
            None if is_name(&text) || is_address(&text) => Kind::Exact(text),
            _ => return Err(PatternError("a host name without port, or `*.` and a domain, such as *.example.com")),
        };
        Ok(Self(kind))
    }

    /// Whether it matches every host of the other pattern.
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Below(domain), Kind::Below(other)) => other.ends_with(domain.as_str()),
            // Both are in lower case.
            (Kind::Below(domain), Kind::Exact(other)) => other.len() > domain.len() && other.ends_with(domain.as_str()),
            (Kind::Exact(own), Kind::Exact(other)) => own == other,
            (Kind::Exact(_), Kind::Below(_)) => false,
        }
    }

    /// Whether it matches this host.
    pub fn matches(&self, host: Host<'_>) -> bool {
        let Host { name, .. } = host;
        match &self.0 {
            Kind::Below(domain) => name
                .len()
                .checked_sub(domain.len())
                .filter(|start| *start > 0)
                .and_then(|start| name.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(domain)),
            Kind::Exact(known) => name.eq_ignore_ascii_case(known),
        }
    }
}

fn is_port(text: &str) -> bool {
    // Envoy compares ports as text: `08443` is not `8443` there.
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_HOST
        && text.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// Whether it is an IPv6 address in brackets. It is compared as text.
fn is_address(text: &str) -> bool {
    text.starts_with('[') && url::Host::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, authority: &str) -> bool {
        let pattern = HostPattern::parse(pattern).unwrap();
        Host::read(authority.as_bytes()).is_some_and(|host| pattern.matches(host))
    }

    #[test]
    fn a_host_is_compared_without_port_case_and_trailing_dot() {
        let cases = [
            ("app.example.com", "app.example.com", true),
            ("app.example.com", "App.Example.COM", true),
            ("APP.example.com.", "app.example.com:8443", true),
            ("app.example.com", "app.example.com.", true),
            ("app.example.com", "app.example.com.:443", true),
            ("app.example.com", "app.example.com..", false),
            ("app.example.com", "xapp.example.com", false),
            ("app.example.com", "app.example.com.evil.example", false),
            ("localhost", "localhost:10000", true),
            ("127.0.0.1", "127.0.0.1:80", true),
            ("[::1]", "[::1]:80", true),
            ("[::1]", "[::1]", true),
            ("*.example.com", "app.example.com", true),
            ("*.example.com", "a.b.EXAMPLE.com:1", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.example.com", "a.example.com.evil.example", false),
        ];
        for (pattern, authority, expected) in cases {
            assert_eq!(matches(pattern, authority), expected, "{pattern} {authority}");
        }
    }

    #[test]
    fn an_authority_that_two_readers_could_split_differently_has_no_host() {
        let authorities = [
            "",
            ".",
            ":80",
            "a b",
            "a,b",
            "user@app.example.com",
            "app.example.com@evil.example",
            "app.example.com:80:81",
            "app.example.com:",
            "app.example.com:x",
            "app.example.com:+80",
            "app.example.com:080",
            "app.example.com:123456",
            "a/b",
            "a\\b",
            "a#b",
            "a?b",
            "a%2eb",
            "a;b",
            "a\tb",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1].",
            "[::1]x:80",
            "[evil]",
            "*.example.com",
            "é.example",
        ];
        for authority in authorities {
            assert_eq!(Host::read(authority.as_bytes()), None, "{authority:?}");
        }
        assert_eq!(Host::read(b"app\xff.example"), None);
        assert_eq!(Host::read("a".repeat(300).as_bytes()), None);
    }

    #[test]
    fn an_invalid_host_pattern_is_refused() {
        let texts = [
            "",
            ".",
            "*",
            "*.",
            "**.example.com",
            "a.*.com",
            "app*.example.com",
            "*example.com",
            "https://a.example",
            "a.example:443",
            "a.example/",
            "user@a.example",
            "a..example",
            "bücher.example",
            "a b",
            "*.[::1]",
        ];
        for text in texts {
            assert!(HostPattern::parse(text).is_err(), "{text:?}");
        }
    }
}
