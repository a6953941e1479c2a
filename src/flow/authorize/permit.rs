//! The right to go upstream. Nothing reaches the app without a [`Permit`], and each owns the request it was made for, which
//! the rules have admitted: searching for `Permit::` is the security review.

use crate::{
    claims::{Claims, IssuerId},
    http::{HeaderEdit, Request},
    provider::Provider,
    rules::{Admitted, Anyone, Preflight, Principal, RuledRequest},
    session::open::FreshSession,
};

use super::super::{event::Reason, memory::verified_bearer::VerifiedBearer};

/// The right of one request to go upstream.
#[derive(Debug)]
pub struct Permit {
    ruled: RuledRequest,
    grounds: Grounds,
    /// The header with the token for the app. Boxed: few requests have one.
    token: Option<Box<HeaderEdit>>,
}

#[derive(Debug)]
enum Grounds {
    Bearer(VerifiedBearer),
    Open,
    Preflight,
    Session(FreshSession),
}

/// The user of a session.
#[derive(Debug)]
pub(in crate::flow) struct SignedIn<'a> {
    /// The session.
    pub(in crate::flow) session: FreshSession,
    /// Its provider.
    pub(in crate::flow) provider: &'a Provider,
}

impl Principal for SignedIn<'_> {
    fn with_claims<R>(&self, look: impl FnOnce(&dyn Claims) -> R) -> R {
        look(&self.session.session().claims_for(self.provider))
    }
}

impl Principal for VerifiedBearer {
    fn with_claims<R>(&self, look: impl FnOnce(&dyn Claims) -> R) -> R {
        look(self)
    }
}

impl Permit {
    /// The rules admit the client of a bearer token.
    pub(in crate::flow) fn bearer(admitted: Admitted<VerifiedBearer>, token: Option<HeaderEdit>) -> Self {
        let (ruled, bearer) = admitted.into_parts();
        Self { ruled, grounds: Grounds::Bearer(bearer), token: token.map(Box::new) }
    }

    /// The rules admit all.
    pub(in crate::flow) fn open(admitted: Admitted<Anyone>) -> Self {
        let (ruled, Anyone) = admitted.into_parts();
        Self { ruled, grounds: Grounds::Open, token: None }
    }

    /// The rules admit the user of a session.
    pub(in crate::flow) fn session(admitted: Admitted<SignedIn<'_>>, token: Option<HeaderEdit>) -> Self {
        let (ruled, SignedIn { session, .. }) = admitted.into_parts();
        Self { ruled, grounds: Grounds::Session(session), token: token.map(Box::new) }
    }

    /// The request is a CORS preflight that no rule denies.
    pub(in crate::flow) fn preflight(admitted: Admitted<Preflight>) -> Self {
        let (ruled, Preflight) = admitted.into_parts();
        Self { ruled, grounds: Grounds::Preflight, token: None }
    }

    /// The header that carries a token for the app.
    pub(super) fn token(&self) -> Option<&HeaderEdit> {
        self.token.as_deref()
    }

    /// The reason, for logs and counters.
    pub const fn reason(&self) -> Reason {
        match self.grounds {
            Grounds::Bearer(_) => Reason::Bearer,
            Grounds::Open => Reason::Public,
            Grounds::Preflight => Reason::Preflight,
            Grounds::Session(_) => Reason::Session,
        }
    }

    /// The subject that passes, where one is known.
    pub fn subject(&self) -> Option<&str> {
        match &self.grounds {
            Grounds::Bearer(bearer) => Some(bearer.subject()),
            Grounds::Open | Grounds::Preflight => None,
            Grounds::Session(fresh) => Some(fresh.session().subject()),
        }
    }

    /// The issuer of its identity.
    pub(super) fn issuer(&self) -> Option<IssuerId> {
        match &self.grounds {
            Grounds::Bearer(bearer) => bearer.source(),
            Grounds::Open | Grounds::Preflight => None,
            Grounds::Session(fresh) => Some(fresh.session().provider()),
        }
    }

    /// The request.
    pub(super) const fn request(&self) -> &Request {
        self.ruled.request()
    }

    pub(super) const fn ruled(&self) -> &RuledRequest {
        &self.ruled
    }

    pub(super) const fn by_bearer(&self) -> Option<&VerifiedBearer> {
        if let Grounds::Bearer(bearer) = &self.grounds { Some(bearer) } else { None }
    }

    pub(super) const fn by_session(&self) -> Option<&FreshSession> {
        if let Grounds::Session(fresh) = &self.grounds { Some(fresh) } else { None }
    }
}
