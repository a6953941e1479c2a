//! A browser's cookie rules (RFC 6265bis, as Chromium keeps them).

/// Name and value together may be this long (RFC 6265bis, 5.7).
const MAX_PAIR: usize = 4096;
/// An attribute's value may be this long; a longer one is ignored.
const MAX_ATTRIBUTE: usize = 1024;

/// One cookie in the jar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// The host that set the cookie and receives it; ports are ignored. With a leading dot: the `Domain` attribute, for
    /// all hosts of that domain.
    pub host: String,
    /// The name.
    pub name: String,
    /// The value.
    pub value: Vec<u8>,
    /// `Path`
    pub path: String,
    /// `Secure`
    pub secure: bool,
    /// `HttpOnly`
    pub http_only: bool,
    /// `SameSite`, as written.
    pub same_site: Option<String>,
    /// `Max-Age` in seconds.
    pub max_age: Option<i64>,
}

impl Cookie {
    /// Whether it goes to this host.
    pub fn goes_to(&self, host: &str) -> bool {
        let is_of_domain = |domain| host == domain || host.ends_with(&self.host);
        self.host == host || self.host.strip_prefix('.').is_some_and(is_of_domain)
    }
}

/// Why a browser does not keep a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The `Set-Cookie` value.
    pub line: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// The cookies of one browser.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    refused: Vec<Refused>,
}

impl Jar {
    /// The cookies in the order in which they were first set.
    pub fn cookies(&self) -> &[Cookie] {
        &self.cookies
    }

    /// The cookies that were refused.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The cookie of this name for this host.
    pub fn find(&self, host: &str, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| cookie.goes_to(host) && cookie.name == name)
    }

    /// Puts a cookie in as if the user had, replacing the one of the same name, host and path.
    pub fn put(&mut self, cookie: Cookie) {
        let same =
            |kept: &&mut Cookie| kept.host == cookie.host && kept.name == cookie.name && kept.path == cookie.path;
        match self.cookies.iter_mut().find(same) {
            Some(kept) => *kept = cookie,
            None => self.cookies.push(cookie),
        }
    }

    /// Throws away the cookies of this name.
    pub fn remove(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// Throws away what a browser would have thrown away this many seconds after it was set.
    pub fn age(&mut self, seconds: i64) {
        self.cookies.retain(|cookie| cookie.max_age.is_none_or(|age| age > seconds));
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Takes in a `Set-Cookie` line that this host answered a request for this path with.
    pub fn take(&mut self, host: &str, request_path: &str, line: &[u8]) {
        match accept(host, request_path, line) {
            Ok(cookie) if cookie.max_age.is_some_and(|age| age <= 0) => {
                self.cookies
                    .retain(|kept| !(kept.host == cookie.host && kept.name == cookie.name && kept.path == cookie.path));
            }
            Ok(cookie) => self.put(cookie),
            Err(rule) => {
                let line = String::from_utf8_lossy(line).into_owned();
                self.refused.push(Refused { line, rule });
            }
        }
    }

    /// The `Cookie` header for a request to this host and path; nothing when no cookie goes there.
    pub fn header(&self, host: &str, path: &str) -> Option<Vec<u8>> {
        let mut matching: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| cookie.goes_to(host) && path_matches(&cookie.path, path)).collect();
        // RFC 6265bis, 5.8.3: longer paths first, then older cookies first.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<Vec<u8>> =
            matching.iter().map(|cookie| [cookie.name.as_bytes(), b"=", &cookie.value].concat()).collect();
        (!pairs.is_empty()).then(|| pairs.join(&b"; "[..]))
    }
}

fn accept(host: &str, request_path: &str, line: &[u8]) -> Result<Cookie, &'static str> {
    if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        return Err("no control characters");
    }
    let mut parts = line.split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { return Err("a name and a value") };
    let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
    if name.is_empty() {
        return Err("a name");
    }
    if name.len() + value.len() > MAX_PAIR {
        return Err("at most 4096 bytes");
    }
    let default_path = match request_path.rfind('/') {
        Some(0) | None => "/",
        Some(last) => &request_path[..last],
    };
    let mut cookie = Cookie {
        host: host.to_owned(),
        name: String::from_utf8_lossy(name).into_owned(),
        value: value.to_vec(),
        path: default_path.to_owned(),
        secure: false,
        http_only: false,
        same_site: None,
        max_age: None,
    };
    let mut domain = None;
    for attribute in parts {
        let text = String::from_utf8_lossy(attribute);
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
        if value.len() > MAX_ATTRIBUTE {
            continue;
        }
        match key.as_str() {
            "domain" if !value.is_empty() => domain = Some(value.trim_start_matches('.').to_ascii_lowercase()),
            "httponly" => cookie.http_only = true,
            "max-age" => cookie.max_age = value.parse().ok().or(cookie.max_age),
            "path" => cookie.path = if value.starts_with('/') { value } else { default_path.to_owned() },
            "samesite" => cookie.same_site = Some(value),
            "secure" => cookie.secure = true,
            _ => {}
        }
    }
    // Of the hosts in the tests, browsers treat only `localhost` as a public suffix.
    let is_name = host.parse::<std::net::Ipv4Addr>().is_err();
    let is_parent = |domain: &str| is_name && domain.contains('.') && host.ends_with(&format!(".{domain}"));
    if domain.as_ref().is_some_and(|domain| domain != host && !is_parent(domain)) {
        return Err("only this host's Domain");
    }
    if let Some(domain) = domain.as_ref().filter(|_| host.parse::<std::net::IpAddr>().is_err()) {
        cookie.host = format!(".{domain}");
    }
    if cookie.secure && !is_loopback(host) {
        return Err("Secure over plain http only on this machine");
    }
    // RFC 6265bis, 4.1.3: the prefixes count in any case.
    let lower = cookie.name.to_ascii_lowercase();
    if lower.starts_with("__secure-") && !cookie.secure {
        return Err("__Secure- wants Secure");
    }
    if lower.starts_with("__host-") && (!cookie.secure || cookie.path != "/" || domain.is_some()) {
        return Err("__Host- wants Secure, Path=/ and no Domain");
    }
    if cookie.same_site.as_ref().is_some_and(|value| value.eq_ignore_ascii_case("none")) && !cookie.secure {
        return Err("SameSite=None wants Secure");
    }
    Ok(cookie)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.")
}

fn path_matches(cookie: &str, path: &str) -> bool {
    path == cookie || path.strip_prefix(cookie).is_some_and(|rest| cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "127.0.0.1";

    fn taken(lines: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for line in lines {
            jar.take(HOST, "/dir/page", line.as_bytes());
        }
        jar
    }

    #[test]
    fn the_jar_refuses_the_cookies_that_a_browser_refuses() {
        let long = format!("a={}", "x".repeat(4096));
        let cases = [
            ("a=1", None),
            ("__Host-a=1; Secure; Path=/; HttpOnly; SameSite=Lax", None),
            (&long[..4097], None),
            (&long, Some("at most 4096 bytes")),
            ("__Host-a=1; Path=/", Some("__Host- wants Secure, Path=/ and no Domain")),
            ("__Host-a=1; Secure", Some("__Host- wants Secure, Path=/ and no Domain")),
            ("__Host-a=1; Secure; Path=/; Domain=127.0.0.1", Some("__Host- wants Secure, Path=/ and no Domain")),
            ("__Secure-a=1", Some("__Secure- wants Secure")),
            ("a=1; Domain=example.com", Some("only this host's Domain")),
            ("a=1; Domain=0.0.1", Some("only this host's Domain")),
            ("a=1; SameSite=None", Some("SameSite=None wants Secure")),
            ("a=\u{1}", Some("no control characters")),
            ("=1", Some("a name")),
            ("a", Some("a name and a value")),
        ];
        for (line, rule) in cases {
            let jar = taken(&[line]);
            assert_eq!(jar.refused().first().map(|refused| refused.rule), rule, "{line}");
            assert_eq!(jar.cookies().len(), usize::from(rule.is_none()), "{line}");
        }
    }

    #[test]
    fn secure_cookies_over_plain_http_are_accepted_only_on_localhost() {
        let mut jar = Jar::default();
        jar.take("app.example.com", "/", b"a=1; Secure");
        jar.take("app.localhost", "/", b"a=1; Secure");
        assert_eq!(jar.cookies().iter().map(|cookie| cookie.host.as_str()).collect::<Vec<_>>(), ["app.localhost"]);
    }

    #[test]
    fn a_domain_cookie_is_sent_to_its_hosts_with_their_own() {
        let mut jar = Jar::default();
        for (host, line) in [
            ("one.app.localhost", "a=1; Domain=app.localhost"),
            ("one.app.localhost", "b=2; Domain=localhost"),
            ("one.app.localhost", "c=3; Domain=two.app.localhost"),
            ("two.app.localhost", "a=4"),
        ] {
            jar.take(host, "/", line.as_bytes());
        }
        let header = |host| jar.header(host, "/").map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(header("app.localhost").as_deref(), Some("a=1"));
        assert_eq!(header("two.app.localhost").as_deref(), Some("a=1; a=4"));
        assert_eq!((header("other.localhost"), header("xapp.localhost"), jar.refused().len()), (None, None, 2));
    }

    #[test]
    fn a_deletion_needs_the_same_path_and_keeps_the_prefix_rules() {
        let set = "__Host-a=1; Secure; Path=/";
        assert_eq!(taken(&[set, "__Host-a=; Max-Age=0; Secure; Path=/"]).cookies(), []);
        assert_eq!(taken(&[set, "__Host-a=; Max-Age=0; Path=/"]).cookies().len(), 1);
        assert_eq!(taken(&["a=1; Path=/", "a=; Max-Age=0; Path=/other"]).cookies().len(), 1);
    }

    #[test]
    fn a_cookie_expires_after_its_max_age() {
        let mut jar = taken(&["a=1; Max-Age=3600", "b=2"]);
        jar.age(3599);
        assert_eq!(jar.cookies().len(), 2);
        jar.age(3600);
        assert_eq!(jar.cookies().iter().map(|cookie| cookie.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn the_jar_sends_matching_cookies_with_longer_paths_first() {
        let jar = taken(&["a=1; Path=/", "b=2; Path=/dir", "c=3; Path=/other", "d=4; Path=/", "a=5; Path=/"]);
        let header = |host, path| jar.header(host, path).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(header(HOST, "/dir/x").as_deref(), Some("b=2; a=5; d=4"));
        assert_eq!(header(HOST, "/directory").as_deref(), Some("a=5; d=4"));
        assert_eq!(header("127.0.0.2", "/dir/x"), None);
    }
}
