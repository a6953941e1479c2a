//! The right to go upstream. Nothing reaches the app without a [`Permit`], and each is made from a proof that
//! another room alone can give: searching for `Permit::` is the security review.

use crate::{
    http::Request,
    rules::{Admission, OpenRoute},
    session::open::FreshSession,
};

use super::{bearer::VerifiedBearer, caller};

/// The right to go upstream.
#[derive(Debug)]
pub struct Permit(Grounds);

#[derive(Debug)]
enum Grounds {
    Bearer(VerifiedBearer),
    Open,
    Preflight,
    Session(FreshSession),
}

/// Why a request may pass, for logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A token that a program brought.
    Bearer,
    /// A CORS preflight.
    Preflight,
    /// A rule that lets everybody pass.
    Public,
    /// A session.
    Session,
}

impl Permit {
    /// The request brought a good token, and the rules let whoever it is pass.
    pub const fn bearer(proof: VerifiedBearer, _admission: &Admission) -> Self {
        Self(Grounds::Bearer(proof))
    }

    /// The rules let everybody pass.
    pub const fn open(_proof: &OpenRoute) -> Self {
        Self(Grounds::Open)
    }

    /// The request brought a good session, and the rules let whoever it is pass.
    pub const fn session(proof: FreshSession, _admission: &Admission) -> Self {
        Self(Grounds::Session(proof))
    }

    /// The request is a CORS preflight.
    pub fn preflight(request: &Request) -> Option<Self> {
        caller::is_preflight(request).then_some(Self(Grounds::Preflight))
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        match self.0 {
            Grounds::Bearer(_) => Reason::Bearer,
            Grounds::Preflight => Reason::Preflight,
            Grounds::Open => Reason::Public,
            Grounds::Session(_) => Reason::Session,
        }
    }

    /// Who, where somebody is there.
    pub fn subject(&self) -> Option<&str> {
        match &self.0 {
            Grounds::Bearer(bearer) => Some(bearer.subject()),
            Grounds::Open | Grounds::Preflight => None,
            Grounds::Session(fresh) => Some(fresh.session().subject()),
        }
    }

    pub(super) const fn bearer_brought(&self) -> Option<&VerifiedBearer> {
        if let Grounds::Bearer(bearer) = &self.0 { Some(bearer) } else { None }
    }

    pub(super) const fn session_brought(&self) -> Option<&FreshSession> {
        if let Grounds::Session(fresh) = &self.0 { Some(fresh) } else { None }
    }
}
