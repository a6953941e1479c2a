//! The identity of a sign-in, learned from the answer of the token endpoint: by an ID token and userinfo, or from the
//! provider's API. Nothing here makes a call: the caller follows each [`Step`].

use std::time::Duration;

use super::{
    Provider,
    identity::Identity,
    inquiry::{Inquiry, Progress},
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse},
    oidc::{
        Issuer,
        client::{AuthenticationError, CallContext},
        id_token::VerifiedIdToken,
        provider_metadata::ProviderMetadata,
        token::{TokenEndpointError, TokenResponse, TokenType},
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
    /// The ID token is verified, and further claims are to be asked for.
    Verified(Box<Verified>),
    /// The provider is to be asked about the user.
    Question(Question),
    /// The identity is known.
    Known(Box<Identity>, Granted),
}

/// The next step.
#[derive(Debug)]
pub enum Step {
    /// Make this call, and hand over its answer.
    Call(CallStep),
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
pub struct CallStep(Question);

/// A question about the user, and what the identity is made of with its answer.
#[derive(Debug)]
struct Question {
    inquiry: Box<dyn Inquiry>,
    basis: Basis,
}

#[derive(Debug)]
enum Basis {
    /// An ID token, to which the answer adds claims.
    IdToken(Box<Verified>),
    /// The answer alone, of this issuer.
    Answer(Issuer, Box<TokenResponse>),
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
    pub(super) fn by_id_token(
        response: Result<CalloutResponse, CalloutError>,
        wanted: TokenType,
    ) -> Result<Self, TokenEndpointError> {
        let (tokens, raw) = TokenResponse::read_for_code(response, wanted)?;
        Ok(Self(Stage::IdToken(IdTokenStep { tokens, raw })))
    }

    /// By the answers to these questions, which the access token asks.
    pub(super) fn by_answers(inquiry: Box<dyn Inquiry>, issuer: &Issuer, tokens: TokenResponse) -> Self {
        let basis = Basis::Answer(issuer.clone(), Box::new(tokens));
        Self(Stage::Question(Question { inquiry, basis }))
    }

    /// The next step.
    pub fn next(self, provider: &Provider, metadata: &ProviderMetadata) -> Step {
        match self.0 {
            Stage::IdToken(step) => Step::VerifyIdToken(step),
            Stage::Verified(verified) => {
                let (token, subject) = (&verified.tokens.access_token, verified.id_token.subject());
                match provider.inquiry(metadata, token, subject) {
                    Some(inquiry) => Step::Call(CallStep(Question { inquiry, basis: Basis::IdToken(verified) })),
                    None => {
                        let (identity, granted) = verified.known(None);
                        Step::Known(identity, granted)
                    }
                }
            }
            Stage::Question(question) => Step::Call(CallStep(question)),
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
        Identification(Stage::Verified(Box::new(Verified { tokens, raw, id_token })))
    }
}

impl CallStep {
    /// The call.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn request(
        &self,
        provider: &Provider,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        self.0.inquiry.request(&provider.relying_party, context)
    }

    /// Goes on with the answer. Without a good answer there is no identity: claims that the rules ask for may be missing.
    ///
    /// # Errors
    /// [`UserinfoError`]
    pub fn answered(self, response: Result<CalloutResponse, CalloutError>) -> Result<Identification, UserinfoError> {
        let Question { inquiry, basis } = self.0;
        let userinfo = match inquiry.read(response)? {
            Progress::Ask(inquiry) => return Ok(Identification(Stage::Question(Question { inquiry, basis }))),
            Progress::Known(userinfo) => *userinfo,
        };
        let (identity, granted) = match basis {
            Basis::IdToken(verified) => verified.known(Some(userinfo)),
            Basis::Answer(issuer, tokens) => {
                let identity = Box::new(Identity::of_userinfo(userinfo, &issuer));
                let TokenResponse { access_token, refresh_token, expires_in, .. } = *tokens;
                (identity, Granted { refresh_token, access_token, expires_in, id_token: None })
            }
        };
        Ok(Identification(Stage::Known(identity, granted)))
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
