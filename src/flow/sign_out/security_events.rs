//! Security events that a provider pushes (RFC 8935): each request has one security event token as its body.

use crate::{
    config::{Config, SignOutSettings},
    http::{LocalReply, Request},
    jose::{
        claims::ClaimError,
        verify::{VerifiedJws, VerifyError},
    },
    oidc::security_event::{self, SecurityEventError, SecurityEventToken, Transmitter},
    provider::Provider,
    quoted::Quoted,
};

use super::{
    super::{
        body::has_media_type,
        context::Env,
        event::{Event, EventContext, failure::Failure},
        executor::Gate,
    },
    signed_message::{self, Message, MessageKind, Sender},
};

/// Decides a request for the path of security events.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    signed_message::begin(&SecurityEventTokens, request, env)
}

/// Security event tokens (RFC 8417).
struct SecurityEventTokens;

impl MessageKind for SecurityEventTokens {
    fn label(&self) -> &'static str {
        "security event"
    }

    // RFC 8935, 2.2
    fn accepted(&self) -> (u16, &'static str) {
        (202, "security_event")
    }

    fn is_on(&self, settings: &SignOutSettings) -> bool {
        settings.security_events
    }

    // RFC 8935, 2.1
    fn has_type(&self, request: &Request) -> bool {
        has_media_type(request, "application/secevent+jwt")
    }

    fn malformed(&self) -> Failure {
        Failure::SecurityEventMalformed
    }

    fn token(&self, body: &[u8]) -> Option<String> {
        std::str::from_utf8(body).ok().map(|text| text.trim_ascii().to_owned())
    }

    fn sender<'a>(&self, issuer: &str, config: &'a Config) -> Result<Sender<'a>, Failure> {
        let known =
            || config.providers.iter().filter_map(|provider| Some((provider, provider.transmitter.as_deref()?)));
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

    fn bad_signature(&self, error: VerifyError) -> Failure {
        Failure::SecurityEventSignature(error)
    }

    fn check(&self, token: VerifiedJws, provider: &Provider, env: &Env<'_>) -> Result<Message, Failure> {
        let transmitter = provider.transmitter.as_deref().ok_or(Failure::ProviderNotReady)?;
        let issuer = provider.issuer().expected();
        let checked = security_event::check(token, transmitter, issuer, env.now(), env.config.leeway);
        let SecurityEventToken { id, expires, subjects, ignored } = checked.map_err(Failure::SecurityEvent)?;
        Ok(Message { id, expires, subjects, ignored })
    }

    fn has_own_sids(&self) -> bool {
        true
    }

    fn event(&self, context: Box<EventContext>, id: String) -> Event {
        Event::SecurityEvent(context, id)
    }
}
