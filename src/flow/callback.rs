//! The browser is back from the provider: state, issuer and browser are checked before the code is used, the ID token
//! before there is a session.

mod github;
mod welcome;

use std::time::Duration;

use crate::{
    claims::IssuerId,
    http::{CalloutError, CalloutRequest, Request},
    jose::{
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::{
        authorization::{AuthorizationError, AuthorizationResponse},
        id_token::{self, Occasion, VerifiedIdToken},
        identity::Identity,
        token::{self, TokenResponse},
        userinfo::{self, Userinfo},
    },
    secret::RawIdToken,
    session::{
        chunks::Present,
        cookie::{self, Found, delete_cookie},
        login_loop_guard::LoginLoopGuard,
        open::FreshSession,
        pending::{MAX_PENDING, PendingSignIn, State},
    },
    shared::lease::Asker,
    time::UnixTime,
};

use super::{
    CalloutResult, Env, Expect, Step,
    caller::Caller,
    event::{Event, Restart},
    failure::Failure,
    limits::Slot,
    reply::{self, Offer, Redirect},
    request::{MAX_HELD, MAX_HOLD, Unverified, Waiter},
    sign_in::{self, FIRST_ATTEMPT, Wish},
    signed_in, single_use,
    verification::{When, verified},
};
pub use github::ExpectGithub;
use welcome::Granted;

/// Slots to redeem codes that are kept for sign-ins that took longer than [`IMMEDIATE`].
const KEPT_FOR_SLOWER: usize = 16;
/// A sign-in that takes no longer needs no input of a user, or is one of a flood.
const IMMEDIATE: Duration = Duration::from_secs(1);

/// How long a call that Envoy does not take is tried again at least: as long as a name takes to resolve.
const MIN_PATIENCE: Duration = Duration::from_secs(2);

/// An authorization response arrives, where this provider's do.
pub(super) fn arrive(provider: IssuerId, request: Request, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(&request).of_issuer(provider);
    let home = env.config.origin.as_str().to_owned() + "/";
    if request.method() != "GET" {
        return reply::refuse(Failure::CallbackMethod, &caller, Offer::again(home, Vec::new()), env);
    }
    let response = match AuthorizationResponse::parse(request.query().unwrap_or_default()) {
        Ok(response) => response,
        Err(error) => return reply::refuse(error.into(), &caller, Offer::again(home, Vec::new()), env),
    };
    let settings = &env.config.session;
    let Some(state) = State::open(response.state(), &settings.sealer, &env.config.prefix) else {
        return reply::refuse(Failure::CallbackState, &caller, Offer::again(home, Vec::new()), env);
    };
    // RFC 9700, 4.4.2: another provider's code would go to the one that this sign-in was begun with.
    if state.provider != provider {
        let failure = AuthorizationError::WrongIssuer.into();
        return reply::refuse(failure, &caller, Offer::again(home, Vec::new()), env);
    }
    let Some(pending) = pending(&request, &state, env) else { return not_pending(request, state, env) };
    if env.issuers.ready(state.provider, env.now).is_none() {
        return Waiter::for_provider(state.provider, request, env);
    }
    redeem(request, &caller, response, &state, pending, env)
}

/// The sign-in of this `state`, if this very browser began it and it has not taken too long.
fn pending(request: &Request, state: &State, env: &Env<'_>) -> Option<PendingSignIn> {
    let settings = &env.config.session;
    let name = PendingSignIn::cookie_name(&state.id, &settings.pending_prefix);
    let Found::One(value) = cookie::find(request.lines("cookie"), &name) else { return None };
    PendingSignIn::open(&name, value, &settings.sealer, &env.config.prefix)
        .filter(|pending| !pending.state.is_expired(env.now, settings.sign_in_timeout))
}

/// The `state` is ours, but this browser has no such sign-in (any more): the back button, a second tab whose cookie had
/// to go, a bookmark, another browser. The code is not used.
fn not_pending(request: Request, state: State, env: &mut Env<'_>) -> Step {
    begin_again(request, state, Restart::NotPending, env)
}

/// A browser with a session goes on with it; another one is sent to sign in again.
fn begin_again(request: Request, state: State, why: Restart, env: &mut Env<'_>) -> Step {
    // After a refusal only a session of another tab counts, begun meanwhile: the one that was not enough before would lead
    // here again, round and round.
    let counts = |fresh: FreshSession| why == Restart::NotPending || fresh.session().has_begun_since(state.started);
    if signed_in::session(&request, env).is_some_and(counts) {
        let location = state.return_to.location(&env.config.origin);
        return Step::Reply(reply::redirect(Redirect::SeeOther, "already_signed_in", location, Vec::new()));
    }
    // A `state` of long ago says nothing about a loop.
    let attempt = if state.is_expired(env.now, env.config.session.sign_in_timeout) { 0 } else { state.attempt };
    env.events.push(Event::SignInRestarted(why));
    let attempt = attempt.saturating_add(1);
    let providers = vec![state.provider];
    sign_in::begin(request, Wish { attempt, providers, ..Wish::to(state.return_to) }, env)
}

fn redeem(
    request: Request,
    caller: &Caller,
    response: AuthorizationResponse,
    state: &State,
    pending: PendingSignIn,
    env: &mut Env<'_>,
) -> Step {
    let offer = |env: &Env<'_>| offer(&pending, env);
    let brought = Brought::by(&request, env);
    let (Some(known), Some(matched)) = (env.issuers.ready(state.provider, env.now), pending.matches(state)) else {
        let offer = offer(env);
        return reply::refuse(Failure::CallbackState, caller, offer, env);
    };
    let code = match response.accept(&matched, known.provider, known.metadata) {
        Ok(Ok(code)) => code,
        Ok(Err(refused)) if state.attempt == FIRST_ATTEMPT && known.provider.may_succeed_again(&refused) => {
            let (cookies, why) = (offer(env).cookies, Restart::Refused(env.issuers.name(state.provider), refused));
            return reply::with_cookies(begin_again(request, pending.state, why, env), cookies);
        }
        Ok(Err(refused)) => {
            let offer = offer(env);
            return reply::refuse(Failure::Provider(refused), caller, offer, env);
        }
        Err(error @ (AuthorizationError::Malformed | AuthorizationError::WrongIssuer)) => {
            let offer = offer(env);
            return reply::refuse(error.into(), caller, offer, env);
        }
    };
    // Anybody can bring a made-up code: what it costs the provider and us is bounded, and the real one is not used up.
    let kept = if env.now.since(pending.state.started) > IMMEDIATE { 0 } else { KEPT_FOR_SLOWER };
    let slot = env.limits.redeeming.take(env.platform.client_address(), kept).filter(|_| env.load.held < MAX_HELD);
    let Some(slot) = slot else {
        let again = Offer::again(pending.state.return_to.location(&env.config.origin), Vec::new());
        return reply::refuse(Failure::Busy, caller, again, env);
    };
    if !single_use::claim(&pending.state, env) {
        return not_pending(request, pending.state, env);
    }
    let redirect_uri = env.config.redirect_uri(known.provider);
    let request = token::code_grant(known.provider, known.metadata, &code, &pending.verifier, &redirect_uri);
    let patience = known.provider.timeout.max(MIN_PATIENCE);
    let until = env.now.plus(patience);
    let sign_in = SignIn { pending, caller: caller.clone(), brought, _slot: slot };
    Box::new(ExpectTokens { sign_in, request, until, patience }).call()
}

/// A way to start again, and the cookie of this sign-in gone.
fn offer(pending: &PendingSignIn, env: &Env<'_>) -> Offer {
    let name = PendingSignIn::cookie_name(&pending.state.id, &env.config.session.pending_prefix);
    Offer::again(pending.state.return_to.location(&env.config.origin), vec![delete_cookie(&name)])
}

/// A sign-in whose browser is back.
#[derive(Debug)]
struct SignIn {
    pending: PendingSignIn,
    caller: Caller,
    brought: Brought,
    /// Given back when the sign-in ends, with or without a session.
    _slot: Slot,
}

impl SignIn {
    fn offer(&self, env: &Env<'_>) -> Offer {
        offer(&self.pending, env)
    }

    fn refuse(&self, failure: Failure, env: &mut Env<'_>) -> Step {
        let offer = self.offer(env);
        reply::refuse(failure, &self.caller, offer, env)
    }
}

/// What of our cookies the browser brought along.
#[derive(Debug)]
struct Brought {
    before: Option<FreshSession>,
    session: Present,
    login_loop: Option<LoginLoopGuard>,
    /// What deletes the sign-ins that are too many: tabs that were opened at once began them without knowing of each other.
    surplus: Vec<String>,
}

impl Brought {
    fn by(request: &Request, env: &mut Env<'_>) -> Self {
        let before = signed_in::session(request, env);
        let settings = &env.config.session;
        Self {
            before,
            session: settings.cookies.present(request),
            login_loop: LoginLoopGuard::read(request, &settings.login_loop_cookie, &settings.sealer, env.now),
            surplus: sign_in::surplus(request, MAX_PENDING, env),
        }
    }
}

/// The code is being redeemed.
#[derive(Debug)]
pub struct ExpectTokens {
    sign_in: SignIn,
    request: CalloutRequest,
    until: UnixTime,
    patience: Duration,
}

impl ExpectTokens {
    /// Asks the token endpoint.
    pub(super) fn call(self: Box<Self>) -> Step {
        Step::Call { request: self.request.clone(), expect: Expect::Tokens(self) }
    }

    fn is_patient(&self, now: UnixTime) -> bool {
        !self.until.is_over(self.patience, now)
    }

    /// The token endpoint has answered.
    pub fn resume(self: Box<Self>, result: CalloutResult, env: &mut Env<'_>) -> Step {
        // Envoy takes no request with a body for a host that it has yet to resolve. Nothing has left, so the code is as
        // good as before, and the name is being resolved by now.
        if matches!(result, Err(CalloutError::Dispatch)) && self.is_patient(env.now) {
            return Waiter::to_call_again(self.sign_in.pending.state.provider, self.until, Expect::Tokens(self));
        }
        let sign_in = self.sign_in;
        if sign_in.is_at_github(env) {
            return sign_in.redeemed_at_github(result, env);
        }
        match TokenResponse::read_for_code(result) {
            Ok((tokens, id_token)) => {
                Box::new(TokensInHand { sign_in, tokens, id_token }).verify(When::First, env.now.plus(MAX_HOLD), env)
            }
            Err(error) => sign_in.refuse(error.into(), env),
        }
    }
}

/// Tokens that came, and are still to be verified.
#[derive(Debug)]
pub(super) struct TokensInHand {
    sign_in: SignIn,
    tokens: TokenResponse,
    id_token: RawIdToken,
}

impl TokensInHand {
    pub(super) const fn issuer(&self) -> IssuerId {
        self.sign_in.pending.state.provider
    }

    /// Verifies them, or waits for the keys they need.
    pub(super) fn verify(self: Box<Self>, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
        match verified(self.issuer(), Asker::Provider, when, env, |env| self.verified(env)) {
            Some(outcome) => self.finish(outcome, env),
            None => Waiter::for_keys(Unverified::SignIn(self), until, env),
        }
    }

    fn verified(&self, env: &Env<'_>) -> Result<VerifiedIdToken, Failure> {
        let known = env.issuers.ready(self.issuer(), env.now).ok_or(Failure::ProviderNotReady)?;
        let unverified = UnverifiedJws::parse(self.id_token.expose())?;
        let token = verify(&unverified, known.keys, &known.provider.algorithms, Origin::TokenEndpoint, env.platform)?;
        let expected = id_token::Expected {
            provider: known.provider,
            occasion: Occasion::SignIn(&self.sign_in.pending.nonce),
            access_token: &self.tokens.access_token,
            now: env.now,
            leeway: env.config.leeway,
        };
        Ok(id_token::check(token, &expected)?)
    }

    fn finish(self: Box<Self>, outcome: Result<VerifiedIdToken, Failure>, env: &mut Env<'_>) -> Step {
        let id_token = match outcome {
            Ok(id_token) => id_token,
            Err(failure) => return self.sign_in.refuse(failure, env),
        };
        let Some(known) = env.issuers.ready(self.issuer(), env.now) else {
            return self.sign_in.refuse(Failure::ProviderNotReady, env);
        };
        match &known.metadata.userinfo_endpoint {
            Some(endpoint) => {
                let request = userinfo::request(known.provider, endpoint, &self.tokens.access_token);
                Step::Call { request, expect: Expect::Userinfo(Box::new(ExpectUserinfo { tokens: self, id_token })) }
            }
            None => self.welcome(id_token, None, env),
        }
    }

    fn welcome(self, id_token: VerifiedIdToken, userinfo: Option<Userinfo>, env: &mut Env<'_>) -> Step {
        let Self { sign_in, tokens, id_token: raw } = self;
        let granted = Granted {
            refresh_token: tokens.refresh_token,
            access_token: tokens.access_token,
            expires_in: tokens.expires_in,
            id_token: Some((raw, id_token.claims().expires_at())),
        };
        sign_in.welcome(Identity::of(id_token, userinfo), granted, env)
    }
}

/// The ID token is verified; what else is claimed of its subject is being asked for.
#[derive(Debug)]
pub struct ExpectUserinfo {
    tokens: Box<TokensInHand>,
    id_token: VerifiedIdToken,
}

impl ExpectUserinfo {
    /// The userinfo endpoint has answered. Without a good answer there is no session: what the rules ask for may be missing.
    pub(super) fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        match Userinfo::read(result, self.id_token.subject()) {
            Ok(userinfo) => self.tokens.welcome(self.id_token, Some(userinfo), env),
            Err(error) => self.tokens.sign_in.refuse(error.into(), env),
        }
    }
}
