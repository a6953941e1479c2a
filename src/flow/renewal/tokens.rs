//! Tokens that a refresh brought: they are verified, with newer keys where that takes some, and continue the session or
//! do not.

use crate::{
    http::CalloutRequest,
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::{
        id_token::{self, IdTokenError, Occasion, VerifiedIdToken},
        token::TokenResponse,
        userinfo::{self, Userinfo, UserinfoError},
    },
    session::{Renewal, Session, open::Marks},
    shared::{lease::Asker, renewals::Outcome},
    time::UnixTime,
};

use super::{AT_ONCE, MAX_WAIT_FOR_KEYS, PAUSE, calls::settle, report_short_life};
use crate::flow::{
    Env,
    event::Event,
    failure::Failure,
    revocation::{self, By, Revocation},
    store,
    verification::{When, verified},
};

/// Tokens that came, and wait for the key that signed them.
#[derive(Debug)]
pub(super) struct InHand {
    session: Box<Session>,
    tokens: TokenResponse,
    until: UnixTime,
    keys_version: u64,
}

impl InHand {
    pub(super) fn new(session: Box<Session>, tokens: TokenResponse, env: &Env<'_>) -> Self {
        let keys_version = env.issuers.keys_version(session.provider());
        Self { session, tokens, until: env.now.plus(MAX_WAIT_FOR_KEYS), keys_version }
    }
}

/// Verifies them again, once there is a reason to.
pub(super) fn verify_in_hand(in_hand: InHand, env: &mut Env<'_>) {
    let provider = in_hand.session.provider();
    let has_news = env.issuers.keys_version(provider) != in_hand.keys_version;
    let may_wait = !in_hand.until.is_over(MAX_WAIT_FOR_KEYS, env.now);
    if has_news || !may_wait || !env.issuers.wants_keys(provider, env.now) {
        verify_tokens(in_hand, When::Later { may_wait }, env);
    } else {
        env.renewals.in_hand.push(in_hand);
    }
}

/// Verifies them.
pub(super) fn verify_tokens(mut in_hand: InHand, when: When, env: &mut Env<'_>) {
    let provider = in_hand.session.provider();
    match verified(provider, Asker::Provider, when, env, |env| id_token(&in_hand, env)) {
        Some(outcome) => finish(in_hand, outcome, env),
        None => {
            in_hand.keys_version = env.issuers.keys_version(provider);
            env.renewals.in_hand.push(in_hand);
        }
    }
}

/// OIDC Core 12.2: an ID token need not come, but one that does must continue the session.
fn id_token(in_hand: &InHand, env: &Env<'_>) -> Result<Option<VerifiedIdToken>, Failure> {
    let InHand { session, tokens, .. } = in_hand;
    let Some(raw) = &tokens.id_token else { return Ok(None) };
    let known = env.issuers.ready(session.provider(), env.now).ok_or(Failure::ProviderNotReady)?;
    let unverified = UnverifiedJws::parse(raw.expose())?;
    let token = verify(&unverified, known.keys, &known.provider.algorithms, Origin::TokenEndpoint, env.platform)?;
    let expected = id_token::Expected {
        provider: known.provider,
        occasion: Occasion::Refresh(session.subject(), session.authentication()),
        access_token: &tokens.access_token,
        now: env.now,
        leeway: env.config.leeway,
    };
    Ok(Some(id_token::check(token, &expected)?))
}

/// The ID token is verified, where there is one: further claims are asked for, or the session is renewed.
fn finish(in_hand: InHand, outcome: Result<Option<VerifiedIdToken>, Failure>, env: &mut Env<'_>) {
    let InHand { session, tokens, .. } = in_hand;
    match outcome {
        Ok(id_token) => {
            let tokens = Box::new(VerifiedTokens { tokens, id_token });
            let known = env.issuers.ready(session.provider(), env.now);
            if known.is_some_and(|known| known.metadata.userinfo_endpoint.is_some()) {
                env.renewals.verified.push(Verified { session, tokens });
            } else {
                tokens.conclude(&session, Ok(None), env);
            }
        }
        Err(failure) => conclude(&session, tokens, Err(failure), env),
    }
}

/// A session that these tokens renew, once further claims of its subject are there.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) session: Box<Session>,
    pub(super) tokens: Box<VerifiedTokens>,
}

/// What a refresh brought, with the ID token verified, where there is one.
#[derive(Debug)]
pub(super) struct VerifiedTokens {
    tokens: TokenResponse,
    id_token: Option<VerifiedIdToken>,
}

impl VerifiedTokens {
    /// Asks for further claims, where there is somebody to ask.
    pub(super) fn userinfo_request(&self, session: &Session, env: &Env<'_>) -> Option<CalloutRequest> {
        let known = env.issuers.ready(session.provider(), env.now)?;
        let endpoint = known.metadata.userinfo_endpoint.as_ref()?;
        Some(userinfo::request(known.provider, endpoint, &self.tokens.access_token))
    }

    /// Renews the session with these claims beside, or does not.
    pub(super) fn conclude(self, session: &Session, userinfo: Result<Option<Userinfo>, Failure>, env: &mut Env<'_>) {
        conclude(session, self.tokens, userinfo.map(|userinfo| (self.id_token, userinfo)), env);
    }
}

fn conclude(
    session: &Session,
    tokens: TokenResponse,
    outcome: Result<(Option<VerifiedIdToken>, Option<Userinfo>), Failure>,
    env: &mut Env<'_>,
) {
    let outcome = match outcome {
        // Somebody signed out meanwhile: their sign-out could not know this token.
        _ if is_over(session, env) => {
            env.renewals.revoke(session.provider(), tokens.refresh_token);
            Outcome::Refused(AT_ONCE)
        }
        Ok((id_token, userinfo)) => {
            report_short_life(session.provider(), tokens.expires_in, env);
            let handed_on = env.config.handed_on;
            let until_exp = id_token.as_ref().map(|token| token.claims().expires_at().since(env.now));
            let renewed = session.renewed(Renewal {
                id_token: id_token.as_ref().zip(tokens.id_token),
                userinfo,
                kept: &env.config.kept_claims,
                refresh_token: tokens.refresh_token,
                life: handed_on.life(tokens.expires_in, until_exp),
                app_token: handed_on.access_token(&tokens.access_token, tokens.expires_in.or(until_exp), env.now),
                wants_id_token: handed_on.id_token,
                now: env.now,
            });
            env.events.push(Event::Renewed);
            store::save_soon(&renewed, env);
            Outcome::Renewed(Box::new(renewed))
        }
        Err(failure) => {
            let contradicts = contradicts(&failure);
            env.events.push(Event::NotRenewed(env.issuers.name(session.provider()), failure));
            if contradicts {
                // Another person, issuer or client: whatever this is, it does not continue the session, which ends now.
                revocation::end(&Revocation::of_session(session, env), By::Refusal, env);
                env.renewals.revoke(session.provider(), tokens.refresh_token);
                Outcome::Refused(AT_ONCE)
            } else if let Some(token) = tokens.refresh_token {
                // The provider may take the old token no more, so the session goes on with the new one, and tries again.
                let kept = session.with_refresh_token(token);
                settle(&kept, &Outcome::Failed(env.now.plus(PAUSE)), env);
                store::save_soon(&kept, env);
                Outcome::Renewed(Box::new(kept))
            } else {
                Outcome::Failed(env.now.plus(PAUSE))
            }
        }
    };
    settle(session, &outcome, env);
}

fn is_over(session: &Session, env: &mut Env<'_>) -> bool {
    env.revocations.look(env.platform);
    revocation::is_ended(session, &Marks::of(session), env)
}

fn contradicts(failure: &Failure) -> bool {
    let error = match failure {
        Failure::IdToken(error) => error,
        other => return matches!(other, Failure::UserinfoEndpoint(UserinfoError::OtherSubject)),
    };
    match error {
        IdTokenError::AuthenticationTime
        | IdTokenError::AuthorizedParty
        | IdTokenError::Nonce
        | IdTokenError::OtherSubject
        | IdTokenError::Subject
        | IdTokenError::Type => true,
        IdTokenError::Claim(error) => matches!(
            error,
            ClaimError::IssuerMissing
                | ClaimError::IssuerMismatch
                | ClaimError::AudienceMissing
                | ClaimError::AudienceMalformed
                | ClaimError::AudienceMismatch
                | ClaimError::AudienceUntrusted
        ),
        IdTokenError::AccessTokenHash => false,
    }
}
