//! Demands on the authentication of a user: how strong it was, and how long ago (RFC 9470; OIDC Core 2, `acr` and `auth_time`).

use std::{fmt, num::ParseIntError, str::FromStr, time::Duration};

use serde_json::Value;

use super::{Claim, Claims, auth_time};
use crate::{
    digest::half_digest,
    time::{Leeway, UnixTime},
};

/// A demand that a rule makes on the authentication of a session or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUp {
    /// Accepted values of `acr`, best first; empty accepts all.
    pub acr_values: Vec<String>,
    /// How long ago the user may have authenticated, by `auth_time`.
    pub max_age: Option<Duration>,
    /// The tolerated difference between the provider's clock and ours.
    pub leeway: Leeway,
}

/// The name of a [`StepUp`] in links and in `state`: the same in each replica with the same configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepUpId([u8; 4]);

impl StepUpId {
    /// The id of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for StepUpId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u32::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for StepUpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// `acr` and `auth_time` of a session or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationClaims {
    acr: Option<String>,
    time: Option<u64>,
}

impl StepUp {
    /// Its name.
    pub fn id(&self) -> StepUpId {
        let age = self.max_age.map_or(0, |age| age.as_secs()).to_le_bytes();
        let parts = self.acr_values.iter().map(|value| value.as_bytes()).chain([&age[..]]);
        let [a, b, c, d, ..] = half_digest("step up", &parts.collect::<Vec<_>>());
        StepUpId([a, b, c, d])
    }

    /// The parameters by which an authorization request asks for it (OIDC Core 3.1.2.1).
    pub fn parameters(&self) -> Vec<(String, String)> {
        let acr_values = (!self.acr_values.is_empty()).then(|| ("acr_values".to_owned(), self.acr_values.join(" ")));
        let max_age = self.max_age.map(|age| ("max_age".to_owned(), age.as_secs().to_string()));
        acr_values.into_iter().chain(max_age).collect()
    }

    /// Whether this is one of its `acr_values`.
    pub fn accepts(&self, acr: &str) -> bool {
        self.acr_values.iter().any(|known| known == acr)
    }

    /// Whether the authentication that these claims tell of is good enough. `now_near` reads the clock, to be compared with the
    /// moment it is given.
    pub fn is_met_by(&self, claims: &dyn Claims, now_near: &dyn Fn(UnixTime) -> UnixTime) -> bool {
        let AuthenticationClaims { acr, time } = AuthenticationClaims::of(claims);
        let is_strong = self.acr_values.is_empty() || acr.is_some_and(|acr| self.accepts(&acr));
        let is_recent = self.max_age.is_none_or(|age| {
            time.map(UnixTime::from_secs).is_some_and(|time| {
                let end = time.plus(age).plus(self.leeway.span());
                let now = now_near(time);
                // A time in the future, such as one in milliseconds, would be recent for ever.
                time <= now.plus(self.leeway.span()) && now < end
            })
        });
        is_strong && is_recent
    }

    /// Calls `with` for the names of the claims that it looks at.
    pub fn each_claim(&self, with: &mut dyn FnMut(&str)) {
        if !self.acr_values.is_empty() {
            with("acr");
        }
        if self.max_age.is_some() {
            with("auth_time");
        }
    }
}

impl fmt::Display for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.acr_values.is_empty() {
            write!(f, "acr {}", self.acr_values.join(" or "))?;
        }
        if let Some(age) = self.max_age {
            let and = if self.acr_values.is_empty() { "" } else { ", and " };
            write!(f, "{and}auth_time at most {} seconds ago", age.as_secs())?;
        }
        Ok(())
    }
}

impl AuthenticationClaims {
    /// Those among these claims.
    pub fn of(claims: &dyn Claims) -> Self {
        let acr = match claims.claim("acr") {
            Some(Claim::Text(text)) => Some(text.to_owned()),
            // Some write a level as a number.
            Some(Claim::Json(Value::Number(number))) => Some(number.to_string()),
            Some(Claim::Json(value)) => value.as_str().map(str::to_owned),
            None => None,
        };
        let time = match claims.claim("auth_time") {
            Some(Claim::Json(value)) => auth_time(value),
            Some(Claim::Text(_)) | None => None,
        };
        Self { acr, time }
    }

    /// `acr`
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// `auth_time`
    pub const fn time(&self) -> Option<u64> {
        self.time
    }
}
