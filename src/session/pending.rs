//! A sign-in under way: what this browser must bring back (its own short-lived cookie), and what travels through the
//! provider as `state`. Each sign-in stands by itself, so any number of tabs may sign in at once.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    return_to::ReturnTo,
    seal::{Purpose, Sealer},
};
use crate::{
    oidc::{ProviderId, authorization::StateMatched},
    platform::{NoRandomness, Platform},
    secret::{Nonce, PkceVerifier},
    time::UnixTime,
};

/// How many sign-ins of one browser may be under way; starting one more ends the oldest.
pub const MAX_PENDING: usize = 5;

/// How often in a row a sign-in is started again by itself before a page says what may be wrong.
pub const MAX_ATTEMPTS: u8 = 3;

/// The longest way back that travels in `state`; providers cut long URLs. A longer one is only in the cookie.
const MAX_RETURN_TO_IN_STATE: usize = 1024;

/// What `state` is sealed for, beside its purpose.
const STATE_LABEL: &str = "state";

/// Names one sign-in: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInId([u8; 16]);

impl SignInId {
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What `state` says, once opened: authentic, but anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Which sign-in.
    pub id: SignInId,
    /// With which provider.
    pub provider: ProviderId,
    /// Where to go afterwards.
    pub return_to: ReturnTo,
    /// When it began.
    pub started: UnixTime,
    /// How many there were in a row, this one included.
    pub attempt: u8,
}

/// A sign-in that this browser began.
#[derive(Debug, Clone)]
pub struct PendingSignIn {
    /// What is also in `state`; here with the whole way back.
    pub state: State,
    /// The nonce sent.
    pub nonce: Nonce,
    /// The PKCE verifier whose challenge was sent.
    pub verifier: PkceVerifier,
}

#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    i: SignInId,
    p: u8,
    #[serde(borrow)]
    r: Cow<'a, str>,
    s: u64,
    a: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<&'a str>,
}

impl State {
    /// Whether the sign-in has taken longer than `timeout`.
    pub fn is_expired(&self, now: UnixTime, timeout: Duration) -> bool {
        self.started.plus(timeout) <= now
    }

    /// Opens a `state` that we sealed; anything else is nothing.
    pub fn open(sealed: &str, sealer: &Sealer, reserved: &str) -> Option<Self> {
        let bytes = sealer.open(Purpose::State, STATE_LABEL, sealed.as_bytes())?;
        serde_json::from_slice::<Sealed<'_>>(&bytes).ok().map(|sealed| Self::of(&sealed, reserved))
    }

    fn of(sealed: &Sealed<'_>, reserved: &str) -> Self {
        Self {
            id: sealed.i,
            provider: ProviderId::new(sealed.p),
            return_to: ReturnTo::kept(&sealed.r, reserved),
            started: UnixTime::from_secs(sealed.s),
            attempt: sealed.a,
        }
    }

    fn shape(&self) -> Sealed<'_> {
        Sealed {
            i: self.id,
            p: u8::try_from(self.provider.index()).unwrap_or(u8::MAX),
            r: Cow::Borrowed(self.return_to.as_str()),
            s: self.started.as_secs(),
            a: self.attempt,
            n: None,
            v: None,
        }
    }
}

impl PendingSignIn {
    /// Begins a sign-in: a new id, nonce and verifier.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn begin(
        provider: ProviderId,
        return_to: ReturnTo,
        attempt: u8,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<Self, NoRandomness> {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        Ok(Self {
            state: State { id: SignInId(id), provider, return_to, started: now, attempt },
            nonce: Nonce::generate(platform)?,
            verifier: PkceVerifier::generate(platform)?,
        })
    }

    /// The `state` parameter: opaque, and readable by us alone.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn state_parameter(&self, sealer: &Sealer, platform: &dyn Platform) -> Result<String, NoRandomness> {
        let mut shape = self.state.shape();
        if shape.r.len() > MAX_RETURN_TO_IN_STATE {
            shape.r = Cow::Borrowed("/");
        }
        sealer.seal(Purpose::State, STATE_LABEL, &encode(&shape), platform)
    }

    /// The name of its cookie, which begins with `prefix`.
    pub fn cookie_name(id: &SignInId, prefix: &str) -> String {
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(id.as_bytes()))
    }

    /// The value of its cookie.
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn seal(&self, name: &str, sealer: &Sealer, platform: &dyn Platform) -> Result<String, NoRandomness> {
        let shape = Sealed { n: Some(self.nonce.expose()), v: Some(self.verifier.expose()), ..self.state.shape() };
        sealer.seal(Purpose::PendingSignIn, name, &encode(&shape), platform)
    }

    /// Opens a cookie of this name; whatever is wrong with it, it is as if it were not there.
    pub fn open(name: &str, value: &[u8], sealer: &Sealer, reserved: &str) -> Option<Self> {
        let bytes = sealer.open(Purpose::PendingSignIn, name, value)?;
        let sealed = serde_json::from_slice::<Sealed<'_>>(&bytes).ok()?;
        Some(Self {
            state: State::of(&sealed, reserved),
            nonce: Nonce::new(sealed.n?),
            verifier: PkceVerifier::new(sealed.v?),
        })
    }

    /// Proof that `state` is the one of this sign-in.
    pub fn matches(&self, state: &State) -> Option<StateMatched> {
        StateMatched::check(state.id.as_bytes(), self.state.id.as_bytes())
    }
}

/// What the names of all pending sign-ins begin with, under this configured name.
pub fn cookie_prefix(cookie_name: &str) -> String {
    format!("__Host-{cookie_name}-p-")
}

/// The name of the cookie that counts sign-ins in a row, under this configured name.
pub fn trail_cookie(cookie_name: &str) -> String {
    format!("__Host-{cookie_name}-t")
}

// These shapes always serialise: strings, numbers and bytes.
fn encode(shape: &Sealed<'_>) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new(serde_json::to_vec(shape).unwrap_or_default())
}
