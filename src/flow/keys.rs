//! Signed tokens are verified with the keys that are known, and again where newer ones may help: a provider may rotate its
//! keys just before it signs.

use crate::{
    claims::IssuerId,
    jose::{
        jws::UnverifiedJws,
        verify::{Origin, VerifyError, verify},
    },
    oidc::{
        id_token::{self, Occasion, VerifiedIdToken},
        userinfo::{self, UserinfoError},
    },
    provider::Provider,
    secret::{AccessToken, RawIdToken},
    shared::lease::{Asker, KeyRequest, Lack},
    time::Deadline,
};

use super::{
    context::{CalloutResult, Env, TaskContext},
    event::failure::Failure,
    limits::hold_from,
    memory::issuers::Ready,
};

/// Verifies an ID token from the token endpoint of this provider (OIDC Core, 3.1.3.7 and 12.2).
///
/// # Errors
/// The failures of ID tokens, and those of [`verify_with_keys`].
pub(super) async fn verify_id_token(
    provider: IssuerId,
    id_token: &RawIdToken,
    access_token: &AccessToken,
    occasion: Occasion<'_>,
    cx: &TaskContext,
) -> Result<VerifiedIdToken, Failure> {
    let unverified = UnverifiedJws::parse(id_token.expose()).map_err(Failure::IdTokenMalformed)?;
    let verify_now = |env: &Env<'_>| {
        let Ready { provider, keys, .. } = env.issuers.ready(provider, env.now()).ok_or(Failure::ProviderNotReady)?;
        let token = verify(&unverified, &keys, provider.algorithms(), Origin::TokenEndpoint, env.platform)
            .map_err(Failure::IdTokenSignature)?;
        let expected = provider.expected_id_token(occasion, access_token, env.now(), env.config.leeway);
        Ok(id_token::check(token, &expected)?)
    };
    verify_with_keys(provider, Asker::Provider, hold_from(cx.now()), cx, verify_now).await
}

/// Opens an answer of this provider's userinfo endpoint that is signed (OIDC Core, 5.3.2). One that is not is returned unchanged.
///
/// # Errors
/// The failures of userinfo, and those of [`verify_with_keys`].
pub(super) async fn open_userinfo(
    provider: &Provider,
    answer: CalloutResult,
    cx: &TaskContext,
) -> Result<CalloutResult, Failure> {
    // Providers that speak OAuth 2.0 alone sign no answer.
    let signed = answer.as_ref().ok().filter(|_| provider.openid().is_some()).and_then(userinfo::signed);
    let Some(signed) = signed else { return Ok(answer) };
    let unverified = UnverifiedJws::parse(signed).map_err(UserinfoError::SignedMalformed)?;
    let verify_now = |env: &Env<'_>| {
        let Ready { provider, keys, .. } =
            env.issuers.ready(provider.id, env.now()).ok_or(Failure::ProviderNotReady)?;
        let token = verify(&unverified, &keys, provider.algorithms(), Origin::TokenEndpoint, env.platform)
            .map_err(Failure::UserinfoSignature)?;
        Ok(provider.open_userinfo(token, env.now(), env.config.leeway)?)
    };
    verify_with_keys(provider.id, Asker::Provider, hold_from(cx.now()), cx, verify_now).await.map(Ok)
}

/// Verifies a token of this issuer by `verify`, and waits until the deadline for keys, or newer keys, that it needs.
///
/// # Errors
/// Those of `verify`, and [`Failure::Busy`] if no slot for unauthenticated requests is free.
pub(super) async fn verify_with_keys<T>(
    issuer: IssuerId,
    asker: Asker,
    deadline: Deadline,
    cx: &TaskContext,
    verify: impl Fn(&Env<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let first = cx.with(|env| verify_first(issuer, asker, env, &verify))?;
    verify_again(first, issuer, asker, deadline, cx, verify).await
}

/// [`verify_with_keys`] after the first attempt.
///
/// # Errors
/// Those of [`verify_with_keys`].
pub(super) async fn verify_again<T>(
    mut attempt: Attempt<T>,
    issuer: IssuerId,
    asker: Asker,
    deadline: Deadline,
    cx: &TaskContext,
    verify: impl Fn(&Env<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut slot = None;
    let mut may_wait = || {
        if slot.is_none() && asker == Asker::Unauthenticated {
            slot = cx.take_unauthenticated_slot();
        }
        slot.is_some() || asker == Asker::Provider
    };
    if let Attempt::NotReady = attempt {
        if !may_wait() {
            return Err(Failure::ProviderNotReady);
        }
        if cx.until(deadline, |env| env.issuers.is_ready(issuer, env.now()).then_some(())).await?.is_none() {
            return Err(Failure::ProviderNotReady);
        }
        // A newer key may still help, as it may help a token that comes now.
        attempt = cx.with(|env| verify_first(issuer, asker, env, &verify))?;
    }
    match attempt {
        Attempt::Done(outcome) => return outcome,
        Attempt::NeedsKeys if may_wait() => {}
        Attempt::NeedsKeys => return Err(Failure::Busy),
        Attempt::NotReady => return Err(Failure::ProviderNotReady),
    }
    loop {
        let version = cx.with(|env| env.issuers.keys_version(issuer))?;
        let has_news = |env: &mut Env<'_>| {
            let has_other_keys = env.issuers.keys_version(issuer) != version;
            let is_over = has_other_keys || !env.issuers.wants_keys(issuer, env.now());
            (env.issuers.is_ready(issuer, env.now()) && is_over).then_some(())
        };
        let _ = cx.until(deadline, has_news).await?;
        let attempt = cx.with(|env| {
            let outcome = verify(env);
            let may_help = !deadline.has_passed(env.now()) && lack(outcome.as_ref().err()).is_some();
            if may_help && env.issuers.wants_keys(issuer, env.now()) {
                return Attempt::NeedsKeys;
            }
            if outcome.is_ok() {
                env.issuers.withdraw_key_request(issuer);
            }
            Attempt::Done(outcome)
        })?;
        if let Attempt::Done(outcome) = attempt {
            return outcome;
        }
    }
}

/// The result of one attempt to verify a token.
pub(super) enum Attempt<T> {
    Done(Result<T, Failure>),
    /// Newer keys may help, and were asked for.
    NeedsKeys,
    /// No keys are known yet.
    NotReady,
}

/// Verifies a token of this issuer by `verify` with the keys that are known, and asks for newer ones that it may need.
pub(super) fn verify_first<T>(
    issuer: IssuerId,
    asker: Asker,
    env: &mut Env<'_>,
    verify: &impl Fn(&Env<'_>) -> Result<T, Failure>,
) -> Attempt<T> {
    let mut outcome = verify(env);
    // Another worker may have met the new key before.
    if lack(outcome.as_ref().err()).is_some() && env.issuers.look(issuer, env.platform, env.now()) {
        outcome = verify(env);
    }
    match lack(outcome.as_ref().err()) {
        Some(lack)
            if env.issuers.ask_for_keys(issuer, KeyRequest { asker, lack }, env.platform, env.now(), env.events) =>
        {
            Attempt::NeedsKeys
        }
        _ if matches!(outcome, Err(Failure::ProviderNotReady)) => Attempt::NotReady,
        _ => Attempt::Done(outcome),
    }
}

/// The lack of the known keys, where newer ones may verify the token.
fn lack(failure: Option<&Failure>) -> Option<Lack> {
    let error = match failure {
        Some(
            Failure::BearerSignature(error)
            | Failure::LogoutTokenSignature(error)
            | Failure::IdTokenSignature(error)
            | Failure::SecurityEventSignature(error)
            | Failure::UserinfoSignature(error),
        ) => error,
        _ => return None,
    };
    match error {
        VerifyError::BadSignature(_) | VerifyError::KeyMismatch(_) => Some(Lack::Signature),
        VerifyError::NamelessKey(_) | VerifyError::UnknownKey(_) => Some(Lack::Key),
        VerifyError::AlgorithmNotAllowed(_) | VerifyError::BadPayload(_) | VerifyError::Throttled => None,
    }
}
