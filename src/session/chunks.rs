//! The session's cookies: one, or up to five if it is larger, each in a whole `Set-Cookie` line that browsers accept.
//!
//! The sealed text is cut, not the session: the seal authenticates number, count and order of the pieces, because a
//! text joined in another way does not open, and the count is bound into the seal. A missing, duplicate or older piece
//! is no session.

use std::{borrow::Cow, time::Duration};

use super::cookie::{self, Found, HOST_PREFIX, MAX_COOKIE, SameSite, delete_cookie, set_cookie};
use crate::http::Request;

/// The most cookies of a session.
pub const MAX_CHUNKS: usize = 5;

/// The prefix of names that a browser takes from hosts with TLS alone. Names with [`HOST_PREFIX`] cannot be those of a domain.
const DOMAIN_PREFIX: &str = "__Secure-";

/// Separates the count from the text in the first of several cookies. Sealed text never has it in second place, where
/// the version allows only letters.
const COUNT_END: u8 = b'.';

/// The names of the session's cookies, and the attributes of all our cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookies {
    names: [String; MAX_CHUNKS],
    same_site: SameSite,
    /// The parent domain whose hosts get them; without one only the host that sets them.
    domain: Option<String>,
}

/// The sealed text of a request's session cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedCookies<'a> {
    /// The joined text.
    pub text: Cow<'a, [u8]>,
    /// The number of joined cookies.
    pub count: usize,
}

/// The session cookies that a browser has, so that unneeded ones can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present([Copies; MAX_CHUNKS]);

/// How often a browser has a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Copies {
    #[default]
    None,
    One,
    /// A cookie with attributes of an earlier configuration is beside it.
    Several,
}

impl SessionCookies {
    /// The cookies of this configured name: `__Host-name`, then `__Host-name-1` to `-4`; those of a domain begin with `__Secure-` and
    /// end with `.` and the domain. Otherwise those of two domains, of which a host gets both, could not be told apart.
    pub fn new(base: &str, same_site: SameSite, domain: Option<String>) -> Self {
        let (prefix, suffix) =
            domain.as_ref().map_or((HOST_PREFIX, String::new()), |domain| (DOMAIN_PREFIX, format!(".{domain}")));
        Self {
            same_site,
            domain,
            names: std::array::from_fn(|place| match place {
                0 => format!("{prefix}{base}{suffix}"),
                place => format!("{prefix}{base}-{place}{suffix}"),
            }),
        }
    }

    /// The parent domain whose hosts get them.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The `Set-Cookie` line of one of them.
    pub(super) fn line(&self, name: &str, value: &str, max_age: Duration) -> String {
        let mut line = set_cookie(name, value, max_age, self.same_site);
        if let Some(domain) = &self.domain {
            line.push_str("; Domain=");
            line.push_str(domain);
        }
        line
    }

    fn deletion(&self, name: &str) -> String {
        self.line(name, "", Duration::ZERO)
    }

    /// The requests of other sites with which our cookies come.
    pub const fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// The name of the first cookie.
    pub fn name(&self) -> &str {
        let [first, ..] = &self.names;
        first
    }

    /// The prefix of the names of all our cookies: those of a domain do not begin like those of one host.
    pub fn common_prefix(&self) -> &str {
        if self.domain.is_some() { "__" } else { self.name() }
    }

    /// Whether this is the name of one of them, or beside cookies of a domain of one from before that was configured.
    pub fn has(&self, name: &[u8]) -> bool {
        let is_earlier = |known: &str| {
            let base = self.domain.as_deref().and_then(|domain| known.strip_suffix(domain)?.strip_suffix('.'));
            let base = base.and_then(|base| base.strip_prefix(DOMAIN_PREFIX));
            base.is_some_and(|base| name.strip_prefix(HOST_PREFIX.as_bytes()) == Some(base.as_bytes()))
        };
        self.names.iter().any(|known| known.as_bytes() == name || is_earlier(known))
    }

    /// The seal's label for a text of so many cookies.
    pub fn label(&self, count: usize) -> String {
        format!("{}/{count}", self.name())
    }

    /// The joined text of the request's cookies, if they can be a whole session.
    pub fn read<'a>(&self, request: &'a Request) -> Option<JoinedCookies<'a>> {
        let [first, others @ ..] = &self.names;
        let Found::One(value) = cookie::find(request.lines("cookie"), first) else { return None };
        let ([digit, end], start) = value.split_first_chunk::<2>()?;
        if *end != COUNT_END {
            return Some(JoinedCookies { text: Cow::Borrowed(value), count: 1 });
        }
        let count = usize::from(digit.checked_sub(b'0')?);
        if !(2..=MAX_CHUNKS).contains(&count) {
            return None;
        }
        let mut text = start.to_vec();
        for name in others.get(..count.checked_sub(1)?)? {
            let Found::One(value) = cookie::find(request.lines("cookie"), name) else { return None };
            text.extend_from_slice(value);
        }
        Some(JoinedCookies { text: Cow::Owned(text), count })
    }

    /// The session cookies in the request, complete or not.
    pub fn present(&self, request: &Request) -> Present {
        let mut present = Present::default();
        for (slot, name) in present.0.iter_mut().zip(&self.names) {
            *slot = match cookie::find(request.lines("cookie"), name) {
                Found::Absent => Copies::None,
                Found::One(_) => Copies::One,
                Found::Several => Copies::Several,
            };
        }
        present
    }

    /// The number of cookies for a text of this length; `None` above [`MAX_CHUNKS`].
    pub fn count_for(&self, length: usize, max_age: Duration) -> Option<usize> {
        (1..=MAX_CHUNKS).find(|count| length <= self.rooms(*count, max_age).iter().sum())
    }

    /// The length of the longest text, in bytes.
    pub fn budget(&self, max_age: Duration) -> usize {
        self.rooms(MAX_CHUNKS, max_age).iter().sum()
    }

    /// The length of text in each of `count` cookies.
    fn rooms(&self, count: usize, max_age: Duration) -> Vec<usize> {
        let room = |(place, name): (usize, &String)| {
            let taken = if place == 0 && count > 1 { 2 } else { 0 };
            MAX_COOKIE.saturating_sub(self.line(name, "", max_age).len()).saturating_sub(taken)
        };
        self.names.iter().enumerate().take(count).map(room).collect()
    }

    /// The `Set-Cookie` lines for this text, sealed for `count` cookies, and those that delete surplus present cookies.
    pub fn set(&self, text: &str, count: usize, max_age: Duration, present: Present) -> Vec<String> {
        let mut rest = text;
        let mut lines = Vec::with_capacity(count);
        for (place, (name, room)) in self.names.iter().zip(self.rooms(count, max_age)).enumerate() {
            // The text is ASCII, so it can be cut anywhere.
            let (piece, tail) = rest.split_at_checked(room.min(rest.len())).unwrap_or((rest, ""));
            rest = tail;
            lines.push(match place {
                0 if count > 1 => self.line(name, &format!("{count}{}{piece}", char::from(COUNT_END)), max_age),
                _ => self.line(name, piece, max_age),
            });
        }
        lines.extend(self.deletions_from(count, present));
        lines
    }

    /// The lines that delete every present cookie, and always the first one.
    pub fn delete(&self, present: Present) -> Vec<String> {
        let mut lines = vec![self.deletion(self.name())];
        lines.extend(self.deletions_from(1, present));
        lines
    }

    /// The lines that delete present cookies beyond the first `count`.
    pub fn delete_beyond(&self, count: usize, present: Present) -> Vec<String> {
        self.deletions_from(count, present).collect()
    }

    /// Beside the present cookies from the number `first` on, the copies with other attributes of all. A copy of a domain's cookie
    /// may be one that a page of this host has set.
    fn deletions_from(&self, first: usize, present: Present) -> impl Iterator<Item = String> {
        let found = || self.names.iter().zip(present.0);
        let surplus = found().skip(first).filter(|(_, copies)| *copies != Copies::None);
        let doubled = found().filter(|(_, copies)| *copies == Copies::Several);
        let other = if self.domain.is_some() { self.same_site } else { self.same_site.kept_beside() };
        let surplus = surplus.map(|(name, _)| self.deletion(name));
        surplus.chain(doubled.map(move |(name, _)| delete_cookie(name, other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const AGE: Duration = Duration::from_secs(28_800);

    fn cookies() -> SessionCookies {
        SessionCookies::new("vestibule", SameSite::Lax, None)
    }

    fn request(cookies: &str) -> Request {
        Request::new([("cookie", cookies.as_bytes())])
    }

    fn sent_back(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| line.split(';').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_value_within_the_budget_round_trips_through_cookies() {
        let (cookies, budget) = (cookies(), cookies().budget(AGE));
        let edges: Vec<usize> = (1..=MAX_CHUNKS).map(|count| cookies.rooms(count, AGE).iter().sum()).collect();
        assert_eq!(edges.last(), Some(&budget));
        for length in edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]).filter(|length| *length <= budget) {
            let text: String = "a1_".chars().cycle().take(length).collect();
            let count = cookies.count_for(length, AGE).unwrap();
            let lines = cookies.set(&text, count, AGE, Present::default());
            assert_eq!(lines.len(), count, "{length}");
            assert!(lines.iter().all(|line| line.len() <= MAX_COOKIE), "{length}");
            let request = request(&sent_back(&lines).join("; "));
            assert_eq!(cookies.read(&request), Some(JoinedCookies { text: Cow::Borrowed(text.as_bytes()), count }));
        }
        assert_eq!(cookies.count_for(budget + 1, AGE), None);
    }

    #[test]
    fn an_incomplete_set_of_cookies_is_refused() {
        let cookies = cookies();
        let text = "x".repeat(10_000);
        let pairs = sent_back(&cookies.set(&text, 3, AGE, Present::default()));
        let [a, b, c] = &pairs[..] else { panic!("{}", pairs.len()) };
        for missing in [[a, b], [a, c], [b, c]] {
            assert_eq!(cookies.read(&request(&missing.map(String::as_str).join("; "))), None);
        }
        assert_eq!(cookies.read(&request(&[a, b, c, b].map(String::as_str).join("; "))), None);
        // The order in the header means nothing: the names say which is which.
        assert!(cookies.read(&request(&[c, a, b].map(String::as_str).join("; "))).is_some());
        // One too many is left over from a longer session.
        assert!(cookies.read(&request(&format!("{a}; {b}; {c}; __Host-vestibule-3=old"))).is_some());
    }

    #[test]
    fn an_impossible_count_of_cookies_is_refused() {
        for value in ["0.x", "1.x", "6.x", "9.x", ".x", "x.", "2.", "-1.x", "999999999.x", "1e9.x", "٣.x", "", "2"] {
            let line = format!("__Host-vestibule={value}");
            let read = cookies().read(&request(&line)).map(|joined| joined.count);
            assert!(matches!(read, None | Some(1)), "{value}: {read:?}");
        }
    }

    #[test]
    fn surplus_cookies_are_deleted() {
        let cookies = cookies();
        let present =
            cookies.present(&request("__Host-vestibule=3.a; __Host-vestibule-1=b; __Host-vestibule-2=c; a=b"));
        let names = |lines: Vec<String>| -> Vec<String> {
            let gone = |line: &&String| line.contains("Max-Age=0");
            lines.iter().filter(gone).map(|line| line.split('=').next().unwrap().to_owned()).collect()
        };
        assert_eq!(names(cookies.set("x", 1, AGE, present)), ["__Host-vestibule-1", "__Host-vestibule-2"]);
        assert_eq!(names(cookies.set(&"x".repeat(5000), 2, AGE, present)), ["__Host-vestibule-2"]);
        assert_eq!(names(cookies.delete(present)), ["__Host-vestibule", "__Host-vestibule-1", "__Host-vestibule-2"]);
        assert_eq!(names(cookies.delete(Present::default())), ["__Host-vestibule"]);
    }

    /// A browser keeps partitioned cookies beside others of the same name, and sends both.
    #[test]
    fn after_a_change_of_the_attributes_the_cookies_with_the_old_ones_are_deleted() {
        let twice = request("__Host-vestibule=a; __Host-vestibule=b; __Host-vestibule-1=c");
        for (same_site, own, other) in [
            (SameSite::Lax, "SameSite=Lax", "SameSite=None; Partitioned"),
            (SameSite::None, "SameSite=None", "SameSite=None; Partitioned"),
            (SameSite::Partitioned, "SameSite=None; Partitioned", "SameSite=None"),
        ] {
            let cookies = SessionCookies::new("vestibule", same_site, None);
            assert_eq!(cookies.read(&twice), None);
            let line = |name: &str, value: &str, attributes: &str, age: u64| {
                format!("{name}={value}; Path=/; Secure; HttpOnly; {attributes}; Max-Age={age}")
            };
            let first = line("__Host-vestibule", "x", own, AGE.as_secs());
            let deleted = [line("__Host-vestibule-1", "", own, 0), line("__Host-vestibule", "", other, 0)];
            let lines = cookies.set("x", 1, AGE, cookies.present(&twice));
            assert_eq!((&lines[0], &lines[1..]), (&first, &deleted[..]));
            let lines = cookies.delete(cookies.present(&twice));
            assert_eq!((&lines[0], &lines[1..]), (&line("__Host-vestibule", "", own, 0), &deleted[..]));
        }
    }
}
