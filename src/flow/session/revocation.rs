//! Revocation of refresh tokens that are not used any more (RFC 7009).

use std::time::Duration;

use crate::{
    claims::IssuerId,
    oidc::{
        client::CallContext,
        revocation::{self, RevocationError},
    },
    secret::RefreshToken,
    session::Session,
    shared::renewals::{Found, Outcome},
};

use super::super::{
    context::{Env, TaskContext},
    event::{Event, failure::Failure},
    memory::issuers::Ready,
    retry::Retries,
};

/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(15);
/// A failed revocation is retried for this long.
const MAX_REVOKING: Duration = Duration::from_secs(3600);
/// Renewals that one old cookie is followed through. No browser brings an older one.
pub(super) const MAX_CHAIN: usize = 16;

/// Revokes the refresh token of a session after a sign-out: the newest one, which may be newer than that of the cookie.
pub(in crate::flow) fn revoke_latest(session: &Session, env: &mut Env<'_>) {
    let mut latest = session.clone();
    for _ in 0..MAX_CHAIN {
        let (found, _) = env.renewals.find(&latest.grant_digest(), env.now(), env.platform);
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

async fn revoke_token(id: IssuerId, token: RefreshToken, cx: TaskContext) -> Result<(), Failure> {
    let retries = Retries { slots: &cx.limits().retried_revocations, pause: PAUSE, longest: MAX_REVOKING };
    let attempt = async || {
        let Ok(Ready { provider, metadata, .. }) = cx.ready(id) else { return Ok(Err(RevocationError::NotReady)) };
        let other_method = cx.with(|env| env.issuers.takes_other_method(id))?;
        match provider.revocation(&metadata, &token, CallContext { other_method, ..cx.call_context() }) {
            None => Ok(Ok(())),
            Some(request) => Ok(revocation::read(cx.call(request?).await)),
        }
    };
    let report = |error, env: &mut Env<'_>| env.events.push(Event::NotRevoked(env.issuers.name(id), error));
    cx.retry(retries, attempt, RevocationError::is_transient, report).await?;
    Ok(())
}
