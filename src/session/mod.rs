//! What the browser carries: sealed cookies, and nothing it could read or change.

pub mod absent;
pub mod chunks;
pub mod cookie;
pub mod handed;
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
pub use writing::{Optional, SealedSession, Writing};

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    claims::{Claim, Claims, IssuerId},
    digest::{HalfDigest, half_digest},
    oidc::{
        id_token::{Authentication, VerifiedIdToken},
        userinfo::Userinfo,
    },
    platform::{NoRandomness, Platform},
    provider::identity::Identity,
    secret::{RawIdToken, RefreshToken},
    time::UnixTime,
};
use absent::Absent;
use handed::AppToken;

/// Names a session: new at every sign-in, so that none can be planted (session fixation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// By what the session is known where its name must not be written down.
    pub fn digest(&self) -> HalfDigest {
        half_digest("session", &[&self.0])
    }
}

/// Who is signed in, and until when. It begins of an identity that a provider vouched for, and lives in sealed cookies.
#[derive(Debug, Clone)]
pub struct Session {
    id: SessionId,
    provider: IssuerId,
    subject: String,
    claims: Map<String, Value>,
    /// What the userinfo endpoint says beside. It is replaced with every renewal, also by one without an ID token.
    further: Map<String, Value>,
    /// The claims that neither `claims` nor `further` has.
    absent: Absent,
    begun: UnixTime,
    /// The end, whatever happens.
    ends: UnixTime,
    /// When it was last written, which a request made it.
    seen: UnixTime,
    authentication: Authentication,
    /// Counts the refreshes.
    generation: u32,
    grant: Option<Grant>,
    /// For the app.
    app_token: Option<AppToken>,
    /// For the provider's sign-out, and for the app.
    id_token: Option<RawIdToken>,
    id_token_ends: UnixTime,
    /// The ends that came before it; `None` in sessions of earlier versions.
    earlier_ends: Option<EarlierEnds>,
}

/// What a session is begun with, beside the identity.
pub struct Beginning<'a> {
    /// At whose.
    pub provider: IssuerId,
    /// [`Provider::claims_request`](crate::provider::Provider::claims_request) of the sign-in.
    pub claims_request: HalfDigest,
    /// Which claims are carried along.
    pub kept: &'a [String],
    /// Now.
    pub now: UnixTime,
    /// How long it lasts at most.
    pub lifetime: Duration,
    /// What renews it.
    pub grant: Option<Grant>,
    /// The access token, where the app wants it.
    pub app_token: Option<AppToken>,
    /// The ID token itself, where the app or the provider's sign-out wants it.
    pub id_token: Option<RawIdToken>,
    /// When that ends.
    pub id_token_ends: UnixTime,
}

/// What a refresh brought.
pub struct Renewal<'a> {
    /// A new ID token, where the provider sent one: its claims replace the old ones, and what it leaves out is gone.
    pub id_token: Option<(&'a VerifiedIdToken, RawIdToken)>,
    /// What the userinfo endpoint says, where it was asked.
    pub userinfo: Option<Userinfo>,
    /// Which claims are carried along.
    pub kept: &'a [String],
    /// A new refresh token, where the old one was used up.
    pub refresh_token: Option<RefreshToken>,
    /// How long it is until the next renewal is due.
    pub life: Option<Duration>,
    /// The new access token, where the app wants it.
    pub app_token: Option<AppToken>,
    /// Whether the app wants the ID token: whoever signed in before it did may have none.
    pub wants_id_token: bool,
    /// Now.
    pub now: UnixTime,
}

impl Session {
    /// The session of whoever this is.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn begin(identity: Identity, with: Beginning<'_>, platform: &dyn Platform) -> Result<Self, NoRandomness> {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        let claims = kept_claims(identity.claims(), with.kept);
        let further = further_claims(identity.userinfo(), identity.claims(), with.kept);
        Ok(Self {
            id: SessionId(id),
            provider: with.provider,
            subject: identity.subject().to_owned(),
            absent: Absent {
                names: absent_names(with.kept, [&claims, &further]),
                claims_request: with.claims_request,
                userinfo: identity.userinfo().is_some(),
            },
            claims,
            further,
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
            session.further = further_claims(userinfo, claims, by.kept);
            session.absent.names = absent_names(by.kept, [&session.claims, &session.further]);
        } else {
            // For a claim that is newly kept, it is unknown whether the ID token had it.
            let kept: Vec<_> = by.kept.iter().filter(|name| self.has_kept(name)).cloned().collect();
            session.further = further_claims(userinfo, &self.claims, &kept);
            session.absent.names = absent_names(&kept, [&session.claims, &session.further]);
        }
        session.absent.userinfo = userinfo.is_some();
        session.app_token = by.app_token;
        let old = self.grant.as_ref().map(|grant| grant.refresh_token.clone());
        session.grant = by.refresh_token.or(old).map(|token| Grant::new(token, by.life, by.now));
        session
    }

    /// Whether its configuration kept this claim.
    fn has_kept(&self, name: &String) -> bool {
        self.claim(name).is_some() || self.absent.names.contains(name)
    }

    /// The same session with another refresh token: the provider has used up the one before, whatever else it said.
    #[must_use]
    pub fn with_refresh_token(&self, token: RefreshToken) -> Self {
        let grant = self.grant.clone().map(|grant| grant.with(token));
        Self { generation: self.generation.saturating_add(1), grant, ..self.clone() }
    }

    /// The same session, seen now.
    #[must_use]
    pub fn seen_at(&self, now: UnixTime) -> Self {
        Self { seen: now, ..self.clone() }
    }

    /// At whose.
    pub const fn provider(&self) -> IssuerId {
        self.provider
    }

    /// Who it is, as the provider numbers them.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What the first ID token said of the sign-in.
    pub const fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The refresh token, if there is one.
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.grant.as_ref().map(|grant| &grant.refresh_token)
    }

    /// The ID token, where it was kept.
    pub const fn id_token(&self) -> Option<&RawIdToken> {
        self.id_token.as_ref()
    }

    /// Whether it was renewed more often than the other state of it.
    pub const fn is_newer_than(&self, other: &Self) -> bool {
        self.generation > other.generation
    }

    /// Names this session.
    pub fn digest(&self) -> HalfDigest {
        self.id.digest()
    }

    /// Names this session with this refresh token of it.
    pub fn grant_digest(&self) -> HalfDigest {
        half_digest("grant", &[&self.id.0, &self.generation.to_le_bytes()])
    }
}

/// Those that were kept; `sub` always is. What both sources have, `further` has with what the ID token says of it.
impl Claims for Session {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        if name == "sub" {
            return Some(Claim::Text(&self.subject));
        }
        self.further.get(name).or_else(|| self.claims.get(name)).map(Claim::Json)
    }

    fn issuer(&self) -> Option<IssuerId> {
        Some(self.provider)
    }
}

/// The names of kept claims that neither of these has.
fn absent_names(kept: &[String], claims: [&Map<String, Value>; 2]) -> Vec<String> {
    kept.iter().filter(|name| !claims.iter().any(|claims| claims.contains_key(*name))).cloned().collect()
}

fn kept_claims(all: &Map<String, Value>, kept: &[String]) -> Map<String, Value> {
    those_of(kept, &|name| all.get(name).cloned())
}

fn further_claims(userinfo: Option<&Userinfo>, beside: &Map<String, Value>, kept: &[String]) -> Map<String, Value> {
    those_of(kept, &|name| userinfo?.claim(name, beside))
}

fn those_of(kept: &[String], value: &dyn Fn(&str) -> Option<Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    for name in kept.iter().filter(|name| *name != "sub") {
        claims.extend(value(name).map(|value| (name.clone(), value)));
    }
    claims
}

#[cfg(test)]
mod tests;
