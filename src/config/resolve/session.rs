//! The session's settings.

use std::time::Duration;

use super::{
    super::{
        SessionSettings,
        fault::{Faults, Faulty, Path},
        raw,
    },
    Environment, bounded, limits, text,
};
use crate::{
    oidc::Provider,
    session::{
        Lifetimes,
        chunks::SessionCookies,
        pending::{cookie_prefix, trail_cookie},
        seal::{Sealer, SessionKey, context_of},
    },
};

/// All but the sealer, which also takes the provider.
pub(super) struct Session {
    at: Path,
    ring: Vec<SessionKey>,
    lifetimes: Lifetimes,
    sign_in_timeout: Duration,
    cookie_name: String,
}

impl Session {
    /// Reads the settings.
    pub(super) fn resolve(
        raw: raw::Session,
        at: &Path,
        env: Environment<'_>,
        faults: &mut Faults,
    ) -> Result<Self, Faulty> {
        let ring = ring(raw.keys, &at.key("keys"), env, faults);
        let mut seconds =
            |value, bounds, field| bounded(value, bounds, "seconds", &at.key(field), faults).map(Duration::from_secs);
        let lifetime = seconds(raw.lifetime_seconds, limits::LIFETIME_SECONDS, "lifetime_seconds");
        let idle = raw
            .idle_timeout_seconds
            .map(|value| seconds(Some(value), limits::IDLE_TIMEOUT_SECONDS, "idle_timeout_seconds"))
            .transpose();
        let sign_in_timeout =
            seconds(raw.sign_in_timeout_seconds, limits::SIGN_IN_TIMEOUT_SECONDS, "sign_in_timeout_seconds");
        let cookie_name = cookie_name(raw.cookie_name, &at.key("cookie_name"), faults);
        Ok(Self {
            at: at.clone(),
            ring: ring?,
            lifetimes: Lifetimes { absolute: lifetime?, idle: idle?, refresh: raw.refresh.unwrap_or(true) },
            sign_in_timeout: sign_in_timeout?,
            cookie_name: cookie_name?,
        })
    }

    /// With a sealer for this provider and client: what was sealed for others does not open.
    pub(super) fn sealing_for(self, provider: &Provider, faults: &mut Faults) -> Result<SessionSettings, Faulty> {
        let context = context_of([provider.issuer.as_str(), &provider.client_id]);
        let sealer = Sealer::new(self.ring, &context);
        Ok(SessionSettings {
            sealer: sealer.ok_or_else(|| faults.wrong(&self.at.key("keys"), "at least one key"))?,
            lifetimes: self.lifetimes,
            sign_in_timeout: self.sign_in_timeout,
            cookies: SessionCookies::new(&self.cookie_name),
            pending_prefix: cookie_prefix(&self.cookie_name),
            trail_cookie: trail_cookie(&self.cookie_name),
        })
    }
}

fn ring(
    keys: Option<Vec<raw::Secret>>,
    at: &Path,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Vec<SessionKey>, Faulty> {
    let keys = faults.required(at, keys, "a list of keys, such as [{env: VESTIBULE_KEY}]")?;
    if !(1..=limits::MAX_KEYS).contains(&keys.len()) {
        return Err(faults.wrong(at, format!("1 to {} keys, got {}", limits::MAX_KEYS, keys.len())));
    }
    let ring: Vec<_> = keys
        .into_iter()
        .enumerate()
        .map(|(place, key)| {
            let at = at.index(place);
            let text = text::secret(key, &at, env, faults)?;
            SessionKey::parse(&text).map_err(|error| faults.wrong(&at, error.to_string()))
        })
        .collect();
    ring.into_iter().collect()
}

fn cookie_name(value: Option<String>, at: &Path, faults: &mut Faults) -> Result<String, Faulty> {
    let value = value.unwrap_or_else(|| limits::COOKIE_NAME.to_owned());
    if value.starts_with("__") {
        return Err(faults.wrong_value(at, "a name without `__Host-`, which is always put before it", &value));
    }
    if text::is_token(&value) && value.len() <= limits::MAX_COOKIE_NAME {
        return Ok(value);
    }
    let expected = format!("1 to {} letters, digits or any of !#$%&'*+-.^_`|~", limits::MAX_COOKIE_NAME);
    Err(faults.wrong_value(at, expected, &value))
}
