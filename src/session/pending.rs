//! Pending sign-ins: a short-lived cookie that binds the sign-in to its browser, and the `state` parameter. Sign-ins
//! are independent, so several tabs may sign in at once.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    cookie::HOST_PREFIX,
    return_to::{ReturnTo, Targets},
    seal::{Purpose, SealError, Sealer, sealed_len},
};
use crate::{
    claims::{IssuerId, StepUpId},
    oidc::authorization::StateMatched,
    origin::SiteId,
    platform::{NoRandomness, Platform, draw},
    secret::{Nonce, PkceVerifier},
    time::{Leeway, UnixTime},
    wire::{
        self, Field,
        Value::{self, Bytes, Number},
    },
};

/// The most pending sign-ins of a browser; one more ends the oldest.
pub const MAX_PENDING: usize = 5;

/// Consecutive automatic restarts of a sign-in before a page explains possible causes.
pub const MAX_ATTEMPTS: u8 = 3;

/// The longest `state`: providers and firewalls limit parameters to 512 bytes. A longer return path is only in the
/// cookie.
const MAX_STATE: usize = 511;

/// The seal's label of `state`.
const STATE_LABEL: &str = "state";

/// The id of a sign-in: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInId([u8; 16]);

impl SignInId {
    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The content of an opened `state`: authentic, but not bound to a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The id of the sign-in.
    pub id: SignInId,
    /// The provider.
    pub provider: IssuerId,
    /// The target after the sign-in.
    pub return_to: ReturnTo,
    /// The start of the sign-in.
    pub started: UnixTime,
    /// The number of consecutive attempts, including this one.
    pub attempt: u8,
    /// The demand of a rule on the authentication.
    pub step_up: Option<StepUpId>,
    /// The site at which it was begun.
    pub site: SiteId,
}

/// A sign-in that this browser began.
#[derive(Debug, Clone)]
pub struct PendingSignIn {
    /// The content of `state`, with the complete return target.
    pub state: State,
    /// The nonce sent.
    pub nonce: Nonce,
    /// The PKCE verifier; its challenge was sent.
    pub verifier: PkceVerifier,
}

impl State {
    /// Whether the sign-in has taken longer than `timeout`, or begins farther in the future than the tolerated clock
    /// difference.
    pub fn is_expired(&self, now: UnixTime, timeout: Duration) -> bool {
        let ahead = Duration::from_secs(Leeway::MAX_SECS);
        self.started.plus(timeout) <= now || now.plus(ahead) < self.started
    }

    /// Opens a `state` that we sealed; `None` for all others.
    pub fn open(sealed: &str, sealer: &Sealer, targets: Targets<'_>) -> Option<Self> {
        let bytes = sealer.open(Purpose::State, STATE_LABEL, sealed.as_bytes())?;
        Self::of(wire::read(&bytes)?, targets)
    }

    fn of(fields: [Field<'_>; 7], targets: Targets<'_>) -> Option<Self> {
        let [id, provider, return_to, started, attempt, step_up, site] = fields;
        Some(Self {
            id: SignInId(id.bytes()?.try_into().ok()?),
            provider: IssuerId::from_bytes(provider.bytes()?)?,
            return_to: ReturnTo::from_sealed(return_to.text()?, targets),
            started: UnixTime::from_secs(started.number()?),
            attempt: u8::try_from(attempt.number()?).ok()?,
            step_up: step_up.bytes().and_then(StepUpId::from_bytes),
            site: SiteId::from_sealed(site.text()?),
        })
    }

    fn fields<'a>(&'a self, return_to: &'a str) -> [Value<'a>; 7] {
        [
            Bytes(&self.id.0),
            Bytes(self.provider.as_bytes()),
            Bytes(return_to.as_bytes()),
            Number(self.started.as_secs()),
            Number(self.attempt.into()),
            Bytes(self.step_up.as_ref().map(StepUpId::as_bytes).unwrap_or_default()),
            Bytes(self.site.sealed().as_bytes()),
        ]
    }
}

impl PendingSignIn {
    /// Begins a sign-in: a new id, nonce and verifier.
    ///
    /// # Errors
    /// [`NoRandomness`] if the platform has none.
    pub fn begin(
        provider: IssuerId,
        return_to: ReturnTo,
        attempt: u8,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<Self, NoRandomness> {
        let id = draw(platform, |id| Self::cookie_name(&SignInId(*id), "-"))?;
        Ok(Self {
            state: State {
                id: SignInId(id),
                provider,
                return_to,
                started: now,
                attempt,
                step_up: None,
                site: SiteId::default(),
            },
            nonce: Nonce::generate(platform)?,
            verifier: PkceVerifier::generate(platform)?,
        })
    }

    /// The sealed `state` parameter.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn state_parameter(&self, sealer: &Sealer, platform: &dyn Platform) -> Result<String, SealError> {
        let mut bytes = wire::write(&self.state.fields(self.state.return_to.as_str()));
        if sealed_len(bytes.len()) > MAX_STATE {
            bytes = wire::write(&self.state.fields(self.state.return_to.first_page()));
        }
        sealer.seal(Purpose::State, STATE_LABEL, &bytes, platform)
    }

    /// The name of its cookie: `prefix` and the id.
    pub fn cookie_name(id: &SignInId, prefix: &str) -> String {
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(id.as_bytes()))
    }

    /// The value of its cookie.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn seal(&self, name: &str, sealer: &Sealer, platform: &dyn Platform) -> Result<String, SealError> {
        let fields = self.state.fields(self.state.return_to.as_str());
        let [id, provider, return_to, started, attempt, step_up, site] = fields;
        let (nonce, verifier) = (Bytes(self.nonce.expose().as_bytes()), Bytes(self.verifier.expose().as_bytes()));
        let bytes = wire::write(&[id, provider, return_to, started, attempt, nonce, verifier, step_up, site]);
        sealer.seal(Purpose::PendingSignIn, name, &bytes, platform)
    }

    /// Opens a cookie of this name; an invalid one counts as absent.
    pub fn open(name: &str, value: &[u8], sealer: &Sealer, targets: Targets<'_>) -> Option<Self> {
        let bytes = sealer.open(Purpose::PendingSignIn, name, value)?;
        let [id, provider, return_to, started, attempt, nonce, verifier, step_up, site] = wire::read(&bytes)?;
        let state = State::of([id, provider, return_to, started, attempt, step_up, site], targets)?;
        let secret = |field: Field<'_>| field.text().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self { state, nonce: Nonce::new(secret(nonce)?), verifier: PkceVerifier::new(secret(verifier)?) })
    }

    /// Proof that `state` belongs to this sign-in.
    pub fn matches(&self, state: &State) -> Option<StateMatched> {
        StateMatched::check(state.id.as_bytes(), self.state.id.as_bytes())
    }
}

/// The prefix of the cookie names of all pending sign-ins.
pub fn cookie_prefix(cookie_name: &str) -> String {
    format!("{HOST_PREFIX}{cookie_name}-p-")
}
