//! Proofs that a request may pass. Each owns its request, so it cannot admit another one.

use super::{Refusal, Verdict};
use crate::{
    claims::{Claims, Conditions},
    http::Request,
    time::UnixTime,
};

/// A request and its verdict.
#[derive(Debug)]
pub struct RuledRequest {
    request: Request,
    verdict: Verdict,
}

/// A party that the rules may admit.
pub trait Principal {
    /// Calls `look` with its claims.
    fn with_claims<R>(&self, look: impl FnOnce(&dyn Claims) -> R) -> R;
}

/// Any client, under rules that admit all.
#[derive(Debug)]
pub struct Anyone;

/// A CORS preflight, which carries no credentials.
#[derive(Debug)]
pub struct Preflight;

/// An admitted request and its principal. Only a [`RuledRequest`] makes one.
#[derive(Debug)]
pub struct Admitted<P> {
    ruled: RuledRequest,
    principal: P,
}

/// A refused request.
#[derive(Debug)]
pub struct NotAdmitted<P> {
    /// The request.
    pub ruled: RuledRequest,
    /// The party that the rules do not admit.
    pub principal: P,
    /// The reason.
    pub refusal: Refusal,
}

#[cfg_attr(
    not(target_family = "wasm"),
    expect(clippy::result_large_err, reason = "a request that is not admitted comes back, and is no error")
)]
impl RuledRequest {
    pub(super) const fn new(request: Request, verdict: Verdict) -> Self {
        Self { request, verdict }
    }

    /// The request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The request without its verdict, for a response.
    pub fn into_request(self) -> Request {
        self.request
    }

    /// The verdict of the rules.
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Admits it if every rule is `public`.
    ///
    /// # Errors
    /// The request, if it is not admitted.
    pub fn admit_public(self) -> Result<Admitted<Anyone>, Self> {
        if self.verdict.is_public() { Ok(self.admitted(Anyone)) } else { Err(self) }
    }

    /// Admits it if every rule is `public` or `optional`, without an identity.
    ///
    /// # Errors
    /// The request, if it is not admitted.
    pub fn admit_anyone(self) -> Result<Admitted<Anyone>, Self> {
        if self.verdict.is_open() { Ok(self.admitted(Anyone)) } else { Err(self) }
    }

    /// Admits a CORS preflight that no rule denies: the app must answer it. `is_preflight` says whether it is one.
    ///
    /// # Errors
    /// The request, if it is not admitted.
    pub fn admit_preflight(self, is_preflight: fn(&Request) -> bool) -> Result<Admitted<Preflight>, Self> {
        let is_admitted = self.verdict.denial().is_none() && is_preflight(&self.request);
        if is_admitted { Ok(self.admitted(Preflight)) } else { Err(self) }
    }

    /// Admits this principal if every rule, and the conditions of the claims' issuer, hold. `now_near` reads the clock, to be
    /// compared with the moment it is given.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub fn admit<P: Principal>(
        self,
        principal: P,
        issuer_conditions: Option<&Conditions>,
        now_near: impl Fn(UnixTime) -> UnixTime,
    ) -> Result<Admitted<P>, Box<NotAdmitted<P>>> {
        match principal.with_claims(|claims| self.verdict.admits(claims, issuer_conditions, &now_near)) {
            Ok(()) => Ok(self.admitted(principal)),
            Err(refusal) => Err(Box::new(NotAdmitted { ruled: self, principal, refusal })),
        }
    }

    const fn admitted<P>(self, principal: P) -> Admitted<P> {
        Admitted { ruled: self, principal }
    }
}

impl AsRef<Request> for RuledRequest {
    fn as_ref(&self) -> &Request {
        &self.request
    }
}

impl<P> Admitted<P> {
    /// The request, with its verdict.
    pub const fn ruled(&self) -> &RuledRequest {
        &self.ruled
    }

    /// The principal.
    pub const fn principal(&self) -> &P {
        &self.principal
    }

    /// The request and the principal.
    pub fn into_parts(self) -> (RuledRequest, P) {
        (self.ruled, self.principal)
    }
}
