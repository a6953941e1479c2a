//! The questions to a provider about the user of an access token, at each sign-in and renewal.

use std::fmt;

use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    oidc::{
        Endpoint, RelyingParty,
        client::{AuthenticationError, CallContext},
        userinfo::{self, Userinfo, UserinfoError},
    },
    secret::AccessToken,
};

/// A question to a provider about the user of an access token.
pub trait Inquiry: fmt::Debug {
    /// The call that asks it.
    ///
    /// # Errors
    /// [`AuthenticationError`] where the access token is bound to a key.
    fn request(
        &self,
        relying_party: &RelyingParty,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError>;

    /// Reads the answer.
    ///
    /// # Errors
    /// [`UserinfoError`]
    fn read(self: Box<Self>, response: Result<CalloutResponse, CalloutError>) -> Result<Progress, UserinfoError>;
}

/// The progress by one answer.
#[derive(Debug)]
pub enum Progress {
    /// There is another question.
    Ask(Box<dyn Inquiry>),
    /// All answers are there.
    Known(Box<Userinfo>),
}

/// The question to the userinfo endpoint of OpenID Connect (OIDC Core 5.3), about the subject of an ID token.
#[derive(Debug)]
pub(super) struct OpenIdInquiry {
    pub(super) endpoint: Endpoint,
    pub(super) token: AccessToken,
    pub(super) subject: String,
}

impl Inquiry for OpenIdInquiry {
    fn request(
        &self,
        relying_party: &RelyingParty,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        userinfo::request(relying_party, &self.endpoint, &self.token, context)
    }

    fn read(self: Box<Self>, response: Result<CalloutResponse, CalloutError>) -> Result<Progress, UserinfoError> {
        Userinfo::read(response, &self.subject).map(|userinfo| Progress::Known(Box::new(userinfo)))
    }
}
