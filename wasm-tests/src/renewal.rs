//! Sessions with short-lived access tokens, for the scenarios about refresh tokens.

use serde_json::json;

use crate::{
    http1::Response,
    issuer::RefreshTokens,
    upstream::MARK,
    user_agent::UserAgent,
    world::{World, deleted_cookies, is_session_cookie, kept_cookies},
};

/// Lifetime of an access token, in seconds. It is renewed in the last fifth of it.
pub const LIFETIME: i64 = 100;
/// Age of an access token that is still valid and due for renewal, in seconds.
pub const DUE: i64 = 85;
/// Age of an access token that has expired, in seconds.
pub const EXPIRED: i64 = 110;

/// A world with refresh tokens and short-lived access tokens.
pub fn world() -> World {
    let world = World::with(|document| document["session"]["lifetime_seconds"] = json!(86_400));
    give_short_lived_tokens(&world);
    world
}

/// Makes the issuer give refresh tokens, and access tokens of [`LIFETIME`].
pub fn give_short_lived_tokens(world: &World) {
    world.issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        terms.expires_in = Some(json!(LIFETIME));
        terms.refresh_expires_in = Some(json!(LIFETIME));
    });
}

/// The number of refresh requests at the issuer so far.
pub fn refresh_requests(world: &World) -> usize {
    world.issuer.refreshes().asked
}

/// Checks that the app has answered, and returns whether the answer sets a new session cookie.
///
/// # Panics
/// When the app has not answered, or another cookie is set.
#[track_caller]
pub fn assert_served(response: &Response, what: &str) -> bool {
    assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{what}: {response:?}");
    assert_eq!(deleted_cookies(response), [""; 0], "{what}");
    let kept = kept_cookies(response);
    assert!(kept.iter().all(|name| is_session_cookie(name)), "{what}: {kept:?}");
    !kept.is_empty()
}

/// Opens a page, which must come from the app, and returns whether the answer sets a new session cookie.
#[track_caller]
pub fn visit(world: &World, browser: &UserAgent, what: &str) -> bool {
    assert_served(&browser.get(&world.url("/page")), what)
}
