//! A request's way through the gates, in order, on one screen.

use std::time::Duration;

use serde_json::json;

use crate::{
    claims::IssuerId,
    config::Config,
    http::Request,
    oidc::DEFAULT_PROVIDER,
    rules::{RouteError, Verdict},
    session::{open::FreshSession, return_to::ReturnTo},
    time::UnixTime,
};

use super::{
    Env, Expect, Step,
    bearer::{self, BearerInHand},
    callback::{self, TokensInHand},
    caller::{Caller, Kind},
    event::Event,
    failure::Failure,
    form, identity, internal_redirect,
    logout::{self, LogoutInHand},
    omission::Omission,
    permit::Permit,
    renewal::{self, Awaited, Patience},
    reply::{self, Offer},
    sign_in,
    sign_out::{self, Goodbye},
    signed_in, store, userinfo,
    verification::When,
};

/// How long a request is held at most.
pub(super) const MAX_HOLD: Duration = Duration::from_secs(5);

/// How many requests one worker holds at most; the next is answered at once.
pub(super) const MAX_HELD: usize = 256;

/// Decides a request.
pub fn start(request: Request, env: &mut Env<'_>) -> Step {
    env.issuers.catch_up(env.platform, env.now);
    // Reserved paths come first, so that no rule can put the callback out of reach or let it through to the app.
    if let Some(reserved) = Reserved::of(request.target(), env.config) {
        let loaded = if reserved.asks_who_it_is() { store::load(request, env) } else { Err(request) };
        let request = match loaded {
            Ok(step) => return step,
            Err(request) => request,
        };
        return match reserved {
            Reserved::BackChannelLogout => logout::back_channel(&request, env),
            Reserved::Callback(provider) => callback::arrive(provider, request, env),
            Reserved::Form => form::resend(&request, env),
            Reserved::FrontChannelLogout => logout::front_channel(&request, env),
            Reserved::Health => health(env),
            Reserved::SignOut => sign_out::arrive(&request, env),
            Reserved::SignedOut => sign_out::back_from_provider(&request, env),
            Reserved::Start => sign_in::asked_for(request, env),
            Reserved::Userinfo => userinfo::arrive(&request, env),
            Reserved::Unknown => reply::refuse(Failure::ReservedPath, &Caller::of(&request), Offer::default(), env),
        };
    }
    // We take such a header out, and Envoy then chooses the route anew: the policy would be another route's.
    if env.config.rules.ask_routes()
        && let Some(name) = identity::claimed(&request, &env.config.stripped_headers).first()
    {
        let failure = Failure::ReservedHeader((*name).to_owned());
        report_lost_redirect(&request, env);
        return reply::refuse(failure, &Caller::of(&request), Offer::default(), env);
    }
    let verdict = match env.config.rules.decide(&request) {
        Ok(verdict) => verdict,
        Err(error) => return misrouted(error, &Caller::of(&request), env),
    };
    if let Some(refusal) = verdict.denial() {
        let failure = Failure::Denied(refusal.rule.map(str::to_owned));
        return reply::refuse(failure, &Caller::of(&request), Offer::default(), env);
    }
    if let Some(proof) = verdict.public() {
        return forward(&request, Permit::open(&proof), &verdict, env);
    }
    if let Some(permit) = Permit::preflight(&request) {
        return forward(&request, permit, &verdict, env);
    }
    if bearer::is_brought(&request, &verdict, env) {
        return bearer::arrive(request, env);
    }
    if !verdict.takes_sessions() {
        if bearer::is_in_cookie(&request, env) {
            return bearer::arrive_with_cookie(request, env);
        }
        let caller = Caller { kind: Kind::Program, ..Caller::of(&request) };
        return reply::refuse(Failure::TokenRequired, &caller, Offer::default(), env);
    }
    let request = match store::load(request, env).or_else(|request| signed_in::pass(request, &verdict, env)) {
        Ok(step) => return step,
        Err(request) => request,
    };
    without_session(request, &verdict, env)
}

/// The answer to a request whose route does not say whose word counts: nobody passes on a guess.
pub(super) fn misrouted(error: RouteError, caller: &Caller, env: &mut Env<'_>) -> Step {
    let failure = Failure::Route(env.platform.route_name(), error);
    reply::refuse(failure, caller, Offer::default(), env)
}

/// Reports a request that may have lost its credentials in an internal redirect: the log names the missing setting.
fn report_lost_redirect(request: &Request, env: &mut Env<'_>) {
    if !env.config.internal_redirects && internal_redirect::is_claimed(request) {
        env.omissions.report(Omission::InternalRedirect, env.events);
    }
}

fn without_session(request: Request, verdict: &Verdict<'_>, env: &mut Env<'_>) -> Step {
    report_lost_redirect(&request, env);
    if bearer::is_in_cookie(&request, env) {
        return bearer::arrive_with_cookie(request, env);
    }
    match verdict.optional() {
        Some(proof) => forward(&request, Permit::open(&proof), verdict, env),
        None => sign_in::begin_for_page(request, verdict, env),
    }
}

pub(super) fn forward(request: &Request, permit: Permit, verdict: &Verdict<'_>, env: &mut Env<'_>) -> Step {
    match identity::edits(request, &permit, verdict, env) {
        Ok(edits) => {
            env.events.push(Event::Permitted(permit.reason()));
            Step::Forward { permit, edits, cookies: None }
        }
        Err(failure) => reply::refuse(failure, &Caller::of(request), Offer::default(), env),
    }
}

fn health(env: &Env<'_>) -> Step {
    // 200 as long as the filter lives: an unreachable provider must not take the app out of its load balancer.
    let provider = if env.issuers.are_ready(env.now) { "ready" } else { "waiting" };
    Step::Reply(reply::json(200, "health", &json!({ "status": "ok", "provider": provider })))
}

/// The paths under our prefix. They are compared byte by byte; any other spelling is a path like every other.
enum Reserved {
    BackChannelLogout,
    /// Of this provider.
    Callback(IssuerId),
    Form,
    FrontChannelLogout,
    Health,
    SignOut,
    SignedOut,
    Start,
    Unknown,
    Userinfo,
}

impl Reserved {
    /// Whether its answer depends on the session.
    const fn asks_who_it_is(&self) -> bool {
        matches!(self, Self::Callback(_) | Self::SignOut | Self::Start | Self::Userinfo)
    }

    fn of(target: &[u8], config: &Config) -> Option<Self> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        match path.strip_prefix(config.prefix.as_bytes())? {
            b"/backchannel_logout" => Some(Self::BackChannelLogout),
            b"/form" => Some(Self::Form),
            b"/frontchannel_logout" => Some(Self::FrontChannelLogout),
            b"/health" => Some(Self::Health),
            b"/sign_out" => Some(Self::SignOut),
            b"/signed_out" => Some(Self::SignedOut),
            b"/start" => Some(Self::Start),
            b"/userinfo" => Some(Self::Userinfo),
            reserved @ ([] | [b'/', ..]) => Some(Self::callback(reserved, config).unwrap_or(Self::Unknown)),
            _ => None,
        }
    }

    /// `/callback`, or `/callback/` and the name of the provider whose it is.
    fn callback(path: &[u8], config: &Config) -> Option<Self> {
        let name = match path.strip_prefix(b"/callback")? {
            [] => DEFAULT_PROVIDER,
            [b'/', name @ ..] => std::str::from_utf8(name).ok().filter(|name| *name != DEFAULT_PROVIDER)?,
            _ => return None,
        };
        config.provider_named(name).map(|provider| Self::Callback(provider.id))
    }
}

/// A request that is held until its provider is known, or known better.
#[derive(Debug)]
pub struct Waiter {
    issuer: IssuerId,
    until: UnixTime,
    then: Then,
}

#[derive(Debug)]
enum Then {
    /// Make a call that Envoy did not take.
    Call(Expect),
    /// Let the request pass with what became of the renewal of its session, which was good when it came.
    Renew(Request, FreshSession, Awaited),
    /// Sign out at the provider as well.
    SignOut(Box<Goodbye>),
    /// Walk through the gates from the start.
    Start(Request),
    /// Check the token again, with newer keys than those of this version, or for the first time where there were none.
    Verify(Unverified, Option<u64>),
}

/// A token that waits for the keys it needs.
#[derive(Debug)]
pub(super) enum Unverified {
    Bearer(Box<BearerInHand>),
    Logout(Box<LogoutInHand>),
    SignIn(Box<TokensInHand>),
}

impl Unverified {
    const fn issuer(&self) -> IssuerId {
        match self {
            Self::Bearer(token) => token.issuer(),
            Self::Logout(token) => token.issuer(),
            Self::SignIn(tokens) => tokens.issuer(),
        }
    }

    fn verify(self, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
        match self {
            Self::Bearer(token) => token.verify(when, until, env),
            Self::Logout(token) => token.verify(when, until, env),
            Self::SignIn(tokens) => tokens.verify(when, until, env),
        }
    }
}

impl Waiter {
    /// Holds a request until anything is known of its provider, or refuses it when too many are held.
    pub(super) fn for_provider(issuer: IssuerId, request: Request, env: &mut Env<'_>) -> Step {
        if env.load.held >= MAX_HELD {
            return not_ready(&request, issuer, env);
        }
        Step::Wait(Self { issuer, until: env.now.plus(MAX_HOLD), then: Then::Start(request) })
    }

    /// Holds a sign-out until it is known how the provider is asked for one.
    pub(super) fn for_sign_out(issuer: IssuerId, goodbye: Box<Goodbye>, env: &Env<'_>) -> Step {
        Step::Wait(Self { issuer, until: env.now.plus(MAX_HOLD), then: Then::SignOut(goodbye) })
    }

    /// Holds a token until there are keys, or other keys, or until then.
    pub(super) fn for_keys(token: Unverified, until: UnixTime, env: &Env<'_>) -> Step {
        let issuer = token.issuer();
        let version = env.issuers.is_ready(issuer, env.now).then(|| env.issuers.keys_version(issuer));
        Step::Wait(Self { issuer, until, then: Then::Verify(token, version) })
    }

    /// Holds a request until its session is renewed, or will not be for now.
    pub(super) fn for_renewal(request: Request, fresh: FreshSession, renewal: Awaited, env: &Env<'_>) -> Step {
        let issuer = fresh.session().provider();
        Step::Wait(Self { issuer, until: env.now.plus(MAX_HOLD), then: Then::Renew(request, fresh, renewal) })
    }

    /// Holds a request until the next moment, when its call is tried again.
    pub(super) fn to_call_again(issuer: IssuerId, until: UnixTime, expect: Expect) -> Step {
        Step::Wait(Self { issuer, until, then: Then::Call(expect) })
    }

    /// Whether a token waits that anybody may have made up.
    pub const fn is_strangers(&self) -> bool {
        matches!(
            self.then,
            Then::Call(Expect::Answer(_)) | Then::Verify(Unverified::Bearer(_) | Unverified::Logout(_), _)
        )
    }

    fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_over(MAX_HOLD, now)
    }

    /// Whether there is something to decide by now.
    pub fn is_due(&self, env: &Env<'_>) -> bool {
        self.is_over(env.now)
            || match &self.then {
                Then::Call(_) => true,
                Then::SignOut(_) | Then::Start(_) => env.issuers.is_ready(self.issuer, env.now),
                Then::Renew(_, _, renewal) => renewal.is_over(env),
                Then::Verify(_, version) => {
                    let is_ready = env.issuers.is_ready(self.issuer, env.now);
                    let has_other_keys = version.is_none_or(|before| env.issuers.keys_version(self.issuer) != before);
                    is_ready && (has_other_keys || !env.issuers.wants_keys(self.issuer, env.now))
                }
            }
    }

    /// Decides it.
    pub fn resume(self, env: &mut Env<'_>) -> Step {
        let may_wait = !self.is_over(env.now);
        match self.then {
            Then::Call(expect) => expect.call_again(env),
            Then::SignOut(goodbye) => goodbye.resume(self.issuer, env),
            Then::Start(request) if env.issuers.is_ready(self.issuer, env.now) => start(request, env),
            Then::Start(request) => not_ready(&request, self.issuer, env),
            Then::Renew(request, fresh, _) => pass_without_waiting(request, fresh, env),
            // It waited for the first keys. A newer one may still help, as it may help a token that comes now.
            Then::Verify(token, None) if may_wait => token.verify(When::First, self.until, env),
            Then::Verify(token, _) => token.verify(When::Later { may_wait }, self.until, env),
        }
    }
}

/// A request that has waited for its session's renewal passes with what there is by now.
fn pass_without_waiting(request: Request, fresh: FreshSession, env: &mut Env<'_>) -> Step {
    if signed_in::is_ended(&fresh, env) {
        return start(request, env);
    }
    let verdict = match env.config.rules.decide(&request) {
        Ok(verdict) => verdict,
        Err(error) => return misrouted(error, &Caller::of(&request), env),
    };
    renewal::attend(request, fresh, &verdict, Patience::None, env)
        .unwrap_or_else(|request| without_session(request, &verdict, env))
}

fn not_ready(request: &Request, issuer: IssuerId, env: &mut Env<'_>) -> Step {
    let target = ReturnTo::parse(request.target(), &env.config.prefix);
    let offer = Offer::again(target.location(&env.config.origin), Vec::new());
    reply::refuse(Failure::ProviderNotReady, &Caller::of(request).of_issuer(issuer), offer, env)
}
