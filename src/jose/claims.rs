//! The claims that every kind of signed token needs (RFC 7519, 4.1; OIDC Core 3.1.3.7): `iss`, `aud`, `exp`, `iat` and
//! `nbf`. All others, `sub` and `azp` included, are checked where a kind of token is read.

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use super::{Algorithm, members::Members, verify::VerifiedJws};
use crate::{
    quoted::Quoted,
    time::{Leeway, UnixTime},
};

/// The values a token is checked against (OIDC Core 3.1.3.7).
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`
    pub issuer: ExpectedIssuer<'a>,
    /// `aud`
    pub audience: Audience<'a>,
    /// The time to compare with `exp`, `iat` and `nbf`.
    pub now: UnixTime,
    /// The tolerated difference between the issuer's clock and ours.
    pub leeway: Leeway,
}

/// The issuer that a token must name, compared byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedIssuer<'a> {
    /// This one.
    Exactly(&'a str),
    /// This one with the tenant of the token (`tid`, a GUID) in place of [`TENANT`]: a provider with many tenants that sign with
    /// the same keys, as Microsoft Entra ID has them.
    OfTenant(&'a str),
}

/// The place of the tenant in an issuer.
pub const TENANT: &str = "{tenantid}";

impl ExpectedIssuer<'_> {
    /// Whether a token with this `iss` and this `tid` is its token.
    /// `key_issuer` is that of the key: with shared keys, one tenant's must not sign for another.
    fn is(self, iss: &str, tid: Option<&str>, key_issuer: Option<&str>) -> bool {
        match (self, tid) {
            (Self::Exactly(issuer), _) => iss == issuer,
            (Self::OfTenant(template), Some(tid)) => {
                let is_iss = |template: &str| iss == template.replace(TENANT, tid);
                is_guid(tid) && is_iss(template) && key_issuer.is_none_or(is_iss)
            }
            (Self::OfTenant(_), None) => false,
        }
    }

    /// Whether an authorization response with this `iss` may be of this issuer (RFC 9207, 2.4).
    pub fn may_be(self, iss: &str) -> bool {
        match self {
            Self::Exactly(issuer) => iss == issuer,
            Self::OfTenant(template) => {
                let (before, after) = template.split_once(TENANT).unwrap_or((template, ""));
                iss.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_guid)
            }
        }
    }
}

/// Whether the text is a GUID in lower case: digits of a UUID (RFC 9562, 4).
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// The audiences a token must and may have.
#[derive(Debug, Clone, Copy)]
pub enum Audience<'a> {
    /// This client id, and besides it trusted audiences only (OIDC Core 3.1.3.7).
    Client(&'a str, &'a [String]),
    /// One of these, and any others (RFC 7519, 4.1.3; RFC 9068, 4).
    OneOf(&'a [String]),
}

/// The first fault of the claims, in the order issuer, audience, dates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// `iss` is missing or not a string.
    #[error("no iss")]
    IssuerMissing,
    /// `iss` is another issuer.
    #[error("iss is another issuer, {0}")]
    IssuerMismatch(Quoted),
    /// `aud` is missing.
    #[error("no aud")]
    AudienceMissing,
    /// `aud` is neither a string nor an array of strings.
    #[error("aud is neither a string nor an array of strings")]
    AudienceMalformed,
    /// `aud` does not name us.
    #[error("aud is for another client or service")]
    AudienceMismatch,
    /// `aud` names an audience beside us that is not trusted.
    #[error("aud names an audience that is not trusted")]
    AudienceUntrusted,
    /// `exp` is missing.
    #[error("no exp")]
    ExpiryMissing,
    /// `exp` is not a number of seconds.
    #[error("exp is not a number of seconds")]
    ExpiryMalformed,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `iat` is missing.
    #[error("no iat")]
    IssuedAtMissing,
    /// `iat` is not a number of seconds.
    #[error("iat is not a number of seconds")]
    IssuedAtMalformed,
    /// `iat` is in the future.
    #[error("issued in the future")]
    IssuedInFuture,
    /// `nbf` is not a number of seconds.
    #[error("nbf is not a number of seconds")]
    NotBeforeMalformed,
    /// `nbf` is in the future.
    #[error("not valid yet")]
    NotYetValid,
}

/// The claims of a token with a right signature, issuer and audience, valid now. Made by [`check`], [`check_event`] and [`check_recent`] only.
pub struct VerifiedClaims {
    algorithm: Algorithm,
    audiences: Vec<String>,
    claims: Map<String, Value>,
    expires_at: UnixTime,
    issued_at: UnixTime,
    typ: Option<String>,
}

impl VerifiedClaims {
    /// The value of a claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// All claims.
    pub const fn all(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// All claims, owned.
    pub fn into_claims(self) -> Map<String, Value> {
        self.claims
    }

    /// The value of a claim that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// `alg` of the header.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `aud`, never empty.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// `exp`
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// `iat`
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// `typ` of the header.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }
}

/// Shows no claim: they are personal data.
impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedClaims").finish_non_exhaustive()
    }
}

/// Checks issuer, audience and dates of a token.
///
/// # Errors
/// [`ClaimError`]
pub fn check(jws: VerifiedJws, expected: &Expected<'_>) -> Result<VerifiedClaims, ClaimError> {
    check_until(jws, expected, &check_expiry)
}

/// [`check`] for a token that need not have `exp`: without it the token expires at `iat`, so that the leeway bounds its age.
///
/// # Errors
/// [`ClaimError`]
pub fn check_recent(jws: VerifiedJws, expected: &Expected<'_>) -> Result<VerifiedClaims, ClaimError> {
    check_until(jws, expected, &|claims, expected| {
        if claims.contains_key("exp") {
            return check_expiry(claims, expected);
        }
        let issued_at = check_issued_at(claims, expected)?;
        if expected.now < issued_at.plus(expected.leeway.span()) { Ok(issued_at) } else { Err(ClaimError::Expired) }
    })
}

/// [`check`] for a statement about an event, which need not have `exp`: it expires at this age.
///
/// # Errors
/// [`ClaimError`]
pub fn check_event(jws: VerifiedJws, expected: &Expected<'_>, max_age: Duration) -> Result<VerifiedClaims, ClaimError> {
    check_until(jws, expected, &|claims, expected| {
        if claims.contains_key("exp") {
            check_expiry(claims, expected)?;
        }
        let expiry = check_issued_at(claims, expected)?.plus(max_age);
        if expected.now < expiry { Ok(expiry) } else { Err(ClaimError::Expired) }
    })
}

/// [`check`] for a statement of the issuer that need have neither `exp` nor `iat`. Returns its claims.
///
/// # Errors
/// [`ClaimError`]
pub fn check_statement(jws: VerifiedJws, expected: &Expected<'_>) -> Result<Map<String, Value>, ClaimError> {
    let claims = jws.payload();
    check_issuer(claims, jws.key_issuer(), expected)?;
    check_audience(claims, expected)?;
    if claims.contains_key("exp") {
        check_expiry(claims, expected)?;
    }
    if claims.contains_key("iat") {
        check_issued_at(claims, expected)?;
    }
    check_not_before(claims, expected)?;
    Ok(jws.into_parts().1)
}

/// Checks the age of a token, and returns its end.
type CheckExpiry<'a> = dyn Fn(&Map<String, Value>, &Expected<'_>) -> Result<UnixTime, ClaimError> + 'a;

fn check_until(
    jws: VerifiedJws,
    expected: &Expected<'_>,
    check_expiry: &CheckExpiry<'_>,
) -> Result<VerifiedClaims, ClaimError> {
    let claims = jws.payload();
    check_issuer(claims, jws.key_issuer(), expected)?;
    let audiences = check_audience(claims, expected)?;
    let expires_at = check_expiry(claims, expected)?;
    let issued_at = check_issued_at(claims, expected)?;
    check_not_before(claims, expected)?;
    let (algorithm, claims, typ) = jws.into_parts();
    Ok(VerifiedClaims { algorithm, audiences, claims, expires_at, issued_at, typ })
}

/// Checks the claims of an introspection response (RFC 7662, 2.2) and returns `exp`, if it is there. An absent claim passes,
/// except for `aud` where an audience is expected.
///
/// # Errors
/// [`ClaimError`]
pub fn check_introspection_response(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<Option<UnixTime>, ClaimError> {
    let has = |name: &str| Members::of(claims).get(name).is_some();
    if has("iss") {
        check_issuer(claims, None, expected)?;
    }
    if !matches!(expected.audience, Audience::OneOf([])) {
        check_audience(claims, expected)?;
    }
    if has("iat") {
        check_issued_at(claims, expected)?;
    }
    if has("nbf") {
        check_not_before(claims, expected)?;
    }
    if has("exp") { check_expiry(claims, expected).map(Some) } else { Ok(None) }
}

fn check_issuer(
    claims: &Map<String, Value>,
    key_issuer: Option<&str>,
    expected: &Expected<'_>,
) -> Result<(), ClaimError> {
    // OIDC Core 3.1.3.7 (2)
    let issuer = claims.get("iss").and_then(Value::as_str).ok_or(ClaimError::IssuerMissing)?;
    let tenant = claims.get("tid").and_then(Value::as_str);
    if expected.issuer.is(issuer, tenant, key_issuer) {
        Ok(())
    } else {
        Err(ClaimError::IssuerMismatch(Quoted::new(issuer)))
    }
}

fn check_audience(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Vec<String>, ClaimError> {
    let audiences = match claims.get("aud") {
        None => return Err(ClaimError::AudienceMissing),
        Some(Value::String(audience)) => vec![audience.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or(ClaimError::AudienceMalformed)?,
        Some(_) => return Err(ClaimError::AudienceMalformed),
    };
    let is_us = |audience: &String| match expected.audience {
        Audience::Client(id, _) => audience == id,
        Audience::OneOf(known) => known.contains(audience),
    };
    if !audiences.iter().any(is_us) {
        return Err(ClaimError::AudienceMismatch);
    }
    // OIDC Core 3.1.3.7 (3)
    let is_trusted = |audience: &String| match expected.audience {
        Audience::Client(id, trusted) => audience == id || trusted.contains(audience),
        Audience::OneOf(_) => true,
    };
    if audiences.iter().all(is_trusted) { Ok(audiences) } else { Err(ClaimError::AudienceUntrusted) }
}

fn check_expiry(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<UnixTime, ClaimError> {
    // OIDC Core 3.1.3.7 (9)
    let expiry = claims.get("exp").ok_or(ClaimError::ExpiryMissing)?;
    let expiry = numeric_date(expiry).ok_or(ClaimError::ExpiryMalformed)?;
    if expected.now < expiry.plus(expected.leeway.span()) { Ok(expiry) } else { Err(ClaimError::Expired) }
}

fn check_issued_at(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<UnixTime, ClaimError> {
    // OIDC Core 3.1.3.7 (10). Where our own clock stands at zero, every token fails here.
    let issued_at = claims.get("iat").ok_or(ClaimError::IssuedAtMissing)?;
    let issued_at = numeric_date(issued_at).ok_or(ClaimError::IssuedAtMalformed)?;
    if issued_at <= expected.now.plus(expected.leeway.span()) { Ok(issued_at) } else { Err(ClaimError::IssuedInFuture) }
}

fn check_not_before(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), ClaimError> {
    let Some(not_before) = claims.get("nbf") else { return Ok(()) };
    let not_before = numeric_date(not_before).ok_or(ClaimError::NotBeforeMalformed)?;
    if not_before <= expected.now.plus(expected.leeway.span()) { Ok(()) } else { Err(ClaimError::NotYetValid) }
}

/// A NumericDate (RFC 7519, 2), which must be a JSON number. A fraction is rounded up, which leaves every comparison with
/// whole seconds exact; a larger number than fits saturates.
fn numeric_date(value: &Value) -> Option<UnixTime> {
    let Value::Number(number) = value else { return None };
    if let Some(seconds) = number.as_u64() {
        return Some(UnixTime::from_secs(seconds));
    }
    let seconds = number.as_f64().filter(|seconds| *seconds >= 0.0)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; the cast saturates")]
    Some(UnixTime::from_secs(seconds.ceil() as u64))
}
