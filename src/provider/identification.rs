//! The identity of a sign-in, learned from the answer of the token endpoint: by an ID token and userinfo, or from the
//! provider's API. Nothing here makes a call: the caller follows each [`Step`].

use std::{fmt, time::Duration};

use super::{Provider, identity::Identity};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    oidc::{
        RelyingParty,
        discovery::ProviderMetadata,
        id_token::VerifiedIdToken,
        token::{TokenEndpointError, TokenResponse},
        userinfo::{Userinfo, UserinfoError},
    },
    secret::{AccessToken, RawIdToken, RefreshToken},
    time::UnixTime,
};

/// Tokens that came with an identity, and that a session may keep.
#[derive(Debug)]
pub struct Granted {
    /// The refresh token, where the session can be renewed.
    pub refresh_token: Option<RefreshToken>,
    /// The access token.
    pub access_token: AccessToken,
    /// The lifetime of the access token, where it is known.
    pub expires_in: Option<Duration>,
    /// The ID token and its end.
    pub id_token: Option<(RawIdToken, UnixTime)>,
}

/// An identity that is not known yet.
#[derive(Debug)]
#[must_use]
pub struct Identification(Stage);

#[derive(Debug)]
enum Stage {
    /// The ID token is to be verified.
    IdToken(IdTokenStep),
    /// Further claims are to be asked for.
    Userinfo(Box<Verified>),
    /// The provider's API is to be asked.
    Api(ApiQuestion),
    /// The identity is known.
    Known(Box<Identity>, Granted),
}

/// The next step.
#[derive(Debug)]
pub enum Step {
    /// Make this call, and hand over its answer.
    Call(CalloutRequest, CallStep),
    /// The identity is known.
    Known(Box<Identity>, Granted),
    /// Verify this ID token.
    VerifyIdToken(IdTokenStep),
}

/// An ID token that is to be verified.
#[derive(Debug)]
pub struct IdTokenStep {
    tokens: TokenResponse,
    raw: RawIdToken,
}

/// A call without an answer yet.
#[derive(Debug)]
pub struct CallStep(Asked);

#[derive(Debug)]
enum Asked {
    Userinfo(Box<Verified>),
    Api(ApiQuestion),
}

/// A question to the provider's API, and the access token of the sign-in.
#[derive(Debug)]
struct ApiQuestion {
    inquiry: Box<dyn Inquiry>,
    access_token: AccessToken,
}

/// The questions to a provider's API about the user of an access token.
pub(super) trait Inquiry: fmt::Debug {
    /// The call that asks the next question.
    fn request(&self, relying_party: &RelyingParty) -> CalloutRequest;

    /// Reads the answer.
    ///
    /// # Errors
    /// [`UserinfoError`]
    fn read(self: Box<Self>, response: Result<CalloutResponse, CalloutError>) -> Result<Progress, UserinfoError>;
}

/// The progress by one answer.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is another question.
    Ask(Box<dyn Inquiry>),
    /// The identity is known.
    Known(Box<Identity>),
}

/// A verified ID token, and the tokens that came with it.
#[derive(Debug)]
struct Verified {
    tokens: TokenResponse,
    raw: RawIdToken,
    id_token: VerifiedIdToken,
}

impl Identification {
    /// By an ID token (OIDC Core 3.1.3.3).
    pub(super) fn by_id_token(response: Result<CalloutResponse, CalloutError>) -> Result<Self, TokenEndpointError> {
        let (tokens, raw) = TokenResponse::read_for_code(response)?;
        Ok(Self(Stage::IdToken(IdTokenStep { tokens, raw })))
    }

    /// By the provider's API.
    pub(super) fn by_api(
        response: Result<CalloutResponse, CalloutError>,
        begin: impl FnOnce(AccessToken) -> Box<dyn Inquiry>,
    ) -> Result<Self, TokenEndpointError> {
        let access_token = TokenResponse::read(response)?.access_token;
        Ok(Self(Stage::Api(ApiQuestion { inquiry: begin(access_token.clone()), access_token })))
    }

    /// The next step.
    pub fn next(self, provider: &Provider, metadata: &ProviderMetadata) -> Step {
        match self.0 {
            Stage::IdToken(step) => Step::VerifyIdToken(step),
            Stage::Userinfo(verified) => match provider.userinfo(metadata, &verified.tokens.access_token) {
                Some(request) => Step::Call(request, CallStep(Asked::Userinfo(verified))),
                None => {
                    let (identity, granted) = verified.known(None);
                    Step::Known(identity, granted)
                }
            },
            Stage::Api(question) => {
                Step::Call(question.inquiry.request(&provider.relying_party), CallStep(Asked::Api(question)))
            }
            Stage::Known(identity, granted) => Step::Known(identity, granted),
        }
    }
}

impl IdTokenStep {
    /// The ID token.
    pub const fn id_token(&self) -> &RawIdToken {
        &self.raw
    }

    /// The access token that came with it, for `at_hash`.
    pub const fn access_token(&self) -> &AccessToken {
        &self.tokens.access_token
    }

    /// Goes on with the verified ID token.
    pub fn verified(self, id_token: VerifiedIdToken) -> Identification {
        let Self { tokens, raw } = self;
        Identification(Stage::Userinfo(Box::new(Verified { tokens, raw, id_token })))
    }
}

impl CallStep {
    /// Goes on with the answer. Without a good answer there is no identity: claims that the rules ask for may be missing.
    ///
    /// # Errors
    /// [`UserinfoError`]
    pub fn answered(self, response: Result<CalloutResponse, CalloutError>) -> Result<Identification, UserinfoError> {
        match self.0 {
            Asked::Userinfo(verified) => {
                let userinfo = Userinfo::read(response, verified.id_token.subject())?;
                let (identity, granted) = verified.known(Some(userinfo));
                Ok(Identification(Stage::Known(identity, granted)))
            }
            Asked::Api(ApiQuestion { inquiry, access_token }) => {
                Ok(Identification(match inquiry.read(response)? {
                    Progress::Ask(inquiry) => Stage::Api(ApiQuestion { inquiry, access_token }),
                    // Without an ID token nothing continues the session or signs it out: it lasts for its time.
                    Progress::Known(identity) => Stage::Known(
                        identity,
                        Granted { refresh_token: None, access_token, expires_in: None, id_token: None },
                    ),
                }))
            }
        }
    }
}

impl Verified {
    fn known(self, userinfo: Option<Userinfo>) -> (Box<Identity>, Granted) {
        let Self { tokens, raw, id_token } = self;
        let granted = Granted {
            refresh_token: tokens.refresh_token,
            access_token: tokens.access_token,
            expires_in: tokens.expires_in,
            id_token: Some((raw, id_token.claims().expires_at())),
        };
        (Box::new(Identity::of(id_token, userinfo)), granted)
    }
}

#[cfg(test)]
mod tests;
