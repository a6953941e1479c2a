//! What the browser carries: sealed cookies, and nothing it could read or change.

pub mod chunks;
pub mod cookie;
pub mod handed;
pub mod open;
pub mod pending;
pub mod return_to;
pub mod seal;
pub mod store;
pub mod trail;

mod sealed;

use crate::{
    claims::IssuerId,
    digest::{HalfDigest, half_digest},
};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    claims::{Claim, Claims},
    oidc::{
        id_token::{Authentication, VerifiedIdToken},
        identity::Identity,
        userinfo::Userinfo,
    },
    platform::{NoRandomness, Platform},
    secret::{RawIdToken, RefreshToken},
    time::{Leeway, UnixTime},
};
use chunks::{Present, SessionCookies};
use handed::AppToken;
use seal::{Purpose, Sealer, sealed_len};

/// How long before its end an access token is renewed, as a part of its life.
const AHEAD: u32 = 5;
/// And at most.
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// An access token counts as good for this long at least, whatever the provider says: one that is over at once must
/// not make every request a refresh.
const MIN_TOKEN_LIFE: Duration = Duration::from_secs(30);
/// How long it counts where nobody says.
const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The idle timeout slides in steps of this part of it: not every answer sets a cookie.
const IDLE_STEP: u32 = 10;

/// How far the clocks of Envoys that share keys may be apart: what ends sessions that have begun is compared by them.
const SKEW: Duration = Duration::from_secs(2);

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
}

/// What renews a session: a refresh token, and how long the access token that came with it is good.
#[derive(Debug, Clone)]
pub struct Grant {
    refresh_token: RefreshToken,
    granted: UnixTime,
    expires: UnixTime,
    /// When it is renewed; worked out once, and asked with every request.
    due: UnixTime,
}

impl Grant {
    /// A grant of now.
    pub fn new(refresh_token: RefreshToken, life: Option<Duration>, now: UnixTime) -> Self {
        let life = life.unwrap_or(DEFAULT_TOKEN_LIFE).max(MIN_TOKEN_LIFE);
        Self::from_to(refresh_token, now, now.plus(life))
    }

    fn from_to(refresh_token: RefreshToken, granted: UnixTime, expires: UnixTime) -> Self {
        let ahead = expires.since(granted).checked_div(AHEAD).unwrap_or_default().min(MAX_AHEAD);
        Self { refresh_token, granted, expires, due: expires.minus(ahead) }
    }
}

/// What a session is begun with, beside the identity.
pub struct Beginning<'a> {
    /// At whose.
    pub provider: IssuerId,
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

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// From the sign-in, whatever happens.
    pub absolute: Duration,
    /// From one request to the next.
    pub idle: Option<Duration>,
    /// Whether refresh tokens are used.
    pub refresh: bool,
}

impl Session {
    /// The session of whoever this is.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn begin(identity: Identity, with: Beginning<'_>, platform: &dyn Platform) -> Result<Self, NoRandomness> {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        Ok(Self {
            id: SessionId(id),
            provider: with.provider,
            subject: identity.subject().to_owned(),
            claims: kept_claims(identity.claims(), with.kept),
            further: further_claims(identity.userinfo(), identity.claims(), with.kept),
            begun: with.now,
            ends: with.now.plus(with.lifetime),
            seen: with.now,
            authentication: identity.into_authentication(),
            generation: 0,
            grant: with.grant,
            app_token: with.app_token,
            id_token: with.id_token,
            id_token_ends: with.id_token_ends,
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
        } else {
            session.further = further_claims(userinfo, &self.claims, by.kept);
        }
        session.app_token = by.app_token;
        let old = self.grant.as_ref().map(|grant| grant.refresh_token.clone());
        session.grant = by.refresh_token.or(old).map(|token| Grant::new(token, by.life, by.now));
        session
    }

    /// The same session with another refresh token: the provider has used up the one before, whatever else it said.
    #[must_use]
    pub fn with_refresh_token(&self, token: RefreshToken) -> Self {
        let grant = self.grant.clone().map(|grant| Grant { refresh_token: token, ..grant });
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

    /// Whether it had begun by then, by a clock that may go a little differently.
    pub fn had_begun(&self, by: UnixTime) -> bool {
        self.begun <= by.plus(SKEW)
    }

    /// Makes it one that begins after this moment, by every such clock.
    pub fn begin_after(&mut self, moment: UnixTime) {
        self.begun = self.begun.max(moment.plus(SKEW).plus(Duration::from_secs(1)));
    }

    /// Whether the access token is over.
    pub fn is_token_over(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.expires <= now)
    }

    /// When it ends, if nothing happens until then.
    pub fn ends(&self, lifetimes: &Lifetimes) -> UnixTime {
        let absolute = self.ends.min(self.begun.plus(lifetimes.absolute));
        lifetimes.idle.map_or(absolute, |idle| absolute.min(self.seen.plus(idle)))
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

    /// Whether its time has begun and is not over. A clock that was set back must not bring ended sessions to life, so
    /// one from farther ahead than clocks may differ does not count.
    fn is_fresh(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        let ahead = Duration::from_secs(Leeway::MAX_SECS);
        self.begun <= now.plus(ahead) && self.seen <= now.plus(ahead) && now < self.ends(lifetimes)
    }

    fn is_due(&self, now: UnixTime) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.due <= now)
    }

    fn wants_to_slide(&self, lifetimes: &Lifetimes, now: UnixTime) -> bool {
        let step = lifetimes.idle.and_then(|idle| idle.checked_div(IDLE_STEP));
        step.is_some_and(|step| self.seen.plus(step.max(Duration::from_secs(1))) <= now)
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

/// A session sealed for its browser.
#[derive(Debug)]
pub struct SealedSession {
    /// The `Set-Cookie` lines.
    pub cookies: Vec<String>,
    /// What had to be left out so that it fits.
    pub left_out: Vec<Optional>,
}

/// How sessions are written into cookies.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// The cookies.
    pub cookies: &'a SessionCookies,
    /// Which of them this browser has.
    pub present: Present,
    /// How long sessions last.
    pub lifetimes: &'a Lifetimes,
    /// Seals.
    pub sealer: &'a Sealer,
    /// Now.
    pub now: UnixTime,
}

/// What a session can do without: the ID token is left out first, the refresh token last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optional {
    /// The access token, which the app then does not get.
    AccessToken,
    /// The ID token, which the app then does not get either; the provider's sign-out asks the person.
    IdToken,
    /// The refresh token: the session then lasts its time without being renewed.
    RefreshToken,
}

/// Why there is no cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No randomness.
    #[error("{0}")]
    NoRandomness(#[from] NoRandomness),
    /// Too large, with all left out that can be.
    #[error("the session takes {size} bytes, and there is room for {budget}")]
    TooLarge {
        /// What it takes.
        size: usize,
        /// What there is.
        budget: usize,
    },
}

impl Session {
    /// Seals the session for its cookies. What does not fit is first made smaller (see [`Optional`]); a cookie that
    /// the browser would drop is never made: that would be a loop.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn seal(&self, to: &Writing<'_>, platform: &dyn Platform) -> Result<SealedSession, SealError> {
        let mut session = self.clone();
        let mut left_out = Vec::new();
        let max_age = self.ends(to.lifetimes).since(to.now);
        loop {
            let bytes = sealed::encode(&session, platform);
            let size = sealed_len(bytes.len());
            if let Some(count) = to.cookies.count_for(size, max_age) {
                let text = to.sealer.seal(Purpose::Session, &to.cookies.label(count), &bytes, platform)?;
                return Ok(SealedSession { cookies: to.cookies.set(&text, count, max_age, to.present), left_out });
            }
            if session.id_token.take().is_some() {
                left_out.push(Optional::IdToken);
            } else if session.app_token.take().is_some() {
                left_out.push(Optional::AccessToken);
            } else if session.grant.take().is_some() {
                left_out.push(Optional::RefreshToken);
            } else {
                return Err(SealError::TooLarge { size, budget: to.cookies.budget(max_age) });
            }
        }
    }

    fn open(
        cookies: &SessionCookies,
        brought: &chunks::Brought<'_>,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Option<Self> {
        let bytes = sealer.open(Purpose::Session, &cookies.label(brought.count), &brought.text)?;
        sealed::decode(&bytes, platform)
    }

    /// Writes the session for somebody who seals it otherwise.
    pub fn to_bytes(&self, platform: &dyn Platform) -> zeroize::Zeroizing<Vec<u8>> {
        sealed::encode(self, platform)
    }

    /// Reads what [`Self::to_bytes`] wrote; only what we sealed ourselves may come here.
    pub fn from_bytes(bytes: &[u8], platform: &dyn Platform) -> Option<Self> {
        sealed::decode(bytes, platform)
    }
}
