//! The configuration: parses a document into typed settings, or lists every fault.
//!
//! `document` parses bytes into a tree, `preset` completes its providers, `shape` reads the tree into the structs of `raw`, and `resolve` validates them
//! into the types of the rooms. Each step reports its faults and continues, so one run shows all. May import every room
//! except the flow and the filter.

mod document;
mod fault;
mod preset;
mod raw;
mod resolve;
#[cfg(test)]
mod schema;
mod shape;
#[cfg(test)]
mod tests;

use std::{rc::Rc, time::Duration};

pub use fault::{ConfigErrors, Fault, Path, Problem, Segment};

use crate::{
    claims::{IssuerId, StaticToken, Template},
    http::HeaderNames,
    oidc::token_issuer::TokenIssuer,
    origin::{Origin, Origins},
    page::look::Look,
    provider::{DEFAULT_PROVIDER, Provider},
    rules::{Authorization, Rules},
    session::{
        Lifetimes, app_tokens::ForwardedTokens, chunks::SessionCookies, return_to::Targets, seal::Sealer, store::Store,
    },
    time::Leeway,
};

/// The document with the settings of its presets filled in; `None` if it cannot be read. Faults are left to
/// [`Config::parse`].
pub fn with_presets(bytes: &[u8]) -> Option<serde_json::Value> {
    let mut faults = fault::Faults::default();
    let mut root = document::read(bytes, &mut faults).ok()?;
    preset::apply(&mut root, &mut faults);
    Some(root.into())
}

/// The validated settings.
#[derive(Clone)]
pub struct Config {
    /// The app's origins, from `external_url` and `sign_in.external_url`.
    pub origins: Rc<Origins>,
    /// The prefix of the reserved paths, `/oauth2` by default.
    pub prefix: String,
    /// The providers at which users sign in; never empty.
    pub providers: Vec<Provider>,
    /// The issuers of accepted bearer tokens.
    pub token_issuers: Vec<TokenIssuer>,
    /// Session settings: keys, lifetimes, store, cookies.
    pub session: SessionSettings,
    /// The access rules.
    pub rules: Rules,
    /// Static bearer tokens.
    pub static_tokens: Vec<Rc<StaticToken>>,
    /// The name of the cookie that may carry a bearer token.
    pub token_cookie: Option<String>,
    /// Identity headers, in the document's order.
    pub identity_headers: Vec<NamedValue>,
    /// Headers that only the filter may set: the identity headers, and the default ones, which apps may read even if
    /// they are not configured.
    pub stripped_headers: HeaderNames,
    /// Headers removed from client requests: those, and `strip_request_headers`.
    pub removed_headers: HeaderNames,
    /// Values for Envoy's filter state.
    pub filter_state: FilterState,
    /// The lines of the audit log.
    pub audit_log: AuditLog,
    /// The `Authorization` header for the app, unless a rule sets it.
    pub authorization: Authorization,
    /// The tokens that at least one rule forwards to the app.
    pub forwarded_tokens: ForwardedTokens,
    /// The claims that a session keeps: those of headers, filter state, conditions and the userinfo endpoint.
    pub kept_claims: Vec<String>,
    /// `email` and `groups`, where headers, filter state or conditions use them; their absence is logged.
    pub expected_claims: Vec<&'static str>,
    /// Whether a session keeps the attributes that the app gives: where it is asked, and they are used.
    pub keeps_attributes: bool,
    /// The claims that the path `/userinfo` of this filter returns.
    pub userinfo_claims: Vec<String>,
    /// Sign-in settings.
    pub sign_in: SignInSettings,
    /// Sign-out settings.
    pub sign_out: SignOutSettings,
    /// The look of the pages.
    pub look: Rc<Look>,
    /// The tolerated clock difference.
    pub leeway: Leeway,
    /// Warnings for the log at start: each use of `danger`, duplicate keys, ineffective settings.
    pub warnings: Vec<String>,
    /// Names the data that workers share for this app; it differs between apps.
    pub fingerprint: String,
    /// `allow_on_headers_stop_iteration`: whether Envoy passes the bodies of held requests to the filter. Envoy then
    /// limits their size.
    pub bodies_while_held: bool,
    /// Whether requests keep their credentials across Envoy's internal redirects.
    pub internal_redirects: bool,
}

impl Config {
    /// Parses the configuration: JSON text, or a serialized `google.protobuf.Struct`. `env` looks up the environment
    /// variables of secrets.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault found.
    pub fn parse(bytes: &[u8], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut faults = fault::Faults::default();
        let config = document::read(bytes, &mut faults).and_then(|mut root| {
            preset::apply(&mut root, &mut faults);
            let document = shape::read(&root, &mut faults);
            resolve::config(document, env, &mut faults)
        });
        faults.unless_any(config)
    }

    /// The provider that tokens of this issuer are from: the one with exactly this identifier, or one with such tenants.
    pub fn provider_of_issuer(&self, issuer: &str) -> Option<&Provider> {
        let exact = self.providers.iter().find(|provider| provider.issuer().as_str() == issuer);
        exact.or_else(|| self.providers.iter().find(|provider| provider.issuer().expected().may_be(issuer)))
    }

    /// The provider of this id, unless it is no longer configured.
    pub fn provider(&self, id: IssuerId) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// The provider of this name.
    pub fn provider_named(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The token issuer of this id.
    pub fn token_issuer(&self, id: IssuerId) -> Option<&TokenIssuer> {
        self.token_issuers.iter().find(|issuer| issuer.id == id)
    }

    /// The post-logout redirect URI (RP-Initiated Logout 1.0, 3) at this origin.
    pub fn signed_out_uri(&self, origin: &Origin) -> String {
        format!("{}{}/signed_out", origin.as_str(), self.prefix)
    }

    /// The URL that starts a sign-in at this origin, for scripts that receive 401.
    pub fn start_uri(&self, origin: &Origin) -> String {
        format!("{}{}/start", origin.as_str(), self.prefix)
    }

    /// The targets after a sign-in.
    pub fn return_targets(&self) -> Targets<'_> {
        Targets { reserved_prefix: &self.prefix, origins: &self.origins, listed: &self.sign_in.return_to }
    }

    /// The `redirect_uri` of this provider at this origin. Each provider has its own, against mix-up attacks (RFC 9700, 4.4.2).
    pub fn redirect_uri(&self, origin: &Origin, provider: &Provider) -> String {
        let (origin, prefix) = (origin.as_str(), &self.prefix);
        match provider.name.as_str() {
            DEFAULT_PROVIDER => format!("{origin}{prefix}/callback"),
            name => format!("{origin}{prefix}/callback/{name}"),
        }
    }
}

/// The lines of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditLog {
    /// No lines.
    None,
    /// Lines with the subject.
    WithSubject,
    /// Lines without the subject.
    WithoutSubject,
}

/// Settings of sessions and pending sign-ins.
#[derive(Clone)]
pub struct SessionSettings {
    /// The sealer under the session keys.
    pub sealer: Sealer,
    /// The lifetimes of sessions.
    pub lifetimes: Lifetimes,
    /// The session store; without one, sessions are in cookies.
    pub store: Option<Store>,
    /// The longest time from authorization request to callback.
    pub sign_in_timeout: Duration,
    /// The names of the session's cookies.
    pub cookies: SessionCookies,
    /// The prefix of the cookie names of pending sign-ins.
    pub pending_prefix: String,
    /// The name of the login loop guard's cookie.
    pub login_loop_cookie: String,
}

impl SessionSettings {
    /// Whether this is the name of a cookie of ours.
    pub fn has_cookie(&self, name: &[u8]) -> bool {
        self.cookies.has(name)
            || name.starts_with(self.pending_prefix.as_bytes())
            || name == self.login_loop_cookie.as_bytes()
    }
}

/// Sign-in settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSettings {
    /// The parameters of the start path that go into the authorization request.
    pub pass_parameters: Vec<String>,
    /// Targets after a sign-in outside of our own origins, as in [`SignOutSettings::return_to`].
    pub return_to: Vec<String>,
    /// Whether the fragment of a URL survives the sign-in.
    pub keep_fragment: bool,
    /// Whether a posted form survives the sign-in.
    pub keep_forms: bool,
}

/// Sign-out settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOutSettings {
    /// Whether signing out also ends the session at the provider.
    pub at_provider: bool,
    /// Targets after signing out in addition to our own origins: URLs, or URL prefixes that end in a slash.
    pub return_to: Vec<String>,
    /// Whether signing out revokes the refresh token (RFC 7009).
    pub revoke: bool,
    /// Whether Back-Channel Logout is enabled.
    pub back_channel: bool,
    /// Whether Front-Channel Logout is enabled.
    pub front_channel: bool,
    /// Whether a provider pushes security events.
    pub security_events: bool,
}

impl SignOutSettings {
    /// Whether providers can end sessions.
    pub const fn let_providers_end_sessions(&self) -> bool {
        self.back_channel || self.front_channel || self.security_events
    }
}

/// A header or filter state key, and the template of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedValue {
    /// The header's name in lower case, or the filter state key.
    pub name: String,
    /// The template of the value.
    pub value: Template,
}

/// Values for Envoy's other filters and logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterState {
    /// Claims by key.
    pub claims: Vec<NamedValue>,
    /// Whether the name of the deciding rule is included.
    pub rule: bool,
    /// Whether the subject is included.
    pub user: bool,
}
