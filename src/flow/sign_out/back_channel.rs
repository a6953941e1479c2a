//! Back-Channel Logout 1.0: the provider posts a logout token.

use crate::{
    config::{Config, SignOutSettings},
    http::{LocalReply, Request, parameter},
    jose::{
        claims::ClaimError,
        verify::{VerifiedJws, VerifyError},
    },
    oidc::{
        logout_token::{LogoutToken, LogoutTokenError},
        security_event::Subject,
    },
    provider::Provider,
    quoted::Quoted,
};

use super::{
    super::{
        body::is_form,
        context::Env,
        event::{Event, EventContext, failure::Failure},
        executor::Gate,
    },
    signed_message::{self, Message, MessageKind, Sender},
};

/// Decides a request for the back-channel logout path.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    signed_message::begin(&LogoutTokens, request, env)
}

/// Logout tokens (Back-Channel Logout 1.0, 2.4).
struct LogoutTokens;

impl MessageKind for LogoutTokens {
    fn label(&self) -> &'static str {
        "jti"
    }

    fn accepted(&self) -> (u16, &'static str) {
        (200, "logged_out")
    }

    fn is_on(&self, settings: &SignOutSettings) -> bool {
        settings.back_channel
    }

    fn has_type(&self, request: &Request) -> bool {
        is_form(request)
    }

    fn malformed(&self) -> Failure {
        Failure::LogoutMalformed
    }

    fn token(&self, body: &[u8]) -> Option<String> {
        parameter(body, "logout_token")
    }

    fn sender<'a>(&self, issuer: &str, config: &'a Config) -> Result<Sender<'a>, Failure> {
        let other = || LogoutTokenError::Claim(ClaimError::IssuerMismatch(Quoted::new(issuer)));
        let provider = config.provider_of_issuer(issuer).ok_or_else(|| Failure::LogoutToken(other()))?;
        Ok(Sender { provider, signer: provider.id, algorithms: provider.algorithms() })
    }

    fn bad_signature(&self, error: VerifyError) -> Failure {
        Failure::LogoutTokenSignature(error)
    }

    fn check(&self, token: VerifiedJws, provider: &Provider, env: &Env<'_>) -> Result<Message, Failure> {
        let checked = provider.check_logout_token(token, env.now(), env.config.leeway);
        let LogoutToken { id, subject, sid, expires } = checked.map_err(Failure::LogoutToken)?;
        Ok(Message { id, expires, subjects: vec![Subject { user: subject, session: sid }], ignored: Vec::new() })
    }

    fn has_own_sids(&self) -> bool {
        false
    }

    fn event(&self, context: Box<EventContext>, id: String) -> Event {
        Event::LoggedOut(context, Some(id))
    }
}
