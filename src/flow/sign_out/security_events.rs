//! Security events that a provider pushes (RFC 8935): each request has one security event token as its body.

use crate::{
    config::Config,
    http::{LocalReply, Request},
    jose::{claims::ClaimError, verify::VerifiedJws},
    oidc::security_event::{self, SecurityEventError, SecurityEventToken, Transmitter},
    provider::Provider,
    quoted::Quoted,
};

use super::{
    super::{
        body::has_media_type,
        context::Env,
        event::{Event, failure::Failure},
        executor::Gate,
    },
    signed_message::{self, Message, MessageKind, Sender},
};

static SECURITY_EVENT: MessageKind = MessageKind {
    label: "security event",
    // RFC 8935, 2.2
    accepted: (202, "security_event"),
    is_on: |settings| settings.security_events,
    // RFC 8935, 2.1
    has_type: |request| has_media_type(request, "application/secevent+jwt"),
    malformed: || Failure::SecurityEventMalformed,
    token: |body| std::str::from_utf8(body).ok().map(|text| text.trim_ascii().to_owned()),
    sender,
    bad_signature: Failure::SecurityEventSignature,
    check,
    has_own_sids: true,
    event: Event::SecurityEvent,
};

/// Decides a request for the path of security events.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    signed_message::begin(&SECURITY_EVENT, request, env)
}

fn sender<'a>(issuer: &str, config: &'a Config) -> Result<Sender<'a>, Failure> {
    let known = || config.providers.iter().filter_map(|provider| Some((provider, provider.transmitter.as_deref()?)));
    let exact = |(provider, transmitter): &(&Provider, &Transmitter)| {
        transmitter.issuer.as_deref().unwrap_or_else(|| provider.issuer().as_str()) == issuer
    };
    let of_tenant = |(provider, transmitter): &(&Provider, &Transmitter)| {
        transmitter.issuer.is_none() && provider.issuer().expected().may_be(issuer)
    };
    let other = || SecurityEventError::Claim(ClaimError::IssuerMismatch(Quoted::new(issuer)));
    let found = known().find(exact).or_else(|| known().find(of_tenant));
    let (provider, transmitter) = found.ok_or_else(|| Failure::SecurityEvent(other()))?;
    Ok(Sender { provider, signer: transmitter.id, algorithms: &transmitter.algorithms })
}

fn check(token: VerifiedJws, provider: &Provider, env: &Env<'_>) -> Result<Message, Failure> {
    let transmitter = provider.transmitter.as_deref().ok_or(Failure::ProviderNotReady)?;
    let issuer = provider.issuer().expected();
    let checked = security_event::check(token, transmitter, issuer, env.now(), env.config.leeway);
    let SecurityEventToken { id, expires, subjects, ignored } = checked.map_err(Failure::SecurityEvent)?;
    Ok(Message { id, expires, subjects, ignored })
}
