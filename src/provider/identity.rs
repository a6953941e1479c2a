//! The identity that a provider has vouched for. A session begins with nothing else.

use std::fmt;

use serde_json::{Map, Value};

use crate::oidc::{
    Issuer,
    id_token::{Authentication, VerifiedIdToken},
    userinfo::Userinfo,
};

/// A user who has signed in, and the provider's claims. It is made of a verified ID token, or of answers to the access token
/// of this very sign-in.
pub struct Identity {
    subject: String,
    claims: Map<String, Value>,
    userinfo: Option<Userinfo>,
    authentication: Authentication,
}

impl Identity {
    /// The user that this ID token names; the userinfo was read for the same subject.
    pub fn of(id_token: VerifiedIdToken, userinfo: Option<Userinfo>) -> Self {
        let authentication = Authentication::of(&id_token);
        let subject = id_token.subject().to_owned();
        Self { subject, claims: id_token.into_claims(), userinfo, authentication }
    }

    /// The user that a provider without ID tokens names in answers to the access token of this very sign-in. Providers number
    /// their users alike, so `iss` is added.
    pub(super) fn of_userinfo(userinfo: Userinfo, issuer: &Issuer) -> Self {
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), issuer.as_str().into());
        let subject = userinfo.subject().to_owned();
        Self { subject, claims, userinfo: Some(userinfo), authentication: Authentication::default() }
    }

    /// `sub`
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The claims, without those of the userinfo endpoint.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The answer of the userinfo endpoint.
    pub const fn userinfo(&self) -> Option<&Userinfo> {
        self.userinfo.as_ref()
    }

    /// The claims about the sign-in itself.
    pub fn into_authentication(self) -> Authentication {
        self.authentication
    }
}

/// Shows no claim: they are personal data.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
