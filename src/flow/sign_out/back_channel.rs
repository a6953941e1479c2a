//! Back-Channel Logout 1.0: the provider posts a logout token.

use crate::{
    claims::IssuerId,
    config::Config,
    http::{LocalReply, Request, parameter},
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::{
        logout_token::{LogoutToken, LogoutTokenError},
        security_event::Subject,
    },
    secret::RawLogoutToken,
};

use super::{
    super::{
        body::is_form,
        context::Env,
        event::{Event, failure::Failure},
        executor::Gate,
    },
    signed_message::{self, Claimed, Kind, Message},
};

static LOGOUT_TOKEN: Kind = Kind {
    label: "jti",
    taken: (200, "logged_out"),
    is_on: |settings| settings.back_channel,
    has_type: is_form,
    malformed: || Failure::LogoutMalformed,
    token: |body| parameter(body, "logout_token"),
    claimed: claimed_provider,
    verify: verify_logout_token,
    has_own_sids: false,
    event: |issuer, id| Event::LoggedOut(issuer, Some(id)),
};

/// Decides a request for the back-channel logout path.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    signed_message::begin(&LOGOUT_TOKEN, request, env)
}

/// The provider that the token says it is of.
fn claimed_provider(token: &RawLogoutToken, config: &Config) -> Result<Claimed, Failure> {
    let unverified = UnverifiedJws::parse(token.expose()).map_err(|_| Failure::LogoutMalformed)?;
    let issuer = unverified.claimed_issuer().ok_or(Failure::LogoutMalformed)?;
    let known = config.providers.iter().find(|provider| provider.issuer().expected().may_be(&issuer));
    let other = LogoutTokenError::Claim(ClaimError::IssuerMismatch);
    let claimed = known.map(|provider| Claimed { provider: provider.id, signer: provider.id });
    claimed.ok_or(Failure::LogoutToken(other))
}

fn verify_logout_token(raw: &RawLogoutToken, provider: IssuerId, env: &Env<'_>) -> Result<Message, Failure> {
    let known = env.issuers.ready(provider, env.now()).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose()).map_err(|_| Failure::LogoutMalformed)?;
    let algorithms = &known.provider.algorithms();
    let token = verify(&unverified, &known.keys, algorithms, Origin::Request(env.now()), env.platform)
        .map_err(Failure::LogoutTokenSignature)?;
    let checked = known.provider.check_logout_token(token, env.now(), env.config.leeway);
    let LogoutToken { id, subject, sid, expires } = checked.map_err(Failure::LogoutToken)?;
    Ok(Message { id, expires, subjects: vec![Subject { user: subject, session: sid }], ignored: Vec::new() })
}
