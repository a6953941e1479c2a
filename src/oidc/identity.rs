//! Somebody whom a provider has vouched for: of nothing else a session begins.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    id_token::{Authentication, VerifiedIdToken},
    userinfo::Userinfo,
};

/// Who has signed in, and what their provider says of them. Only a verified ID token makes one, or what was fetched with the
/// access token of this very sign-in.
pub struct Identity {
    subject: String,
    claims: Map<String, Value>,
    userinfo: Option<Userinfo>,
    authentication: Authentication,
}

impl Identity {
    /// The person whom this ID token names; what the userinfo endpoint says beside was read for the same subject.
    pub fn of(id_token: VerifiedIdToken, userinfo: Option<Userinfo>) -> Self {
        let authentication = Authentication::of(&id_token);
        let subject = id_token.subject().to_owned();
        Self { subject, claims: id_token.into_claims(), userinfo, authentication }
    }

    /// The person of whom a provider without ID tokens says this, in answers to the access token of this very sign-in.
    pub(super) fn fetched(subject: String, claims: Map<String, Value>) -> Self {
        Self { subject, claims, userinfo: None, authentication: Authentication::default() }
    }

    /// What such answers say, while they come.
    pub(super) const fn claims_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.claims
    }

    /// Who it is, as the provider numbers them.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What is vouched for.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// What the userinfo endpoint says beside.
    pub const fn userinfo(&self) -> Option<&Userinfo> {
        self.userinfo.as_ref()
    }

    /// What is known of the sign-in itself.
    pub fn into_authentication(self) -> Authentication {
        self.authentication
    }
}

/// Shows no claim: they are about a person.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
