//! Checks of the filter's own answers, for all scenarios.

use url::Url;

use super::{
    PUBLIC, World,
    parameters::{parameter, parameters},
};
use crate::{
    cookies::{LOGIN_LOOP_COOKIE, PENDING_COOKIE, is_our_cookie, is_session_cookie, number_of_domain},
    http1::Response,
    issuer::{CLIENT_ID, Endpoint, Issuer},
    keys::from_base64url,
    upstream::MARK,
    user_agent::{Exchange, Outgoing, UserAgent},
};

/// A sign-in that was begun.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The authorization request.
    pub url: String,
    /// Its `state`.
    pub state: String,
    /// Its `nonce`.
    pub nonce: String,
    /// The name of its cookie.
    pub cookie: String,
}

/// The cookies that a response sets, by name; deletions left out.
pub fn kept_cookies(response: &Response) -> Vec<String> {
    names(response, false)
}

/// The cookies that a response deletes, by name.
pub fn deleted_cookies(response: &Response) -> Vec<String> {
    names(response, true)
}

fn names(response: &Response, deleted: bool) -> Vec<String> {
    let deletes = |line: &String| line.to_ascii_lowercase().contains("max-age=0");
    response
        .set_cookies()
        .iter()
        .filter(|line| deletes(line) == deleted)
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.to_owned()))
        .collect()
}

/// Checks that a request is refused with this status and code, that the app does not see it, and that the next request is
/// served; in a world of one worker, by the same.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_refused(world: &World, send: &Outgoing, browser: &UserAgent, expected: (u16, &str)) -> Response {
    let what = String::from_utf8_lossy(&send.target).into_owned();
    let before = world.upstream.count();
    let response = browser.visit(&world.url(&what), send.clone());
    assert_eq!((response.status, response.code().as_deref()), (expected.0, Some(expected.1)), "{what}: {response:?}");
    world.upstream.assert_saw_nothing_since(before, &what);
    let next = world.browser().fetch(&world.url(PUBLIC));
    assert_eq!((next.status, next.headers.has(MARK)), (200, true), "after {what}: {next:?}");
    response
}

/// The user that the app receives with a request, which must reach it.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn seen_as(world: &World, send: &Outgoing, browser: &UserAgent) -> Option<String> {
    let what = String::from_utf8_lossy(&send.target).into_owned();
    let response = browser.visit(&world.url(&what), send.clone());
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{what}: {response:?}\n{}", world.log());
    world.upstream.last().headers.text("x-forwarded-user")
}

/// Checks that a response sends the browser to the provider, as it should and no other way.
#[track_caller]
pub fn assert_sign_in(response: &Response, world: &World) -> SignIn {
    assert_sign_in_at(response, world, &world.issuer, "/oauth2/callback")
}

/// Checks that a response sends the browser to this provider, and from there to this callback.
#[track_caller]
pub fn assert_sign_in_at(response: &Response, world: &World, issuer: &Issuer, callback: &str) -> SignIn {
    assert_eq!(response.status, 302, "{response:?}\n{}", world.log());
    assert!(response.body.is_empty(), "{response:?}");
    let location = response.location().expect("a Location");
    let url = Url::parse(&location).expect("a Location that is a URL");
    assert_eq!(
        format!("{}{}", url.origin().ascii_serialization(), url.path()),
        format!("{}{}", issuer.url(), Endpoint::Authorization.path())
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", &world.url(callback)),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&location, name), value, "{name}");
    }
    assert!(parameter(&location, "scope").split(' ').any(|scope| scope == "openid"), "{location}");
    assert_eq!(from_base64url(&parameter(&location, "code_challenge")).len(), 32, "{location}");
    let (state, nonce) = (parameter(&location, "state"), parameter(&location, "nonce"));
    // 128 bits or more, and nothing that a provider could misread.
    for value in [&state, &nonce] {
        assert!(value.len() >= 22, "{location}");
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)), "{location}");
    }
    let [cookie] = &kept_cookies(response)[..] else { panic!("not one cookie: {response:?}") };
    assert!(cookie.starts_with(PENDING_COOKIE), "{cookie}");
    assert_eq!(response.headers.text("cache-control").as_deref(), Some("no-store"));
    SignIn { url: location.clone(), state, nonce, cookie: cookie.clone() }
}

/// The callback of a sign-in on the way to this page, at a provider that asks the user nothing.
///
/// # Panics
/// When no sign-in begins, or the provider sends nobody back.
#[track_caller]
pub fn callback_at_once(world: &World, browser: &UserAgent, path: &str) -> String {
    let begun = browser.get(&world.url(path));
    assert_eq!(begun.code().as_deref(), Some("sign_in_started"), "{begun:?}\n{}", world.log());
    browser.get(&begun.location().expect("a redirect")).location().expect("a way back")
}

/// A browser that has signed in at such a provider.
#[track_caller]
pub fn signed_in_at_once(world: &World) -> UserAgent {
    let browser = world.browser();
    let callback = callback_at_once(world, &browser, "/page");
    assert_signed_in(&browser.get(&callback), &world.url("/page"));
    browser
}

/// That the app has answered, or else with which code the filter has.
#[track_caller]
pub fn access(world: &World, browser: &UserAgent, path: &str) -> String {
    let before = world.upstream.count();
    let response = browser.get(&world.url(path));
    if response.headers.has(MARK) {
        return "passed".to_owned();
    }
    world.upstream.assert_saw_nothing_since(before, path);
    response.code().unwrap_or_default()
}

/// Checks that a callback ended in a session and a redirect to this URL.
#[track_caller]
pub fn assert_signed_in(response: &Response, url: &str) {
    assert_eq!(response.status, 303, "{} {response:?}", response.text());
    assert_eq!(response.location().as_deref(), Some(url));
    // One cookie, or several that hold the session together; of an older session some may be too many now.
    let (trail, kept): (Vec<_>, Vec<_>) =
        kept_cookies(response).into_iter().partition(|name| name == LOGIN_LOOP_COOKIE);
    assert_eq!(trail.len(), 1, "{response:?}");
    assert!(!kept.is_empty() && kept.iter().all(|name| is_session_cookie(name)), "{response:?}");
    let (left_over, pending): (Vec<_>, Vec<_>) =
        deleted_cookies(response).into_iter().partition(|name| is_session_cookie(name));
    assert!(left_over.iter().all(|name| !kept.contains(name)), "{response:?}");
    assert!(pending.len() == 1 && pending[0].starts_with(PENDING_COOKIE), "{response:?}");
}

/// Checks that a response is a page of ours with one of these statuses, without a redirect and without a session cookie.
#[track_caller]
pub fn assert_page(response: &Response, statuses: &[u16], what: &str) {
    assert!(statuses.contains(&response.status), "{what}: {response:?}");
    assert!(response.code().is_some(), "{what}: not our answer: {response:?}");
    assert_eq!(response.location(), None, "{what}");
    let html = response.headers.text("content-type").is_some_and(|value| value.starts_with("text/html"));
    assert!(html, "{what}: {response:?}");
    assert_eq!(kept_cookies(response), [""; 0], "{what}");
    if response.status == 503 {
        assert!(response.headers.has("retry-after"), "{what}: {response:?}");
    }
}

/// Checks that a response is a 401 with a challenge, without a redirect and without a cookie.
#[track_caller]
pub fn assert_unauthenticated(response: &Response, what: &str) {
    assert_eq!(response.status, 401, "{what}: {response:?}");
    assert!(response.headers.has("www-authenticate"), "{what}: {response:?}");
    assert_eq!(response.set_cookies(), [""; 0], "{what}");
    assert_eq!(response.location(), None, "{what}");
}

/// The attributes of our cookies that depend on the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) same_site: &'a str,
    /// The `Domain` of the session cookies. All other cookies are host-only.
    pub(super) domain: Option<&'a str>,
}

/// Checks what every answer of ours carries.
pub(super) fn assert_our_reply(exchange: &Exchange, attributes: Attributes<'_>) {
    let Some(response) = &exchange.response else { return };
    let header = |name| response.headers.text(name).unwrap_or_default();
    // The module for scripts is the same for everybody.
    let is_module = response.code().as_deref() == Some("client_script");
    assert_eq!(header("cache-control"), if is_module { "public, max-age=300" } else { "no-store" }, "{exchange:?}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{exchange:?}");
    assert!(!matches!(response.status, 307 | 308), "{exchange:?}");
    if header("content-type").starts_with("text/html") {
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{exchange:?}");
        // The front-channel logout response may be framed by the provider. The response to a framed page load may be
        // framed, too, and contains only a link.
        let logged_out = response.status == 200 && response.code().as_deref() == Some("logged_out");
        assert_eq!(policy.contains("frame-ancestors http://"), logged_out, "{exchange:?}");
        let is_open = !policy.contains("frame-ancestors");
        assert!(logged_out || policy.contains("frame-ancestors 'none'") || exchange.is_framed, "{exchange:?}");
        assert!(!is_open || !response.text().contains("<form"), "{exchange:?}");
        assert!(!policy.contains("unsafe"), "{exchange:?}");
    }
    for line in response.set_cookies() {
        assert!(is_our_line(&line), "a cookie that is not ours: {exchange:?}");
        assert_our_cookie(&line, attributes);
    }
}

/// Checks the cookies of ours beside those of the app.
pub(super) fn assert_our_cookies(response: &Response, attributes: Attributes<'_>) {
    response.set_cookies().iter().filter(|line| is_our_line(line)).for_each(|line| assert_our_cookie(line, attributes));
}

/// Whether a `Set-Cookie` line is about a cookie of the filter.
fn is_our_line(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| is_our_cookie(name))
}

fn assert_our_cookie(line: &str, attributes: Attributes<'_>) {
    let Attributes { same_site, domain } = attributes;
    let lower = line.to_ascii_lowercase();
    for attribute in ["; secure", "; httponly", &format!("; samesite={same_site};"), "; path=/"] {
        assert!(lower.contains(attribute), "{attribute} is missing: {line}");
    }
    let found = lower.split("; ").find_map(|attribute| attribute.strip_prefix("domain="));
    let is_of_domain = line.split_once('=').is_some_and(|(name, _)| number_of_domain(name).is_some());
    // A copy that a page of one host has set is deleted without the domain.
    let is_copy = is_of_domain && found.is_none() && lower.contains("max-age=0");
    assert!(found == domain.filter(|_| is_of_domain) || is_copy, "{line}");
    assert!(domain.is_some() || !is_of_domain, "{line}");
}

/// Checks that a response holds none of the secrets of the filter and the issuers.
pub(super) fn assert_holds_no_secret(exchange: &Exchange, secrets: &[String], issuers: &[&Issuer]) {
    let Some(response) = &exchange.response else { return };
    let mut text = response.text();
    for (name, value) in &response.headers.0 {
        let value = String::from_utf8_lossy(value);
        // OIDC RP-Initiated Logout 1.0, 2: the browser carries the ID token back to where it came from.
        let ends = |issuer: &&Issuer| value.starts_with(&format!("{}{}?", issuer.url(), Endpoint::EndSession.path()));
        let hint = (name == "location" && issuers.iter().any(ends))
            .then(|| parameters(&value).into_iter().find(|(name, _)| name == "id_token_hint"))
            .flatten();
        let value = hint.map_or_else(|| value.to_string(), |(_, hint)| value.replace(&hint, ""));
        text.push_str(&format!("\n{name}: {value}"));
    }
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{secret} stands in {exchange:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Headers;

    fn leads_to(location: &str) -> Exchange {
        let headers = Headers(vec![("location".to_owned(), location.as_bytes().to_vec())]);
        let response = Response { status: 302, headers, body: Vec::new() };
        Exchange { port: 1, request: "GET /".to_owned(), is_framed: false, response: Some(response) }
    }

    #[test]
    fn an_id_token_may_appear_only_in_a_url_of_its_issuer() {
        let issuer = Issuer::start();
        let secrets = ["h.p.s".to_owned()];
        let end = format!("{}{}", issuer.url(), Endpoint::EndSession.path());
        let checked = |location: &str| {
            let check = || assert_holds_no_secret(&leads_to(location), &secrets, &[&issuer]);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
        };
        assert!(checked(&format!("{end}?id_token_hint=h.p.s&state=x")));
        assert!(!checked(&format!("{end}?state=h.p.s")));
        assert!(!checked("http://evil.example/session/end?id_token_hint=h.p.s"));
    }
}
