//! Back-Channel Logout 1.0: the provider posts a logout token.

use crate::{
    config::Config,
    http::{LocalReply, Request, parameter},
    jose::{claims::ClaimError, verify::VerifiedJws},
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
        event::{Event, failure::Failure},
        executor::Gate,
    },
    signed_message::{self, Message, MessageKind, Sender},
};

static LOGOUT_TOKEN: MessageKind = MessageKind {
    label: "jti",
    accepted: (200, "logged_out"),
    is_on: |settings| settings.back_channel,
    has_type: is_form,
    malformed: || Failure::LogoutMalformed,
    token: |body| parameter(body, "logout_token"),
    sender,
    bad_signature: Failure::LogoutTokenSignature,
    check,
    has_own_sids: false,
    event: |context, id| Event::LoggedOut(context, Some(id)),
};

/// Decides a request for the back-channel logout path.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    signed_message::begin(&LOGOUT_TOKEN, request, env)
}

fn sender<'a>(issuer: &str, config: &'a Config) -> Result<Sender<'a>, Failure> {
    let other = || LogoutTokenError::Claim(ClaimError::IssuerMismatch(Quoted::new(issuer)));
    let provider = config.provider_of_issuer(issuer).ok_or_else(|| Failure::LogoutToken(other()))?;
    Ok(Sender { provider, signer: provider.id, algorithms: provider.algorithms() })
}

fn check(token: VerifiedJws, provider: &Provider, env: &Env<'_>) -> Result<Message, Failure> {
    let checked = provider.check_logout_token(token, env.now(), env.config.leeway);
    let LogoutToken { id, subject, sid, expires } = checked.map_err(Failure::LogoutToken)?;
    Ok(Message { id, expires, subjects: vec![Subject { user: subject, session: sid }], ignored: Vec::new() })
}
