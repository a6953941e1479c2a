//! The configuration: a document in, typed settings out, or every fault at once.
//!
//! `document` turns bytes into a tree, `shape` lays the tree over the structs of `raw`, and `resolve` makes the types of
//! the rooms from them. Each step reports its faults and goes on, so that one run shows them all. May import every room
//! but the flow and the filter; no room imports it.

mod document;
mod fault;
mod raw;
mod resolve;
#[cfg(test)]
mod schema;
mod shape;
#[cfg(test)]
mod tests;

use std::{rc::Rc, time::Duration};

pub use fault::{ConfigErrors, Fault, Path, Problem};

use crate::{
    claims::{IssuerId, StaticToken, Template},
    http::Origin,
    oidc::token_issuer::TokenIssuer,
    provider::{DEFAULT_PROVIDER, Provider},
    rules::{Authorization, Rules},
    session::{Lifetimes, chunks::SessionCookies, handed::HandedOn, seal::Sealer, store::Store},
    time::Leeway,
};

/// Everything the operator decided, in types that cannot be wrong.
#[derive(Clone)]
pub struct Config {
    /// Our own origin.
    pub origin: Origin,
    /// The prefix of the reserved paths: `/oauth2`.
    pub prefix: String,
    /// The providers that people sign in at; never empty.
    pub providers: Vec<Provider>,
    /// Those whose tokens are taken from programs.
    pub token_issuers: Vec<TokenIssuer>,
    /// Session settings.
    pub session: SessionSettings,
    /// Who gets what.
    pub rules: Rules,
    /// The tokens of programs that are known by themselves.
    pub static_tokens: Vec<Rc<StaticToken>>,
    /// The cookie in which a token may be, too.
    pub token_cookie: Option<String>,
    /// What goes into which header, in the document's order.
    pub identity_headers: Vec<NamedValue>,
    /// Every header that a client may not say who it is by: those above, and the default ones, which apps look for
    /// whether or not anybody configured them.
    pub stripped_headers: Vec<String>,
    /// What goes into Envoy's filter state.
    pub filter_state: FilterState,
    /// What the app gets in `Authorization` where no rule says otherwise.
    pub authorization: Authorization,
    /// Which tokens apps want, by any rule.
    pub handed_on: HandedOn,
    /// The claims that a session carries: those of headers, filter state, conditions and the userinfo endpoint.
    pub kept_claims: Vec<String>,
    /// The claims that the userinfo endpoint shows.
    pub userinfo_claims: Vec<String>,
    /// How people sign in.
    pub sign_in: SignInSettings,
    /// How they sign out.
    pub sign_out: SignOutSettings,
    /// How far clocks may disagree.
    pub leeway: Leeway,
    /// What the operator should be told at start: each use of `danger`, and each key that is there twice.
    pub warnings: Vec<String>,
    /// Names what this configuration shares between workers: another app, another name.
    pub fingerprint: String,
    /// Whether Envoy hands over the bodies of requests that are held, as the operator says: it then keeps only so much.
    pub bodies_while_held: bool,
    /// Whether requests keep their credentials over Envoy's internal redirects.
    pub internal_redirects: bool,
}

impl Config {
    /// Reads the configuration: JSON text, or a serialized `google.protobuf.Struct`. `env` is asked for the variables
    /// that secrets name.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every fault found.
    pub fn parse(bytes: &[u8], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut faults = fault::Faults::default();
        let config = document::read(bytes, &mut faults).and_then(|root| {
            let document = shape::read(&root, &mut faults);
            resolve::config(document, env, &mut faults)
        });
        faults.unless_any(config)
    }

    /// The provider of this id; one that is configured no more is none.
    pub fn provider(&self, id: IssuerId) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// The provider of this name.
    pub fn provider_named(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The issuer of this id, whose tokens are taken.
    pub fn token_issuer(&self, id: IssuerId) -> Option<&TokenIssuer> {
        self.token_issuers.iter().find(|issuer| issuer.id == id)
    }

    /// Where the provider sends people once they are signed out there.
    pub fn signed_out_uri(&self) -> String {
        format!("{}{}/signed_out", self.origin.as_str(), self.prefix)
    }

    /// Where a sign-in starts, for scripts that were told they need one.
    pub fn start_uri(&self) -> String {
        format!("{}{}/start", self.origin.as_str(), self.prefix)
    }

    /// The one `redirect_uri` that this provider ever gets. Each has another, so that none can be taken for another
    /// (mix-up: RFC 9700, 4.4.2).
    pub fn redirect_uri(&self, provider: &Provider) -> String {
        let (origin, prefix) = (self.origin.as_str(), &self.prefix);
        match provider.name.as_str() {
            DEFAULT_PROVIDER => format!("{origin}{prefix}/callback"),
            name => format!("{origin}{prefix}/callback/{name}"),
        }
    }
}

/// How sessions and pending sign-ins are kept.
#[derive(Clone)]
pub struct SessionSettings {
    /// Seals and opens.
    pub sealer: Sealer,
    /// How long sessions last.
    pub lifetimes: Lifetimes,
    /// Where sessions are kept, if not in cookies.
    pub store: Option<Store>,
    /// How long a sign-in may take.
    pub sign_in_timeout: Duration,
    /// The session's cookies.
    pub cookies: SessionCookies,
    /// What the names of the cookies of pending sign-ins begin with.
    pub pending_prefix: String,
    /// The name of the cookie of recent sign-ins.
    pub login_loop_cookie: String,
}

/// How people sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInSettings {
    /// Whether the fragment of a URL survives.
    pub keep_fragment: bool,
    /// Whether a form survives.
    pub keep_forms: bool,
}

/// How they sign out, and who else may end sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOutSettings {
    /// Whether they are signed out at the provider too.
    pub at_provider: bool,
    /// Where they may be sent afterwards beside our own origin: URLs, or beginnings that end in a slash.
    pub return_to: Vec<String>,
    /// Whether the refresh token is revoked.
    pub revoke: bool,
    /// Whether back-channel logout is there.
    pub back_channel: bool,
    /// Whether front-channel logout is there.
    pub front_channel: bool,
}

/// What is told of whoever is there, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedValue {
    /// The header's name, in lower case, or the key.
    pub name: String,
    /// What it says.
    pub value: Template,
}

/// What is told to Envoy's other filters and logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterState {
    /// What goes under which key.
    pub claims: Vec<NamedValue>,
    /// Whether the name of the rule goes there.
    pub rule: bool,
}
