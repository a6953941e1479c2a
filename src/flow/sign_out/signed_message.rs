//! Messages that a provider signs and posts to end sessions: logout tokens and security event tokens. Each counts once.

use std::time::Duration;

use crate::{
    claims::IssuerId,
    config::{Config, SignOutSettings},
    digest::half_digest,
    http::{LocalReply, Request},
    jose::{
        Algorithm,
        jws::UnverifiedJws,
        verify::{Origin, VerifiedJws, VerifyError, verify},
    },
    oidc::security_event::{Ignored, Subject},
    provider::Provider,
    quoted::Quoted,
    secret::RawLogoutToken,
    session::open::RevocationKeys,
    shared::{
        denylist::{DenylistError, Entry, Eviction, SharedDenylist},
        lease::Asker,
    },
    time::UnixTime,
};

use super::super::{
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    context::{Env, RequestContext},
    event::{Event, EventContext, Operation, failure::Failure, omission::Omission},
    executor::Gate,
    keys::verify_with_keys,
    limits::hold_from,
    memory::revocations::{By, Revocation},
    session,
};

/// Messages that are remembered, so that none counts twice.
const CAPACITY: usize = 1024;
/// Upper bound of the time for which one is remembered: the age of a security event token, and a clock that is ahead.
const MAX_REMEMBERED: Duration = Duration::from_secs(25 * 60 * 60);

/// A kind of message.
pub(super) struct MessageKind {
    /// The label of its `jti`s.
    pub(super) label: &'static str,
    /// Status and code of the answer to an accepted message.
    pub(super) accepted: (u16, &'static str),
    /// Whether the configuration accepts it.
    pub(super) is_on: fn(&SignOutSettings) -> bool,
    /// Whether the request has its media type.
    pub(super) has_type: fn(&Request) -> bool,
    /// The failure of a request of another form.
    pub(super) malformed: fn() -> Failure,
    /// The token in a body.
    pub(super) token: fn(&[u8]) -> Option<String>,
    /// The sender with this `iss`.
    pub(super) sender: for<'a> fn(&str, &'a Config) -> Result<Sender<'a>, Failure>,
    /// The failure of a signature.
    pub(super) bad_signature: fn(VerifyError) -> Failure,
    /// Checks the claims of a token with a good signature.
    pub(super) check: fn(VerifiedJws, &Provider, &Env<'_>) -> Result<Message, Failure>,
    /// Whether its `sid`s may differ from those of ID tokens: an unknown `sid` then ends all sessions of the user.
    pub(super) has_own_sids: bool,
    /// The event of a message with this `jti`.
    pub(super) event: fn(Box<EventContext>, String) -> Event,
}

/// The sender of a token, by its `iss`.
pub(super) struct Sender<'a> {
    pub(super) provider: &'a Provider,
    /// The issuer with the keys.
    pub(super) signer: IssuerId,
    /// The accepted algorithms.
    pub(super) algorithms: &'a [Algorithm],
}

/// A message that passed every check.
pub(super) struct Message {
    /// `jti`
    pub(super) id: String,
    /// The message is refused after this time, plus the leeway.
    pub(super) expires: UnixTime,
    /// The subjects of the sessions that end.
    pub(super) subjects: Vec<Subject>,
    /// Events that end no session.
    pub(super) ignored: Vec<(Quoted, Ignored)>,
}

/// Decides a request for the path of these messages.
pub(super) fn begin(kind: &'static MessageKind, request: &Request, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller { kind: Kind::Program, ..Caller::of(request).for_operation(Operation::SignOut) };
    let failure = if !(kind.is_on)(&env.config.sign_out) {
        Failure::ReservedPath
    } else if request.method() != "POST" {
        Failure::LogoutMethod("POST")
    } else if !(kind.has_type)(request) || request.ends_with_headers() {
        (kind.malformed)()
    } else {
        return Gate::flow(move |cx| receive(kind, caller, cx));
    };
    answer::refuse(failure, &caller, Offer::default(), env).into()
}

async fn receive(kind: &'static MessageKind, mut caller: Caller, cx: RequestContext) -> LocalReply {
    match end_sessions(kind, &mut caller, &cx).await {
        Ok(()) => answer::empty(kind.accepted.0, kind.accepted.1),
        Err(failure) => cx.refuse(failure, &caller, Offer::default()),
    }
}

/// Ends the sessions that the message names. The answer comes once every Envoy can know it: where that fails the provider
/// is told to try again, and the message still counts as new then.
async fn end_sessions(kind: &'static MessageKind, caller: &mut Caller, cx: &RequestContext) -> Result<(), Failure> {
    let body = cx.body().await?;
    let raw = RawLogoutToken::new((kind.token)(&body).ok_or_else(kind.malformed)?);
    let unverified = UnverifiedJws::parse(raw.expose()).map_err(|_| (kind.malformed)())?;
    let issuer = unverified.claimed_issuer().ok_or_else(kind.malformed)?;
    let Sender { provider, signer, algorithms } = (kind.sender)(&issuer, cx.config())?;
    caller.issuer = Some(provider.id);
    let verify_now = |env: &Env<'_>| {
        let keys = env.issuers.keys(signer, env.now()).ok_or(Failure::ProviderNotReady)?;
        let token = verify(&unverified, keys, algorithms, Origin::Request(env.now()), env.platform)
            .map_err(kind.bad_signature)?;
        (kind.check)(token, provider, env)
    };
    let message = verify_with_keys(signer, Asker::Unauthenticated, hold_from(cx.now()), cx, verify_now).await?;
    let revocations = cx.with(|env| end_here(kind, provider.id, message, caller, env))??;
    // A message that comes again must not count again: it would end a session that has begun since.
    let Some((revocations, used)) = revocations else { return Ok(()) };
    if let Some(store) = &cx.config().session.store {
        session::store::end(store, &revocations, cx).await?;
    }
    cx.with(|env| remember(used, env))
}

/// Ends the sessions that a message names, in this process alone. `None` where it names none, or has come before.
fn end_here(
    kind: &MessageKind,
    provider: IssuerId,
    message: Message,
    caller: &Caller,
    env: &mut Env<'_>,
) -> Result<Option<(Vec<Revocation>, Entry)>, Failure> {
    for (event, reason) in message.ignored {
        let omission = Omission::SecurityEvent { issuer: env.issuers.name(provider), event, reason };
        env.omissions.report(omission, env.events);
    }
    let keep = message.expires.plus(env.config.leeway.span()).since(env.now()).min(MAX_REMEMBERED);
    let digest = half_digest(kind.label, &[provider.as_bytes(), message.id.as_bytes()]);
    let used = Entry::now(digest, env.now(), keep);
    if message.subjects.is_empty() || is_used(&used, env) {
        return Ok(None);
    }
    let revocations: Vec<_> =
        message.subjects.iter().flat_map(|subject| revocations(kind, provider, subject, env)).collect();
    let context = EventContext {
        issuer: Some(env.issuers.name(provider)),
        subject: message.subjects.into_iter().find_map(|subject| subject.user),
        session: None,
        request_id: caller.request_id.clone(),
    };
    env.events.push((kind.event)(Box::new(context), message.id));
    for revocation in &revocations {
        match session::end_here(revocation, By::Provider, env) {
            // The list has no room, but the store takes it.
            Err(DenylistError::Full) if env.config.session.store.is_some() => {}
            Err(_) => return Err(Failure::Busy),
            Ok(()) => {}
        }
        // The store is told even where the provider does not wait for the answer.
        session::store::end_soon(revocation, move |env| remember(used, env), env);
    }
    Ok(Some((revocations, used)))
}

/// The sessions of a subject (Back-Channel Logout 1.0, 2.4): with a `sid`, those with this `sid`, and those of its user without a
/// `sid`; without a `sid`, all sessions of its user.
fn revocations(kind: &MessageKind, provider: IssuerId, subject: &Subject, env: &Env<'_>) -> Vec<Revocation> {
    let user = subject.user.as_deref().map(|user| RevocationKeys::of_subject(provider, user));
    let of = |mark, owner| Revocation::of(mark, owner, &env.config.session.lifetimes, env.now());
    if let Some(sid) = &subject.session {
        let sid = RevocationKeys::of_sid(provider, sid);
        let known = env.revocations.subject_of(&sid, env.now(), env.platform);
        if known.is_some() || user.is_none() || !kind.has_own_sids {
            let nameless = user.as_ref().map(RevocationKeys::of_subject_without_sid);
            return [Some(sid), nameless].into_iter().flatten().map(|mark| of(mark, user.or(known))).collect();
        }
    }
    user.map(|mark| of(mark, user)).into_iter().collect()
}

/// Remembers a message whose sessions are ended.
fn remember(used: Entry, env: &mut Env<'_>) {
    // If this fails, the message counts again: its user has to sign in once more.
    let _ = used_messages(&key(env)).claim(used, env.now(), env.platform);
}

fn is_used(message: &Entry, env: &Env<'_>) -> bool {
    let used = used_messages(&key(env)).entries(env.platform).list;
    used.iter().any(|entry| entry.digest == message.digest)
}

fn key(env: &Env<'_>) -> String {
    format!("vestibule.{}.logout_tokens_heard", env.config.fingerprint)
}

const fn used_messages(key: &str) -> SharedDenylist<'_> {
    SharedDenylist { key, capacity: CAPACITY, eviction: Eviction::Oldest }
}
