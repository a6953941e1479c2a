//! Sessions and sign-ins in sealed cookies, which the browser can neither read nor change.

pub mod absent;
pub mod app_tokens;
pub mod chunks;
pub mod cookie;
pub mod login_loop_guard;
pub mod open;
pub mod pending;
pub mod return_to;
pub mod seal;
pub mod store;

mod lifetimes;
mod sealed;
mod writing;

pub use lifetimes::{END_LISTS, EarlierEnds, End, EndOf, Grant, Lifetimes, MIN_TOKEN_LIFE};
pub use seal::SealError;
pub use writing::{CookieWriter, OptionalToken, SealedSession};

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    claims::{Claim, Claims, IssuerId, ObjectKeys},
    digest::{HalfDigest, half_digest},
    oidc::{
        id_token::{Authentication, VerifiedIdToken},
        userinfo::Userinfo,
    },
    origin::SiteId,
    platform::{NoRandomness, Platform},
    provider::identity::Identity,
    provisioning::ATTRIBUTES,
    secret::{RawIdToken, RefreshToken},
    time::UnixTime,
};
use absent::Absent;
use app_tokens::AppToken;

/// The id of a session: 128 random bits, new at every sign-in against session fixation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The digest of the id, for places that must not hold the id itself.
    pub fn digest(&self) -> HalfDigest {
        half_digest("session", &[&self.0])
    }
}

/// A session: an identity that a provider has authenticated, and its lifetime. Sealed into cookies or a store.
#[derive(Debug, Clone)]
pub struct Session {
    id: SessionId,
    provider: IssuerId,
    subject: String,
    claims: Map<String, Value>,
    /// Claims of the userinfo endpoint. Every renewal replaces them, also one without an ID token.
    userinfo_claims: Map<String, Value>,
    /// Claims of the app: [`ATTRIBUTES`] alone, where the app was asked and they are used.
    app_claims: Map<String, Value>,
    /// Kept claims that neither `claims` nor `userinfo_claims` has.
    absent: Absent,
    begun: UnixTime,
    /// The absolute end.
    ends: UnixTime,
    /// The time of the last write, after a request.
    seen: UnixTime,
    authentication: Authentication,
    generation: u32,
    grant: Option<Grant>,
    app_token: Option<AppToken>,
    /// The ID token, as `id_token_hint` of the sign-out and for the app.
    id_token: Option<RawIdToken>,
    id_token_ends: UnixTime,
    /// The ends issued before the session began; `None` in sessions of earlier versions.
    earlier_ends: Option<EarlierEnds>,
    /// The only site at which it counts; [`SiteId::HOME`] where its cookies are those of a domain, and it counts at each.
    site: SiteId,
}

/// The claims that a session keeps.
#[derive(Debug, Clone, Copy)]
pub struct KeptClaims<'a> {
    /// Their names.
    pub names: &'a [String],
    /// The objects among them that are kept as the list of their keys.
    pub object_keys: &'a ObjectKeys,
}

/// The values of a new session, beside the identity.
pub struct NewSession<'a> {
    /// The provider.
    pub provider: IssuerId,
    /// [`Provider::claims_request`](crate::provider::Provider::claims_request) of the sign-in.
    pub claims_request: HalfDigest,
    /// The kept claims.
    pub kept: KeptClaims<'a>,
    /// The current time.
    pub now: UnixTime,
    /// The absolute lifetime.
    pub lifetime: Duration,
    /// The refresh token and its times.
    pub grant: Option<Grant>,
    /// The access token, if it is forwarded to the app.
    pub app_token: Option<AppToken>,
    /// The ID token, if it is forwarded to the app or sent to the end-session endpoint.
    pub id_token: Option<RawIdToken>,
    /// The expiry of the ID token.
    pub id_token_ends: UnixTime,
    /// The site at which it counts.
    pub site: SiteId,
}

/// The result of a refresh.
pub struct Renewal<'a> {
    /// The new ID token, if any: its claims replace the old ones, including those that it lacks.
    pub id_token: Option<(&'a VerifiedIdToken, RawIdToken)>,
    /// The claims of the userinfo endpoint, if it was queried.
    pub userinfo: Option<Userinfo>,
    /// The kept claims.
    pub kept: KeptClaims<'a>,
    /// The new refresh token, if the provider rotates them.
    pub refresh_token: Option<RefreshToken>,
    /// The time until the next renewal.
    pub life: Option<Duration>,
    /// The new access token, if it is forwarded to the app.
    pub app_token: Option<AppToken>,
    /// Whether the ID token is forwarded to the app, which may have been configured after the sign-in.
    pub wants_id_token: bool,
    /// The current time.
    pub now: UnixTime,
}

impl Session {
    /// Begins a session of this identity.
    ///
    /// # Errors
    /// [`NoRandomness`] if the platform has none.
    pub fn begin(identity: Identity, with: NewSession<'_>, platform: &dyn Platform) -> Result<Self, NoRandomness> {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        let claims = kept_claims(identity.claims(), with.kept);
        let userinfo_claims = userinfo_claims(identity.userinfo(), identity.claims(), with.kept);
        Ok(Self {
            id: SessionId(id),
            provider: with.provider,
            subject: identity.subject().to_owned(),
            absent: Absent {
                names: absent_names(with.kept.names, [&claims, &userinfo_claims]),
                claims_request: with.claims_request,
                userinfo: identity.userinfo().is_some(),
            },
            claims,
            userinfo_claims,
            app_claims: Map::new(),
            begun: with.now,
            ends: with.now.plus(with.lifetime),
            seen: with.now,
            authentication: identity.into_authentication(),
            generation: 0,
            grant: with.grant,
            app_token: with.app_token,
            id_token: with.id_token,
            id_token_ends: with.id_token_ends,
            earlier_ends: None,
            site: with.site,
        })
    }

    /// The same session, renewed.
    #[must_use]
    pub fn renewed(&self, by: Renewal<'_>) -> Self {
        let mut session = Self { seen: by.now, generation: self.generation.saturating_add(1), ..self.clone() };
        let userinfo = by.userinfo.as_ref();
        if let Some((verified, raw)) = by.id_token {
            session.id_token = (by.wants_id_token || self.id_token.is_some()).then_some(raw);
            session.id_token_ends = verified.claims().expires_at();
            let claims = verified.claims().all();
            session.claims = kept_claims(claims, by.kept);
            session.keep_authentication(&self.claims);
            session.userinfo_claims = userinfo_claims(userinfo, claims, by.kept);
            session.absent.names = absent_names(by.kept.names, [&session.claims, &session.userinfo_claims]);
        } else {
            // Whether the ID token had a newly kept claim is unknown.
            let kept: Vec<_> = by.kept.names.iter().filter(|name| self.has_kept(name)).cloned().collect();
            let with = KeptClaims { names: &kept, ..by.kept };
            session.userinfo_claims = userinfo_claims(userinfo, &self.claims, with);
            session.absent.names = absent_names(&kept, [&session.claims, &session.userinfo_claims]);
        }
        session.absent.userinfo = userinfo.is_some();
        session.app_token = by.app_token;
        let old = self.grant.as_ref().map(|grant| grant.refresh_token.clone());
        session.grant = by.refresh_token.or(old).map(|token| Grant::new(token, by.life, by.now));
        session
    }

    /// Takes over the old `auth_time`, and the old `acr` where the new ID token has none: a refresh authenticates nobody (OIDC Core
    /// 12.2).
    fn keep_authentication(&mut self, old: &Map<String, Value>) {
        self.claims.remove("auth_time");
        let kept = ["acr", "auth_time"].into_iter().filter_map(|name| Some((name, old.get(name)?)));
        for (name, value) in kept {
            self.claims.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// Whether the configuration of the sign-in kept this claim.
    fn has_kept(&self, name: &String) -> bool {
        self.claim(name).is_some() || self.absent.names.contains(name)
    }

    /// The same session with a rotated refresh token: the old one is used up, even if the rest of the response is
    /// invalid.
    #[must_use]
    pub fn with_refresh_token(&self, token: RefreshToken) -> Self {
        let grant = self.grant.clone().map(|grant| grant.with(token));
        Self { generation: self.generation.saturating_add(1), grant, ..self.clone() }
    }

    /// Sets what the app says of the user, as the claim [`ATTRIBUTES`].
    pub fn set_attributes(&mut self, attributes: Map<String, Value>, object_keys: &ObjectKeys) {
        let attributes = object_keys.with_key_lists(ATTRIBUTES, Value::Object(attributes));
        self.app_claims.insert(ATTRIBUTES.to_owned(), attributes);
    }

    /// The same session with a new idle timeout.
    #[must_use]
    pub fn seen_at(&self, now: UnixTime) -> Self {
        Self { seen: now, ..self.clone() }
    }

    /// The provider.
    pub const fn provider(&self) -> IssuerId {
        self.provider
    }

    /// The site at which it counts.
    pub const fn site(&self) -> &SiteId {
        &self.site
    }

    /// Whether its sign-in is less than this ago.
    pub fn is_younger_than(&self, age: Duration, now: UnixTime) -> bool {
        now < self.begun.plus(age)
    }

    /// The subject (`sub`).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The authentication claims of the first ID token.
    pub const fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The refresh token, if there is one.
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.grant.as_ref().map(|grant| &grant.refresh_token)
    }

    /// The ID token, if it was kept.
    pub const fn id_token(&self) -> Option<&RawIdToken> {
        self.id_token.as_ref()
    }

    /// Whether it was refreshed more often than the other state of the session.
    pub const fn is_newer_than(&self, other: &Self) -> bool {
        self.generation > other.generation
    }

    /// The digest of its id.
    pub fn digest(&self) -> HalfDigest {
        self.id.digest()
    }

    /// The digest of its id and its generation: it names one refresh token.
    pub fn grant_digest(&self) -> HalfDigest {
        half_digest("grant", &[&self.id.0, &self.generation.to_le_bytes()])
    }
}

/// The kept claims, and `sub`. A claim in both sources of the provider comes from `userinfo_claims`, which merges the two.
impl Claims for Session {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        if name == "sub" {
            return Some(Claim::Text(&self.subject));
        }
        let of_provider = || self.userinfo_claims.get(name).or_else(|| self.claims.get(name));
        self.app_claims.get(name).or_else(of_provider).map(Claim::Json)
    }

    fn issuer(&self) -> Option<IssuerId> {
        Some(self.provider)
    }
}

/// The kept names without a claim.
fn absent_names(kept: &[String], claims: [&Map<String, Value>; 2]) -> Vec<String> {
    kept.iter().filter(|name| !claims.iter().any(|claims| claims.contains_key(*name))).cloned().collect()
}

fn kept_claims(all: &Map<String, Value>, kept: KeptClaims<'_>) -> Map<String, Value> {
    select_claims(kept, &|name| all.get(name).cloned())
}

fn userinfo_claims(
    userinfo: Option<&Userinfo>,
    beside: &Map<String, Value>,
    kept: KeptClaims<'_>,
) -> Map<String, Value> {
    select_claims(kept, &|name| userinfo?.claim(name, beside))
}

fn select_claims(kept: KeptClaims<'_>, value: &dyn Fn(&str) -> Option<Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    for name in kept.names.iter().filter(|name| *name != "sub") {
        claims.extend(value(name).map(|value| (name.clone(), kept.object_keys.with_key_lists(name, value))));
    }
    claims
}

#[cfg(test)]
mod tests;
