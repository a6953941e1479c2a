//! The provider ends sessions: behind everybody's back with a logout token (Back-Channel Logout 1.0), or through the
//! browser with a frame (Front-Channel Logout 1.0).

use std::time::Duration;

use crate::{
    claims::IssuerId,
    digest::half_digest,
    http::{LocalReply, Request, parameter},
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::{
        id_token::MAX_SUBJECT,
        logout_token::{self, LogoutToken, LogoutTokenError},
    },
    page::Page,
    secret::RawLogoutToken,
    session::{open::Marks, store::Order},
    shared::{
        denylist::{DenylistError, Entry, Eviction, SharedDenylist},
        lease::Asker,
    },
    time::UnixTime,
};

use super::{
    Env, Expect, Step,
    body::{ExpectBody, Then, is_form},
    caller::{Caller, Kind},
    event::Event,
    failure::Failure,
    limits::Slot,
    reply::{self, Offer},
    request::{MAX_HOLD, Unverified, Waiter},
    revocation::{self, By, Revocation},
    store::{self, Command, Next, Saving},
    verification::{When, verified},
};

/// How many logout tokens are remembered, so that none counts twice.
const CAPACITY: usize = 1024;
/// And how long at most, whatever they say themselves.
const MAX_REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// A request for the back-channel logout path.
pub(super) fn back_channel(request: &Request, env: &mut Env<'_>) -> Step {
    let caller = Caller { kind: Kind::Program, ..Caller::of(request) };
    let failure = if !env.config.sign_out.back_channel {
        Failure::ReservedPath
    } else if request.method() != "POST" {
        Failure::LogoutMethod("POST")
    } else if is_form(request) {
        return ExpectBody::of(request, Then::Logout(caller), env);
    } else {
        Failure::LogoutMalformed
    };
    reply::refuse(failure, &caller, Offer::default(), env)
}

/// The body is there.
pub(super) fn token_arrives(caller: Caller, body: &[u8], env: &mut Env<'_>) -> Step {
    let Some(token) = parameter(body, "logout_token") else {
        return reply::refuse(Failure::LogoutMalformed, &caller, Offer::default(), env);
    };
    let provider = match provider_of(&token, env) {
        Ok(provider) => provider,
        Err(failure) => return reply::refuse(failure, &caller, Offer::default(), env),
    };
    let caller = caller.of_issuer(provider);
    let in_hand = Box::new(LogoutInHand { caller, provider, token: RawLogoutToken::new(token), slot: None });
    in_hand.verify(When::First, env.now.plus(MAX_HOLD), env)
}

/// The provider whose token it says it is.
fn provider_of(token: &str, env: &Env<'_>) -> Result<IssuerId, Failure> {
    let unverified = UnverifiedJws::parse(token).map_err(|_| Failure::LogoutMalformed)?;
    let issuer = unverified.claimed_issuer().ok_or(Failure::LogoutMalformed)?;
    let known = env.config.providers.iter().find(|provider| provider.issuer.as_str() == issuer);
    let other = LogoutTokenError::Claim(ClaimError::IssuerMismatch);
    known.map(|provider| provider.id).ok_or(Failure::LogoutToken(other))
}

/// A logout token that is still to be verified.
#[derive(Debug)]
pub(super) struct LogoutInHand {
    caller: Caller,
    provider: IssuerId,
    token: RawLogoutToken,
    /// Its slot among the requests that are held, while it is held.
    slot: Option<Slot>,
}

impl LogoutInHand {
    pub(super) const fn issuer(&self) -> IssuerId {
        self.provider
    }

    /// Verifies it, or waits for the keys it needs.
    pub(super) fn verify(mut self: Box<Self>, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
        match verified(self.provider, Asker::Unauthenticated, when, env, |env| self.logout_token(env)) {
            // It came before anything was known of its provider.
            Some(Err(Failure::ProviderNotReady))
                if when == When::First && env.limits.hold(&mut self.slot, env.platform) => {}
            None if env.limits.hold(&mut self.slot, env.platform) => {}
            outcome => return self.finish(outcome.unwrap_or(Err(Failure::Busy)), env),
        }
        Waiter::for_keys(Unverified::Logout(self), until, env)
    }

    fn logout_token(&self, env: &Env<'_>) -> Result<LogoutToken, Failure> {
        let known = env.issuers.ready(self.provider, env.now).ok_or(Failure::ProviderNotReady)?;
        let unverified = UnverifiedJws::parse(self.token.expose()).map_err(|_| Failure::LogoutMalformed)?;
        let token = verify(&unverified, known.keys, &known.provider.algorithms, Origin::Request(env.now), env.platform)
            .map_err(Failure::LogoutTokenSignature)?;
        logout_token::check(token, known.provider, env.now, env.config.leeway).map_err(Failure::LogoutToken)
    }

    fn finish(&self, outcome: Result<LogoutToken, Failure>, env: &mut Env<'_>) -> Step {
        let token = match outcome {
            Ok(token) => token,
            Err(failure) => return reply::refuse(failure, &self.caller, Offer::default(), env),
        };
        // Sent again, it was heard before. Were it to count again, it would end a session begun since.
        let heard = heard(self.provider, &token, env);
        let answer = reply::empty(200, "logged_out");
        if is_known(&heard, env) {
            return Step::Reply(answer);
        }
        let revocations = revocations(self.provider, &token, env);
        env.events.push(Event::LoggedOut(env.issuers.name(self.provider), Some(token.id)));
        end(Ending { revocations, heard: Some(heard), answer, caller: self.caller.clone() }, By::Provider, env)
    }
}

/// Whose sessions a token ends (2.4): with a `sid`, the ones of that session of the provider's. A session whose ID token
/// did not say of which it is may be of it.
fn revocations(provider: IssuerId, token: &LogoutToken, env: &Env<'_>) -> Vec<Revocation> {
    let subject = token.subject.as_deref().map(|subject| Marks::of_subject(provider, subject));
    match &token.sid {
        Some(sid) => {
            let sid = Marks::of_sid(provider, sid);
            let owner = subject.or_else(|| revocation::subject_of(&sid, env));
            let nameless = subject.as_ref().map(Marks::of_nameless);
            [Some(sid), nameless].into_iter().flatten().map(|mark| Revocation::of(mark, owner, env)).collect()
        }
        None => subject.map(|mark| Revocation::of(mark, subject, env)).into_iter().collect(),
    }
}

/// Sessions that end, and who is told so.
#[derive(Debug)]
pub(super) struct Ending {
    /// What the store has still to be told.
    revocations: Vec<Revocation>,
    heard: Option<Entry>,
    answer: LocalReply,
    caller: Caller,
}

/// Ends sessions, and answers once every Envoy can know: where that fails the provider is told to try again, and what it
/// then sends is not old.
fn end(ending: Ending, by: By, env: &mut Env<'_>) -> Step {
    for revocation in &ending.revocations {
        match revocation::end_here(revocation, by, env) {
            // The list has no room, but the store takes it.
            Err(DenylistError::Full) if env.config.session.store.is_some() => {}
            Err(_) => return reply::refuse(Failure::Busy, &ending.caller, Offer::default(), env),
            Ok(()) => {}
        }
        // Should the provider not wait for the answer, it is done all the same. What browsers report may be made up.
        if by == By::Provider {
            store::end_soon(revocation, ending.heard, env);
        }
    }
    ending.go_on(env)
}

impl Ending {
    /// Tells the store what is left to tell, then answers.
    pub(super) fn go_on(mut self, env: &Env<'_>) -> Step {
        let settings = &env.config.session;
        let Some((store, last)) = settings.store.as_ref().zip(self.revocations.pop()) else { return self.finish(env) };
        let request = store.end(&last.mark, last.until.since(env.now), env.now, Order::Last);
        let caller = self.caller.clone();
        let next = Next::Ended(Box::new(self));
        let saving = Saving { caller, offer: Offer::default(), next, command: Command::End };
        Step::Call { request, expect: Expect::Saved(Box::new(saving)) }
    }

    /// It is done: a token that says it again says nothing new.
    fn finish(self, env: &Env<'_>) -> Step {
        remember(self.heard, env);
        Step::Reply(self.answer)
    }
}

/// What was asked for by this token is done: should it come again, it says nothing new.
pub(super) fn remember(heard: Option<Entry>, env: &Env<'_>) {
    if let Some(heard) = heard {
        // In doubt it counts again: who is signed out too often signs in again.
        let _ = tokens(&tokens_key(env)).claim(heard, env.now, env.platform);
    }
}

fn heard(provider: IssuerId, token: &LogoutToken, env: &Env<'_>) -> Entry {
    let keep = token.expires.plus(env.config.leeway.span()).since(env.now).min(MAX_REMEMBERED);
    Entry::now(half_digest("jti", &[provider.as_bytes(), token.id.as_bytes()]), env.now, keep)
}

fn is_known(heard: &Entry, env: &Env<'_>) -> bool {
    let known = tokens(&tokens_key(env)).entries(env.platform).list;
    known.iter().any(|entry| entry.digest == heard.digest)
}

fn tokens_key(env: &Env<'_>) -> String {
    format!("vestibule.{}.logout_tokens_heard", env.config.fingerprint)
}

const fn tokens(key: &str) -> SharedDenylist<'_> {
    SharedDenylist { key, capacity: CAPACITY, eviction: Eviction::Oldest }
}

/// A request for the front-channel logout path: a frame on the provider's page. It brings no cookie, because it is of
/// another site; the `sid`, which only the provider and its clients know, says whose session ends (section 2).
pub(super) fn front_channel(request: &Request, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(request);
    let failure = if !env.config.sign_out.front_channel {
        Failure::ReservedPath
    } else if request.method() != "GET" {
        Failure::LogoutMethod("GET")
    } else {
        match session_of(request, env) {
            None => Failure::LogoutMalformed,
            Some((provider, sid)) => match revocation::framed(Marks::of_sid(provider, &sid), env) {
                None => Failure::Busy,
                Some((revocation, by)) => {
                    env.events.push(Event::LoggedOut(env.issuers.name(provider), None));
                    let answer = reply::framed(200, "logged_out", &Page::new("Signed out", "", "logged_out"), env);
                    return end(Ending { revocations: vec![revocation], heard: None, answer, caller }, by, env);
                }
            },
        }
    };
    reply::refuse(failure, &caller, Offer::default(), env)
}

/// Which session of which provider's.
fn session_of(request: &Request, env: &Env<'_>) -> Option<(IssuerId, String)> {
    let query = request.query()?;
    let issuer = parameter(query, "iss")?;
    let provider = env.config.providers.iter().find(|provider| provider.issuer.as_str() == issuer)?;
    let sid = parameter(query, "sid").filter(|sid| (1..=MAX_SUBJECT).contains(&sid.len()))?;
    Some((provider.id, sid))
}
