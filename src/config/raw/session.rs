//! Sessions, sign-in and sign-out.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Secret,
};

/// Settings of sessions and pending sign-ins.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Session {
    /// The keys that seal the cookies: 32 random bytes each as base64, base64url or hex (`openssl rand -base64 32`).
    /// The first key seals, all keys open: to rotate, put the new key first and keep the old one for one session
    /// lifetime.
    #[cfg_attr(test, schemars(
        required, length(min = 1, max = limits::MAX_KEYS),
        extend("examples" = [[{"env": "VESTIBULE_KEY"}]])
    ))]
    pub(in crate::config) keys: Option<Vec<Secret>>,
    /// The absolute lifetime of a session, in seconds.
    #[cfg_attr(test, schemars(transform = limits::LIFETIME_SECONDS.shown(), extend("examples" = [43200])))]
    pub(in crate::config) lifetime_seconds: Option<u64>,
    /// The idle timeout: how many seconds a session lasts after a request. At most `lifetime_seconds`. By default there
    /// is no idle timeout. It is extended in steps of a tenth.
    #[cfg_attr(test, schemars(
        range(min = limits::IDLE_TIMEOUT_SECONDS.min, max = limits::IDLE_TIMEOUT_SECONDS.max),
        extend("examples" = [3600])
    ))]
    pub(in crate::config) idle_timeout_seconds: Option<u64>,
    /// Whether a session is renewed with its refresh token, if the provider issues one, before the access token
    /// expires. The provider can then update the claims or end the session. Most providers issue refresh tokens for the
    /// scope `offline_access`.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) refresh: Option<bool>,
    /// Stores sessions in Redis, behind an HTTP gateway (Webdis), with only a reference in the cookie. Sessions then
    /// have any size, and end at once in every Envoy with the same store and keys. Without it sessions are in cookies.
    pub(in crate::config) store: Option<Store>,
    /// How many seconds a sign-in may take, from the redirect to the callback.
    #[cfg_attr(test, schemars(transform = limits::SIGN_IN_TIMEOUT_SECONDS.shown(), extend("examples" = [600])))]
    pub(in crate::config) sign_in_timeout_seconds: Option<u64>,
    /// The beginning of the names of all cookies of this filter, after `__Host-`. With `cookie_domain`, the name of the
    /// session's cookie begins with `__Secure-` and ends with the domain.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_COOKIE_NAME),
        extend("default" = limits::COOKIE_NAME),
        extend("examples" = ["wiki"])
    ))]
    pub(in crate::config) cookie_name: Option<String>,
    /// A parent domain of every host in `external_url`, such as `example.com`: one session is valid at all of them.
    /// Browsers then send the session to every host below the domain, and let each of them set it. They refuse domains of
    /// the Public Suffix List. By default each host has its own sessions.
    #[cfg_attr(test, schemars(extend("examples" = ["example.com"])))]
    pub(in crate::config) cookie_domain: Option<String>,
    /// Whether the session is valid in frames on pages of other sites. With `none`, the app must send
    /// `Content-Security-Policy: frame-ancestors` with the sites that may frame it; all other requests of other sites are
    /// without the session, as with `lax`.
    #[cfg_attr(test, schemars(extend("default" = "lax")))]
    pub(in crate::config) same_site: Option<SameSite>,
    /// Whether frames on each site have a session of their own (CHIPS), for browsers that block third-party cookies. The
    /// user then signs in within the frame, and the provider must allow this. Requires `same_site: none`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) partitioned: Option<bool>,
}

fields!(Session {
    keys,
    lifetime_seconds,
    idle_timeout_seconds,
    refresh,
    store,
    sign_in_timeout_seconds,
    cookie_name,
    cookie_domain,
    same_site,
    partitioned
});

/// The requests of other sites for which the session is valid.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum SameSite {
    /// Page loads in the whole window.
    Lax,
    /// Page loads in the whole window and in frames.
    None,
}

impl Shape for SameSite {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["lax", "none"]) {
            "none" => Self::None,
            _ => Self::Lax,
        }
    }
}

/// Sign-in settings.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct SignIn {
    /// The origin at which all sign-ins take place, such as `https://auth.example.com`, so that one redirect URI serves all
    /// hosts of `external_url`. After the sign-in the browser returns to its page. Envoy must route this host to the filter
    /// too. Requires `session.cookie_domain`. By default users sign in at the host of the page.
    #[cfg_attr(test, schemars(extend("examples" = ["https://auth.example.com"])))]
    pub(in crate::config) external_url: Option<String>,
    /// Whether the fragment of a URL (after `#`, not sent by browsers) is kept over the sign-in. A page with a short script
    /// replaces the redirect.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) keep_fragment: Option<bool>,
    /// Whether the browser keeps a form that was posted without a session over the sign-in, and sends it again after the
    /// user confirms. Requires `allow_on_headers_stop_iteration`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) keep_forms: Option<bool>,
    /// Parameters that links to `/oauth2/start` may set for the authorization request, such as `login_hint`, `ui_locales`,
    /// `acr_values`, `domain_hint` or `prompt` (without `none`). Parameters that the filter or `authorization_params` sets
    /// are not replaced. By default none.
    #[cfg_attr(test, schemars(length(max = limits::MAX_PASSED), extend("examples" = [["login_hint", "ui_locales"]])))]
    pub(in crate::config) pass_parameters: Option<Vec<String>>,
    /// Targets that `/oauth2/start?rd=` may name in addition to this site, such as `myapp://signed-in`: whole URLs, or beginnings of
    /// URLs that end in `/`.
    #[cfg_attr(test, schemars(extend("examples" = [["myapp://signed-in", "https://www.example.com/"]])))]
    pub(in crate::config) return_to: Option<Vec<String>>,
}

fields!(SignIn { external_url, keep_fragment, keep_forms, pass_parameters, return_to });

/// Sign-out settings: what signing out does, and which requests of the provider end sessions.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct SignOut {
    /// Whether signing out also ends the session at the provider, if it has an `end_session_endpoint`. Register
    /// `/oauth2/signed_out` below the external URL as post-logout redirect URI.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) at_provider: Option<bool>,
    /// Targets that `/oauth2/sign_out?rd=` may name in addition to this site: whole URLs, or beginnings of URLs that
    /// end in `/`.
    #[cfg_attr(test, schemars(extend("examples" = [["https://www.example.com/"]])))]
    pub(in crate::config) return_to: Option<Vec<String>>,
    /// Whether signing out revokes the refresh token (RFC 7009), if the provider has a `revocation_endpoint`.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) revoke: Option<bool>,
    /// Whether the provider may end sessions with a logout token posted to `/oauth2/backchannel_logout` (OpenID Connect
    /// Back-Channel Logout). Requires `allow_on_headers_stop_iteration`. Without `session.store` it takes effect only
    /// in the Envoy that receives the token.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) back_channel: Option<bool>,
    /// Whether the provider may end sessions by loading `/oauth2/frontchannel_logout` with `iss` and `sid` in a frame
    /// (OpenID Connect Front-Channel Logout). Without `session.store` it takes effect only in the Envoy that receives
    /// the request.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) front_channel: Option<bool>,
}

fields!(SignOut { at_provider, return_to, revoke, back_channel, front_channel });

/// A session store: Redis behind Webdis.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Store {
    /// The Envoy cluster that reaches Webdis.
    #[cfg_attr(test, schemars(required, length(min = 1), extend("examples" = ["webdis"])))]
    pub(in crate::config) cluster: Option<String>,
    /// The `Host` of requests to Webdis: `host`, or `host:port`.
    #[cfg_attr(test, schemars(extend("default" = limits::STORE_AUTHORITY), extend("examples" = ["webdis:7379"])))]
    pub(in crate::config) authority: Option<String>,
    /// The whole value of the `Authorization` header for Webdis, if it requires one, such as `Basic dXNlcjpwYXNz`.
    #[cfg_attr(test, schemars(extend("examples" = [{"env": "WEBDIS_AUTHORIZATION"}])))]
    pub(in crate::config) authorization: Option<Secret>,
    /// The prefix of the keys in Redis: letters, digits, `-`, `_` and `:`. Apps that share a Redis need different
    /// prefixes; otherwise the end of a session in one app ends sessions in the others.
    #[cfg_attr(test, schemars(
        length(min = 1, max = limits::MAX_STORE_PREFIX),
        extend("default" = limits::STORE_PREFIX),
        extend("examples" = ["wiki:"])
    ))]
    pub(in crate::config) key_prefix: Option<String>,
    /// The timeout of a request to Webdis, in milliseconds.
    #[cfg_attr(test, schemars(transform = limits::STORE_TIMEOUT_MS.shown(), extend("examples" = [500])))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// How many seconds a worker may use a session that it has read, without reading it again. With 0 every request
    /// reads it, and an ended session ends at once.
    #[cfg_attr(test, schemars(transform = limits::STORE_CACHE_SECONDS.shown(), extend("examples" = [5])))]
    pub(in crate::config) cache_seconds: Option<u64>,
}

fields!(Store { cluster, authority, authorization, key_prefix, timeout_ms, cache_seconds });
