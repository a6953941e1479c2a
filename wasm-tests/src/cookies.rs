//! The names of the filter's cookies.

/// The session cookie.
pub const SESSION_COOKIE: &str = "__Host-vestibule";
/// The session cookie of a parent domain.
pub const DOMAIN_COOKIE: &str = "__Secure-vestibule.app.localhost";
/// Prefix of the cookies of pending sign-ins.
pub const PENDING_COOKIE: &str = "__Host-vestibule-p-";
/// The cookie of recent sign-ins, which stops redirect loops.
pub const LOGIN_LOOP_COOKIE: &str = "__Host-vestibule-t";

/// Whether a cookie of this name is the filter's.
pub(crate) fn is_our_cookie(name: &str) -> bool {
    name.starts_with(SESSION_COOKIE) || number_of_domain(name).is_some()
}

/// The part between the beginning of [`DOMAIN_COOKIE`] and the domain in the name of a domain session cookie: the
/// number of the cookie.
pub(crate) fn number_of_domain(name: &str) -> Option<&str> {
    let (base, domain) = DOMAIN_COOKIE.split_once('.')?;
    name.strip_prefix(base)?.strip_suffix(domain)?.strip_suffix('.')
}

/// Whether this is the name of a session's cookie, or of one of several.
pub fn is_session_cookie(name: &str) -> bool {
    let rest = name.strip_prefix(SESSION_COOKIE).or_else(|| number_of_domain(name));
    rest.is_some_and(|rest| rest.is_empty() || matches!(rest, "-1" | "-2" | "-3" | "-4"))
}
