//! Sessions: how they are kept, begun and ended.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Secret,
};

/// How sessions and pending sign-ins are kept.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Session {
    /// The keys that seal the cookies, 32 random bytes each as base64, base64url or hex (`openssl rand -base64 32`).
    /// The first seals, all open: to change the key, put a new one first and keep the old one for one lifetime.
    #[cfg_attr(test, schemars(required, length(min = 1, max = limits::MAX_KEYS)))]
    pub(in crate::config) keys: Option<Vec<Secret>>,
    /// How many seconds a session lasts at most.
    #[cfg_attr(test, schemars(transform = limits::LIFETIME_SECONDS.shown()))]
    pub(in crate::config) lifetime_seconds: Option<u64>,
    /// How many seconds a session lasts from one request to the next, so that nobody stays signed in who has left. By
    /// default only `lifetime_seconds` counts, which it may not exceed. Its end moves in steps of a tenth.
    #[cfg_attr(test, schemars(range(min = limits::IDLE_TIMEOUT_SECONDS.min, max = limits::IDLE_TIMEOUT_SECONDS.max)))]
    pub(in crate::config) idle_timeout_seconds: Option<u64>,
    /// Whether a session is renewed with the refresh token, if the provider gives one, before its access token is over:
    /// the provider can then change what is known of somebody, or end the session. Most providers give one for the
    /// scope `offline_access`.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) refresh: Option<bool>,
    /// Keeps sessions in Redis, behind an HTTP gateway (Webdis), and only a reference in the cookie: of any size, and ended
    /// at once in every Envoy that uses the same store and keys. Without it they live in cookies.
    pub(in crate::config) store: Option<Store>,
    /// How many seconds a sign-in may take, from the first page to the way back.
    #[cfg_attr(test, schemars(transform = limits::SIGN_IN_TIMEOUT_SECONDS.shown()))]
    pub(in crate::config) sign_in_timeout_seconds: Option<u64>,
    /// What the names of our cookies begin with, after `__Host-`.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_COOKIE_NAME),
        extend("default" = limits::COOKIE_NAME)
    ))]
    pub(in crate::config) cookie_name: Option<String>,
}

fields!(Session { keys, lifetime_seconds, idle_timeout_seconds, refresh, store, sign_in_timeout_seconds, cookie_name });

/// Options of the sign-in.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct SignIn {
    /// Whether the part of a URL behind `#`, which browsers do not send, survives the sign-in: a page with a script of a
    /// few lines takes the place of the redirect.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) keep_fragment: Option<bool>,
    /// Whether a form that somebody posts on this site without a session is kept by their browser over the sign-in,
    /// and sent again once they confirm. Needs `allow_on_headers_stop_iteration`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) keep_forms: Option<bool>,
}

fields!(SignIn { keep_fragment, keep_forms });

/// What signing out does, and who else may end sessions.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct SignOut {
    /// Whether signing out here also signs out at the provider, where it has an `end_session_endpoint`. Register
    /// `/oauth2/signed_out` below the external URL as post-logout redirect URI.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) at_provider: Option<bool>,
    /// Where `/oauth2/sign_out?rd=` may lead beside this site: whole URLs, or beginnings of URLs that end in `/`.
    pub(in crate::config) return_to: Option<Vec<String>>,
    /// Whether the refresh token is revoked (RFC 7009), where the provider has a `revocation_endpoint`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) revoke: Option<bool>,
    /// Whether the provider may end sessions by posting a logout token to `/oauth2/backchannel_logout` (OpenID Connect
    /// Back-Channel Logout). Needs `allow_on_headers_stop_iteration`. Without `session.store` it counts in the Envoy that
    /// got the token.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) back_channel: Option<bool>,
    /// Whether the provider may end sessions by loading `/oauth2/frontchannel_logout` with `iss` and `sid` in a frame
    /// (OpenID Connect Front-Channel Logout). Without `session.store` it counts in the Envoy that got the request.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) front_channel: Option<bool>,
}

fields!(SignOut { at_provider, return_to, revoke, back_channel, front_channel });

/// A store of sessions: Redis behind Webdis.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Store {
    /// The Envoy cluster that reaches Webdis.
    #[cfg_attr(test, schemars(required, length(min = 1)))]
    pub(in crate::config) cluster: Option<String>,
    /// The `Host` that Webdis is asked under: `host`, or `host:port`.
    #[cfg_attr(test, schemars(extend("default" = limits::STORE_AUTHORITY)))]
    pub(in crate::config) authority: Option<String>,
    /// The whole value of the `Authorization` header, where Webdis wants one, such as `Basic dXNlcjpwYXNz`.
    pub(in crate::config) authorization: Option<Secret>,
    /// What the keys in Redis begin with: letters, digits, `-`, `_` and `:`. Apps that share a Redis need one each, or what
    /// ends sessions of one ends those of the others.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_STORE_PREFIX),
        extend("default" = limits::STORE_PREFIX)
    ))]
    pub(in crate::config) key_prefix: Option<String>,
    /// How many milliseconds a call to Webdis may take.
    #[cfg_attr(test, schemars(transform = limits::STORE_TIMEOUT_MS.shown()))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// How many seconds a worker may go on with a session that it has read. With 0 every request asks, and whatever ends
    /// a session ends it at once.
    #[cfg_attr(test, schemars(transform = limits::STORE_CACHE_SECONDS.shown()))]
    pub(in crate::config) cache_seconds: Option<u64>,
}

fields!(Store { cluster, authority, authorization, key_prefix, timeout_ms, cache_seconds });
