//! Security events that a provider pushes (RFC 8935): each request has one security event token as its body.

use crate::{
    claims::IssuerId,
    config::Config,
    http::{LocalReply, Request},
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::security_event::{self, SecurityEventError, SecurityEventToken, Transmitter},
    provider::Provider,
    secret::RawLogoutToken,
};

use super::{
    super::{
        body::has_media_type,
        context::Env,
        event::{Event, failure::Failure},
        executor::Gate,
    },
    signed_message::{self, Claimed, Kind, Message},
};

static SECURITY_EVENT: Kind = Kind {
    label: "security event",
    // RFC 8935, 2.2
    taken: (202, "security_event"),
    is_on: |settings| settings.security_events,
    // RFC 8935, 2.1
    has_type: |request| has_media_type(request, "application/secevent+jwt"),
    malformed: || Failure::SecurityEventMalformed,
    token: |body| std::str::from_utf8(body).ok().map(|text| text.trim_ascii().to_owned()),
    claimed: claimed_transmitter,
    verify: verify_token,
    has_own_sids: true,
    event: Event::SecurityEvent,
};

/// Decides a request for the path of security events.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    signed_message::begin(&SECURITY_EVENT, request, env)
}

/// The provider whose transmitter the token says it is of.
fn claimed_transmitter(token: &RawLogoutToken, config: &Config) -> Result<Claimed, Failure> {
    let unverified = UnverifiedJws::parse(token.expose()).map_err(|_| Failure::SecurityEventMalformed)?;
    let issuer = unverified.claimed_issuer().ok_or(Failure::SecurityEventMalformed)?;
    let mut known = config.providers.iter().filter_map(with_transmitter);
    let is_its = |(provider, transmitter): &(&Provider, &Transmitter)| match &transmitter.issuer {
        Some(own) => *own == issuer,
        None => provider.issuer().expected().may_be(&issuer),
    };
    let other = SecurityEventError::Claim(ClaimError::IssuerMismatch);
    let (provider, transmitter) = known.find(is_its).ok_or(Failure::SecurityEvent(other))?;
    Ok(Claimed { provider: provider.id, signer: transmitter.id })
}

fn with_transmitter(provider: &Provider) -> Option<(&Provider, &Transmitter)> {
    Some((provider, provider.transmitter.as_deref()?))
}

fn verify_token(raw: &RawLogoutToken, provider: IssuerId, env: &Env<'_>) -> Result<Message, Failure> {
    let known = env.config.provider(provider).and_then(with_transmitter);
    let (provider, transmitter) = known.ok_or(Failure::ProviderNotReady)?;
    let keys = env.issuers.keys(transmitter.id, env.now()).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose()).map_err(|_| Failure::SecurityEventMalformed)?;
    let token = verify(&unverified, keys, &transmitter.algorithms, Origin::Request(env.now()), env.platform)
        .map_err(Failure::SecurityEventSignature)?;
    let issuer = provider.issuer().expected();
    let checked = security_event::check(token, transmitter, issuer, env.now(), env.config.leeway);
    let SecurityEventToken { id, expires, subjects, ignored } = checked.map_err(Failure::SecurityEvent)?;
    Ok(Message { id, expires, subjects, ignored })
}
