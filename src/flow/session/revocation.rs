//! Revocation of refresh tokens that are not used any more (RFC 7009).

use std::time::Duration;

use crate::{
    claims::IssuerId,
    oidc::revocation::{self, RevocationError},
    secret::RefreshToken,
    session::Session,
    shared::renewals::{Found, Outcome},
    time::Deadline,
};

use super::super::{
    context::{Env, TaskContext},
    event::{Event, failure::Failure},
    limits::Counted,
    memory::issuers::Ready,
};

/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(15);
/// A failed revocation is retried for this long.
const MAX_REVOKING: Duration = Duration::from_secs(3600);
/// Renewals that one old cookie is followed through. No browser brings an older one.
pub(super) const MAX_CHAIN: usize = 16;

/// Revokes the refresh token that a session has by now, whatever its cookie says, after a sign-out.
pub(in crate::flow) fn revoke_latest(session: &Session, env: &mut Env<'_>) {
    let mut latest = session.clone();
    for _ in 0..MAX_CHAIN {
        let (found, _) = env.renewals.find(&latest.grant_digest(), env.now, env.platform);
        let Found::Own(Outcome::Renewed(next)) = found else { break };
        latest = *next;
    }
    revoke(latest.provider(), latest.refresh_token().cloned(), env);
}

/// Revokes a refresh token (RFC 7009) without a request that waits, where the configuration asks for it.
pub(super) fn revoke(provider: IssuerId, token: Option<RefreshToken>, env: &mut Env<'_>) {
    if let Some(token) = token.filter(|_| env.config.sign_out.revoke) {
        env.spawn(move |cx| revoke_token(provider, token, cx));
    }
}

/// A failure that may pass is retried; the first is reported, and the last.
async fn revoke_token(id: IssuerId, token: RefreshToken, cx: TaskContext) -> Result<(), Failure> {
    let deadline = Deadline::after(MAX_REVOKING, cx.now());
    let mut slot: Option<Counted> = None;
    loop {
        let result = match cx.ready(id) {
            Err(_) => Err(RevocationError::NotReady),
            Ok(Ready { provider, metadata, .. }) => match provider.revocation(&metadata, &token, cx.call_context()) {
                None => return Ok(()),
                Some(request) => revocation::read(cx.call(request?).await),
            },
        };
        let Err(error) = result else { return Ok(()) };
        let is_first = slot.is_none();
        let may_pass = error.is_passing();
        slot = slot.take().or_else(|| cx.limits().retried_revocations.take()).filter(|_| may_pass);
        let gives_up = deadline.has_passed(cx.now()) || slot.is_none();
        if is_first || gives_up {
            cx.with(|env| env.events.push(Event::NotRevoked(env.issuers.name(id), error)))?;
        }
        if gives_up {
            return Ok(());
        }
        cx.sleep(Deadline::after(PAUSE, cx.now())).await;
    }
}
