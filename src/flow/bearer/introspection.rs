//! Token introspection (RFC 7662): one call for each token that cannot be read, whose answer is kept for a while.

use crate::{
    claims::IssuerId,
    http::CalloutError,
    oidc::introspection::{self, Answer},
    secret::RawBearerToken,
    time::Deadline,
};

use super::super::{
    context::{Env, RequestContext},
    event::failure::Failure,
    limits::hold_from,
    memory::{
        bearers::{Basis, CheckedToken, Fingerprint},
        verified_bearer::VerifiedBearer,
    },
};

/// Asks the issuer about a token.
pub(super) async fn introspect(
    id: IssuerId,
    token: &RawBearerToken,
    fingerprint: &Fingerprint,
    cx: &RequestContext,
) -> Result<CheckedToken, Failure> {
    let issuer = cx.config().token_issuer(id).ok_or(Failure::BearerUnknown)?;
    let settings = issuer.introspection().ok_or(Failure::BearerUnknown)?;
    let is_refused = || cx.with(|env| env.bearers.is_refused(fingerprint, env.now()));
    if is_refused()? {
        return Err(Failure::BearerInactive);
    }
    let deadline = hold_from(cx.now());
    let endpoint = |env: &mut Env<'_>| env.issuers.introspection_endpoint(id, env.now()).cloned();
    let endpoint = match cx.with(endpoint)? {
        Some(endpoint) => endpoint,
        // The issuer's metadata is not loaded yet.
        None => {
            let _held = cx.take_unauthenticated_slot().ok_or(Failure::ProviderNotReady)?;
            let endpoint = cx.until(deadline, endpoint).await?.ok_or(Failure::ProviderNotReady)?;
            // Meanwhile another request may have found the token inactive.
            if is_refused()? {
                return Err(Failure::BearerInactive);
            }
            endpoint
        }
    };
    let request = introspection::request(issuer, settings, &endpoint, token, cx.call_context())?;
    let was_active = cx.with(|env| {
        let known = env.bearers.find(fingerprint);
        known.is_some_and(|(bearer, _)| !env.has_expired(&bearer))
    })?;
    let limit = if was_active { &cx.limits().introspecting_again } else { &cx.limits().introspecting };
    let answer = loop {
        let slot = limit.take().ok_or(Failure::Busy)?;
        let answer = cx.call(request.clone()).await;
        drop(slot);
        // Envoy takes no request with a body for a host name that it has yet to resolve.
        if !answer.as_ref().is_err_and(CalloutError::was_not_sent) || deadline.has_passed(cx.now()) {
            break answer;
        }
        let Some(_held) = cx.take_unauthenticated_slot() else { break answer };
        cx.pause().await;
    };
    let kept_for = Deadline::after(settings.cache, cx.now());
    let answered = answer.as_ref().map_or(0, |answer| answer.body.len());
    match introspection::read(answer, issuer, cx.now(), cx.config().leeway)? {
        Answer::Active(active) => {
            Ok(CheckedToken { bearer: VerifiedBearer::active(active), basis: Basis::Answer(kept_for), answered })
        }
        Answer::Inactive => cx.with(|env| {
            env.bearers.forget(fingerprint);
            env.bearers.refuse(*fingerprint, kept_for);
            Err(Failure::BearerInactive)
        })?,
        Answer::Refused(error) => cx.with(|env| {
            env.bearers.forget(fingerprint);
            Err(Failure::BearerRefused(error))
        })?,
    }
}
