//! Somebody whom a provider has vouched for: of nothing else a session begins.

use serde_json::{Map, Value};

use super::{
    id_token::{Authentication, VerifiedIdToken},
    userinfo::Userinfo,
};

/// Who has signed in, and what their provider says of them.
#[derive(Debug)]
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
