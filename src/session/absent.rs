//! Claims that a session lacks. The absence of a claim counts only if the provider was asked for it and the session's
//! configuration kept it. A claim kept as an object that now counts as a list is unknown. Otherwise a condition with `not` would
//! hold for every session of an earlier configuration, or of another filter at this origin.

use super::Session;
use crate::{
    claims::{Claim, Claims, IssuerId},
    digest::HalfDigest,
    provider::Provider,
    provisioning::ATTRIBUTES,
};

/// The kept claims that are absent. Sessions of earlier versions list none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Absent {
    pub(super) names: Vec<String>,
    /// [`Provider::claims_request`] at the sign-in.
    pub(super) claims_request: HalfDigest,
    pub(super) userinfo: bool,
}

/// A session's claims, for conditions of the current configuration.
pub struct SessionClaims<'a> {
    session: &'a Session,
    provider: &'a Provider,
}

impl Session {
    /// Its claims, for conditions under the provider's current settings.
    pub const fn claims_for<'a>(&'a self, provider: &'a Provider) -> SessionClaims<'a> {
        SessionClaims { session: self, provider }
    }
}

impl Claims for SessionClaims<'_> {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        // A session of an earlier configuration may have a claim of this name from its provider.
        let is_of_app = self.provider.provisioning.is_some() && name == ATTRIBUTES;
        let claim =
            if is_of_app { self.session.app_claims.get(name).map(Claim::Json) } else { self.session.claim(name) };
        claim.filter(|claim| !self.provider.object_keys.has_object(name, *claim))
    }

    fn issuer(&self) -> Option<IssuerId> {
        self.session.issuer()
    }

    fn source(&self) -> &'static str {
        self.provider.claims_source(self.session.absent.userinfo)
    }

    fn is_known(&self, name: &str) -> bool {
        let Absent { names, claims_request, userinfo } = &self.session.absent;
        let was_looked_for = || {
            names.iter().any(|absent| absent == name)
                && (*userinfo || !self.provider.asks_userinfo())
                && *claims_request == self.provider.claims_request()
        };
        self.claim(name).is_some() || was_looked_for()
    }
}
