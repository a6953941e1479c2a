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
    oidc::security_event::{self, SecurityEventError, SecurityEventToken, Subject, Transmitter},
    provider::Provider,
    secret::RawLogoutToken,
    session::open::RevocationKeys,
    shared::lease::Asker,
};

use super::{
    super::{
        answer::{
            self, Offer,
            caller::{Caller, Kind},
        },
        context::{Env, RequestContext},
        event::{Event, failure::Failure, omission::Omission},
        executor::Gate,
        keys::verify_with_keys,
        limits::hold_from,
        memory::revocations::Revocation,
    },
    signed_message::{SignedMessage, revocations},
};

/// Decides a request for the path of security events.
pub(in crate::flow) fn begin(request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller { kind: Kind::Program, ..Caller::of(request) };
    let failure = if !env.config.sign_out.security_events {
        Failure::ReservedPath
    } else if request.method() != "POST" {
        Failure::LogoutMethod("POST")
    } else if !is_security_event(request) || request.ends_with_headers() {
        Failure::SecurityEventMalformed
    } else {
        return Gate::flow(move |cx| take(caller, cx));
    };
    answer::refuse(failure, &caller, Offer::default(), env).into()
}

/// RFC 8935, 2.1
fn is_security_event(request: &Request) -> bool {
    let content_type = request.text("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/secevent+jwt")
}

async fn take(mut caller: Caller, cx: RequestContext) -> LocalReply {
    match end_sessions(&mut caller, &cx).await {
        // RFC 8935, 2.2
        Ok(()) => answer::empty(202, "security_event"),
        Err(failure) => cx.refuse(failure, &caller, Offer::default()),
    }
}

/// Ends the sessions of the subjects that the token names.
async fn end_sessions(caller: &mut Caller, cx: &RequestContext) -> Result<(), Failure> {
    let body = cx.body().await?;
    let text = std::str::from_utf8(&body).map_err(|_| Failure::SecurityEventMalformed)?;
    let raw = RawLogoutToken::new(text.trim_ascii().to_owned());
    let (provider, transmitter) = claimed_transmitter(&raw, cx.config())?;
    let id = provider.id;
    caller.issuer = Some(id);
    let verify_now = |env: &Env<'_>| verify_token(&raw, provider, transmitter, env);
    let token =
        verify_with_keys(transmitter.id, Asker::Unauthenticated, hold_from(cx.now()), cx, verify_now).await?;
    let SecurityEventToken { id: jti, expires, subjects, ignored } = token;
    let (message, revocations, event) = cx.with(|env| {
        let issuer = env.issuers.name(id);
        for (event, reason) in ignored {
            let omission = Omission::SecurityEvent { issuer: issuer.clone(), event, reason };
            env.omissions.report(omission, env.events);
        }
        let message = SignedMessage::new("security event", id, &jti, expires, env);
        let revocations: Vec<_> = subjects.iter().flat_map(|subject| of_subject(id, subject, env)).collect();
        (message, revocations, Event::SecurityEvent(issuer, jti))
    })?;
    if revocations.is_empty() {
        return Ok(());
    }
    message.end_once(revocations, event, cx).await
}

/// The provider whose transmitter the token says it is of.
fn claimed_transmitter<'a>(
    token: &RawLogoutToken,
    config: &'a Config,
) -> Result<(&'a Provider, &'a Transmitter), Failure> {
    let unverified = UnverifiedJws::parse(token.expose()).map_err(|_| Failure::SecurityEventMalformed)?;
    let issuer = unverified.claimed_issuer().ok_or(Failure::SecurityEventMalformed)?;
    let mut known = config.providers.iter().filter_map(|provider| Some((provider, provider.transmitter.as_deref()?)));
    let is_its = |(provider, transmitter): &(&Provider, &Transmitter)| match &transmitter.issuer {
        Some(own) => *own == issuer,
        None => provider.issuer().expected().may_be(&issuer),
    };
    let other = SecurityEventError::Claim(ClaimError::IssuerMismatch);
    known.find(is_its).ok_or(Failure::SecurityEvent(other))
}

fn verify_token(
    raw: &RawLogoutToken,
    provider: &Provider,
    transmitter: &Transmitter,
    env: &Env<'_>,
) -> Result<SecurityEventToken, Failure> {
    let keys = env.issuers.keys(transmitter.id, env.now()).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose()).map_err(|_| Failure::SecurityEventMalformed)?;
    let token = verify(&unverified, keys, &transmitter.algorithms, Origin::Request(env.now()), env.platform)
        .map_err(Failure::SecurityEventSignature)?;
    security_event::check(token, transmitter, provider.issuer().expected(), env.now(), env.config.leeway)
        .map_err(Failure::SecurityEvent)
}

/// The sessions of a subject. A session that this process has not seen under this name may be called otherwise in ID tokens: then
/// all sessions of its user end, where the user is named.
fn of_subject(provider: IssuerId, Subject { user, session }: &Subject, env: &Env<'_>) -> Vec<Revocation> {
    let is_known = |sid: &&String| {
        env.revocations.subject_of(&RevocationKeys::of_sid(provider, sid), env.now(), env.platform).is_some()
    };
    let sid = session.as_ref().filter(|sid| user.is_none() || is_known(sid));
    revocations(provider, user.as_deref(), sid.map(String::as_str), env)
}
