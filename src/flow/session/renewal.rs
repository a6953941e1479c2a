//! Renewal of sessions with their refresh tokens: ahead of time while they are in use, in place, and once for all requests of
//! all workers of this process.
//!
//! Most providers take a refresh token once, and some end everything when it comes twice. So a worker that finds a session
//! due writes a lease into the data that workers share, renews the session as a task of its own (a client that leaves takes
//! nothing along), and leaves the outcome where the lease was. Another request with the old cookie finds it there: the
//! renewed session, which it gets as its cookie too, so that no order of answers leaves a browser with a dead one; or a
//! refusal; or a pause, because the provider is in trouble. None of that ends a session that is still good.

use std::time::Duration;

use crate::{
    claims::{Claim, Claims, IssuerId, ObjectKeys},
    jose::claims::ClaimError,
    oidc::{
        client::CallContext,
        dpop::ProofServer,
        error::{OAuthError, UnexpectedStatus},
        id_token::{IdTokenError, Occasion, VerifiedIdToken},
        token::{TokenEndpointError, TokenResponse},
        userinfo::{Userinfo, UserinfoError},
    },
    provider::inquiry::Progress,
    provisioning::{self, ProvisioningError},
    quoted::Quoted,
    secret::RefreshToken,
    session::{
        KeptClaims, MIN_TOKEN_LIFE, Renewal, Session,
        open::RevocationKeys,
        store::{Reference, Store},
    },
    shared::renewals::{Outcome, Place},
    time::{Deadline, UnixTime},
};

use super::{
    super::{
        context::{Env, TaskContext},
        event::{Event, failure::Failure, omission::Omission},
        keys::{open_userinfo, verify_id_token},
        limits::MAX_HOLD,
        memory::{
            issuers::Ready,
            revocations::{By, Revocation},
        },
        provisioning::provision,
    },
    end, end_here,
    revocation::revoke,
    store,
};

/// Sentinel in [`Outcome::Refused`] in place of the time: the refusal ends the session at once.
pub(super) const REFUSED_FINALLY: UnixTime = UnixTime::from_secs(0);
/// The time without another try after the provider was in trouble.
const PAUSE: Duration = Duration::from_secs(15);
/// The time that another process has to renew a session before this one looks again.
const OTHERS: Duration = Duration::from_secs(2);
/// Lower bound of a lease in the store.
const MIN_LEASE: Duration = Duration::from_secs(45);
/// The time by which a lease in the store outlasts all that is done under it.
const SLACK: Duration = Duration::from_secs(5);

/// Begins to renew a session, unless another request does or its provider is not known.
pub(super) fn begin(session: &Session, request_id: Option<String>, place: &Place, env: &mut Env<'_>) -> bool {
    let Some(provider) = env.issuers.ready(session.provider(), env.now()) else { return false };
    // One second more than the calls may take, one for the rounding of the clock, and time for a key.
    let until = env.now().plus(provider.time_to_renew()).plus(MAX_HOLD).plus(Duration::from_secs(2));
    let (grant, lease) = (session.grant_digest(), Outcome::Leased(until));
    let is_ours = env.renewals.write(place, &grant, &lease, env.now(), env.platform).is_ok();
    if is_ours {
        // A request made it; it is no idle session, however long the provider takes.
        let session = session.seen_at(env.now());
        env.spawn(move |cx| renew(session, request_id, cx));
    }
    is_ours
}

/// Renews a session, and leaves the outcome for the requests that bring it.
async fn renew(session: Session, request_id: Option<String>, cx: TaskContext) -> Result<(), Failure> {
    let outcome = match take_store_lease(&session, &cx).await? {
        Some(outcome) => outcome,
        None => refresh(&session, request_id, &cx).await?,
    };
    cx.with(|env| settle(&session, &outcome, env))
}

/// Leaves the outcome where the lease was.
fn settle(session: &Session, outcome: &Outcome, env: &mut Env<'_>) {
    env.renewals.settle(&session.grant_digest(), outcome, env.now(), env.platform);
}

/// Takes the lease in the store, so that no other process renews the session, and looks whether one has done so before.
/// `None` if this process must renew.
async fn take_store_lease(session: &Session, cx: &TaskContext) -> Result<Option<Outcome>, Failure> {
    let Some(store) = &cx.config().session.store else { return Ok(None) };
    let request = store.lease(&session.grant_digest(), lease(store, session, cx));
    let elsewhere = |pause, env: &mut Env<'_>| Outcome::Elsewhere(env.now().plus(pause));
    let found = match Store::lease_answer(cx.call(request).await) {
        Ok(true) => {
            // Requests that arrive during the load read the store too.
            cx.with(|env| env.stored.forget(session))?;
            store::load(store, &Reference::of(session), cx).await
        }
        // The process that has the lease writes the renewed session into the store, where the next request finds it.
        Ok(false) => {
            return cx.with(|env| {
                env.stored.forget(session);
                Some(elsewhere(OTHERS, env))
            });
        }
        Err(error) => Err(error),
    };
    cx.with(|env| {
        env.stored.forget(session);
        match found {
            Ok(Some(stored)) if stored.is_newer_than(session) => Some(Outcome::Renewed(Box::new(stored))),
            // An older or equal generation: if older, the store lost a write. This process renews.
            Ok(Some(_)) => None,
            // It has ended.
            Ok(None) => {
                let revocation = Revocation::of_session(session, &env.config.session.lifetimes);
                let _ = end_here(&revocation, By::Refusal, env);
                Some(Outcome::Refused(REFUSED_FINALLY))
            }
            Err(error) => {
                env.events.push(Event::NotStored(error));
                Some(elsewhere(PAUSE, env))
            }
        }
    })
}

/// Lifetime of the lease in the store: the time to load the session, call the provider, fetch a key and save the outcome.
fn lease(store: &Store, session: &Session, cx: &TaskContext) -> Duration {
    let provider = cx.ready(session.provider()).map(|provider| provider.time_to_renew());
    let calls = store.timeout.saturating_mul(3).saturating_add(provider.unwrap_or_default());
    calls.saturating_add(MAX_HOLD).saturating_add(SLACK).max(MIN_LEASE)
}

/// Redeems the refresh token (RFC 6749, 6; OIDC Core, 12).
async fn refresh(session: &Session, request_id: Option<String>, cx: &TaskContext) -> Result<Outcome, Failure> {
    let (Ok(provider), Some(token)) = (cx.ready(session.provider()), session.refresh_token()) else {
        return Ok(Outcome::Failed(cx.now().plus(PAUSE)));
    };
    let grant = |context: CallContext<'_>| provider.provider.refresh_grant(&provider.metadata, token, context);
    // A call that Envoy does not take fails at once: the request has waited long enough.
    let answer = match cx.call_as_client(&provider, Deadline::immediate(cx.now()), &grant).await {
        Ok(answer) => answer,
        Err(failure) => {
            return cx.with(|env| {
                report_not_renewed(session, request_id, failure, env);
                Outcome::Failed(env.now().plus(PAUSE))
            });
        }
    };
    let status = answer.as_ref().map(|response| response.status).ok();
    match provider.provider.refreshed(answer) {
        Ok(tokens) => {
            let refresh_token = tokens.refresh_token.clone();
            let renewed = renewed(session, tokens, cx).await;
            cx.with(|env| conclude(session, request_id, refresh_token, renewed, env))
        }
        Err(error) => {
            let outcome = match &error {
                TokenEndpointError::Refused(refused) if refuses_session(refused.error, status) => {
                    Outcome::Refused(cx.now())
                }
                // Our credentials, or the provider's trouble: no fault of this session.
                _ => Outcome::Failed(cx.now().plus(PAUSE)),
            };
            cx.with(|env| {
                report_not_renewed(session, request_id, error.into(), env);
                outcome
            })
        }
    }
}

/// The identity that refreshed tokens bring. OIDC Core, 12.2: an ID token need not come, but one that does must continue the
/// session.
async fn identify(
    session: &Session,
    tokens: &TokenResponse,
    cx: &TaskContext,
) -> Result<(Option<VerifiedIdToken>, Option<Userinfo>), Failure> {
    let id_token = match &tokens.id_token {
        None => None,
        Some(raw) => {
            let occasion = Occasion::Refresh(session.subject(), session.authentication());
            let verified = verify_id_token(session.provider(), raw, &tokens.access_token, occasion, cx).await?;
            // OIDC Core 12.2: the same `iss`. A provider with many tenants has one for each.
            let iss = verified.claims().text("iss").unwrap_or_default();
            let is_same = |first: Claim<'_>| matches!(first, Claim::Json(first) if first == iss);
            if session.claim("iss").is_some_and(|first| !is_same(first)) {
                return Err(Failure::IdToken(ClaimError::IssuerMismatch(Quoted::new(iss)).into()));
            }
            Some(verified)
        }
    };
    let Ready { provider, metadata, .. } = cx.ready(session.provider())?;
    let at_once = Deadline::immediate(cx.now());
    let mut inquiry = provider.inquiry(&metadata, &tokens.access_token, session.subject());
    while let Some(asked) = inquiry {
        let request = |context: CallContext<'_>| asked.request(&provider.relying_party, context);
        let answer = cx.call_with_proof(&provider, ProofServer::Resource, at_once, &request).await?;
        let answer = open_userinfo(&provider, answer, cx).await?;
        match asked.read(answer)? {
            Progress::Ask(next) => inquiry = Some(next),
            Progress::Known(userinfo) => return Ok((id_token, Some(userinfo.about(session.subject())?))),
        }
    }
    Ok((id_token, None))
}

/// The session with these tokens and the claims that they bring, if the app still knows its user.
async fn renewed(session: &Session, tokens: TokenResponse, cx: &TaskContext) -> Result<Box<Session>, Failure> {
    let (id_token, userinfo) = identify(session, &tokens, cx).await?;
    let mut renewed = cx.with(|env| {
        report_short_life(session.provider(), tokens.expires_in, env);
        let forwarded_tokens = env.config.forwarded_tokens;
        let provider = env.config.provider(session.provider());
        let object_keys = provider.map_or(ObjectKeys::NONE, |known| &known.object_keys);
        let until_exp = id_token.as_ref().map(|token| token.claims().expires_at().since(env.now()));
        Box::new(session.renewed(Renewal {
            id_token: id_token.as_ref().zip(tokens.id_token),
            userinfo,
            kept: KeptClaims { names: &env.config.kept_claims, object_keys },
            refresh_token: tokens.refresh_token,
            life: forwarded_tokens.renewal_lifetime(tokens.expires_in, until_exp),
            app_token: forwarded_tokens.access_token(&tokens.access_token, tokens.expires_in.or(until_exp), env.now()),
            wants_id_token: forwarded_tokens.id_token,
            now: env.now(),
        }))
    })?;
    provision(&mut renewed, provisioning::Occasion::Renewal, cx).await?;
    Ok(renewed)
}

/// Goes on with the renewed session, or ends or keeps the old one. `refresh_token` is the new one.
fn conclude(
    session: &Session,
    request_id: Option<String>,
    refresh_token: Option<RefreshToken>,
    renewed: Result<Box<Session>, Failure>,
    env: &mut Env<'_>,
) -> Outcome {
    env.revocations.look(env.platform);
    if env.revocations.is_ended(session, &|| RevocationKeys::of(session), &env.config.sign_out, env.platform) {
        // It ended meanwhile: a sign-out could not know this token.
        revoke(session.provider(), refresh_token, env);
        return Outcome::Refused(REFUSED_FINALLY);
    }
    match renewed {
        Ok(renewed) => {
            env.events.push(Event::Renewed(env.event_context(session, request_id)));
            store::save_soon(&renewed, env);
            Outcome::Renewed(renewed)
        }
        Err(failure) => {
            let has_id_tokens = env.config.provider(session.provider()).is_some_and(|known| known.openid().is_some());
            let is_over = contradicts(&failure)
                || !has_id_tokens && refuses_user(&failure)
                || matches!(failure, Failure::Provisioning(ProvisioningError::Refused(_)));
            report_not_renewed(session, request_id, failure, env);
            if is_over {
                // The session ends now if subject, issuer or client are others, or if the app refuses the user.
                end(session, By::Refusal, env);
                revoke(session.provider(), refresh_token, env);
                Outcome::Refused(REFUSED_FINALLY)
            } else if let Some(token) = refresh_token {
                // The provider may take the old token no more, so the session goes on with the new one, and tries again.
                let kept = session.with_refresh_token(token);
                settle(&kept, &Outcome::Failed(env.now().plus(PAUSE)), env);
                store::save_soon(&kept, env);
                Outcome::Renewed(Box::new(kept))
            } else {
                Outcome::Failed(env.now().plus(PAUSE))
            }
        }
    }
}

/// Whether a refused refresh ends the session (RFC 6749, 5.2): not where the code is about this client's configuration or the
/// provider's trouble. `unauthorized_client` ends it, because this client has lost the grant that it had; `invalid_scope`
/// too, because the refresh asks for no scope, so the granted ones are gone.
fn refuses_session(code: OAuthError, status: Option<u16>) -> bool {
    let is_refusal = matches!(status, Some(400 | 401));
    match code {
        OAuthError::InvalidGrant => true,
        OAuthError::ApplicationSuspended
        | OAuthError::IncorrectClientCredentials
        | OAuthError::InvalidClient
        | OAuthError::InvalidDpopProof
        | OAuthError::ServerError
        | OAuthError::TemporarilyUnavailable
        | OAuthError::UnsupportedGrantType
        | OAuthError::UseDpopNonce => false,
        OAuthError::AccessDenied
        | OAuthError::AccountSelectionRequired
        | OAuthError::BadVerificationCode
        | OAuthError::ConsentRequired
        | OAuthError::InsufficientScope
        | OAuthError::InteractionRequired
        | OAuthError::InvalidRequest
        | OAuthError::InvalidScope
        | OAuthError::InvalidTarget
        | OAuthError::InvalidToken
        | OAuthError::LoginRequired
        | OAuthError::RedirectUriMismatch
        | OAuthError::RequestUnauthorized
        | OAuthError::UnauthorizedClient
        | OAuthError::Unknown
        | OAuthError::UnsupportedResponseType
        | OAuthError::UnsupportedTokenType => is_refusal,
    }
}

/// Whether a server without ID tokens refuses to tell about the user of a new access token: it no longer knows the user.
fn refuses_user(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::UserinfoEndpoint(UserinfoError::Status(UnexpectedStatus { status: 401 | 403 | 404, .. }))
    )
}

fn contradicts(failure: &Failure) -> bool {
    let error = match failure {
        Failure::IdToken(error) => error,
        other => return matches!(other, Failure::UserinfoEndpoint(UserinfoError::OtherSubject)),
    };
    match error {
        IdTokenError::AuthorizedParty
        | IdTokenError::Nonce
        | IdTokenError::OtherSubject
        | IdTokenError::Subject
        | IdTokenError::Type => true,
        IdTokenError::Claim(error) => matches!(
            error,
            ClaimError::IssuerMissing
                | ClaimError::IssuerMismatch(_)
                | ClaimError::AudienceMissing
                | ClaimError::AudienceMalformed
                | ClaimError::AudienceMismatch
                | ClaimError::AudienceUntrusted
        ),
        IdTokenError::AccessTokenHash => false,
    }
}

fn report_not_renewed(session: &Session, request_id: Option<String>, failure: Failure, env: &mut Env<'_>) {
    env.events.push(Event::NotRenewed(env.event_context(session, request_id), failure));
}

/// Reports access tokens for the app that expire before they can be renewed.
pub(in crate::flow) fn report_short_life(provider: IssuerId, life: Option<Duration>, env: &mut Env<'_>) {
    if let Some(life) = life.filter(|life| env.config.forwarded_tokens.access_token && *life < MIN_TOKEN_LIFE) {
        let omission = Omission::AccessToken { issuer: env.issuers.name(provider), seconds: life.as_secs() };
        env.omissions.report(omission, env.events);
    }
}
