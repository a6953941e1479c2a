//! Programs bring tokens: static ones that the operator has listed, and access tokens of the provider (RFC 6750,
//! RFC 9068). A token that is there and not good is refused, whatever cookie stands beside it.

use std::rc::Rc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    claims::{Claim, Claims, StaticToken},
    http::Request,
    jose::{jws::UnverifiedJws, verify::verify},
    oidc::{
        ProviderId,
        access_token::{self, VerifiedAccessToken},
    },
    rules::Verdict,
    secret::RawBearerToken,
    time::UnixTime,
};

use super::{
    Env, Step,
    caller::{Caller, Kind},
    event::Event,
    failure::Failure,
    identity,
    lease::Asker,
    permit::Permit,
    reply::{self, Offer},
    request::{MAX_HOLD, MAX_STRANGERS, Unverified, Waiter},
    verification::{When, verified},
};

/// The longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;
/// How many tokens a worker remembers, each so long as it is good. One that is pushed out is verified again.
const SLOTS: usize = 512;

/// Whoever brought a good token. Only this room makes one.
#[derive(Debug, Clone)]
pub struct VerifiedBearer(Rc<Grounds>);

#[derive(Debug)]
enum Grounds {
    AccessToken(VerifiedAccessToken),
    Static { name: String, claims: Map<String, Value>, expires_at: Option<UnixTime> },
}

impl VerifiedBearer {
    /// Who it is.
    pub fn subject(&self) -> &str {
        match &*self.0 {
            Grounds::AccessToken(token) => token.subject(),
            Grounds::Static { name, .. } => name,
        }
    }

    fn is_over(&self, env: &Env<'_>) -> bool {
        match &*self.0 {
            Grounds::AccessToken(token) => token.expires_at().plus(env.config.leeway.span()) <= env.now,
            Grounds::Static { expires_at, .. } => expires_at.is_some_and(|end| end <= env.now),
        }
    }
}

impl Claims for VerifiedBearer {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        match &*self.0 {
            Grounds::AccessToken(token) => token.claim(name),
            Grounds::Static { name: own, .. } if name == "sub" => Some(Claim::Text(own)),
            Grounds::Static { claims, .. } => claims.get(name).map(Claim::Json),
        }
    }
}

/// The tokens that a worker has verified lately, by their very bytes.
#[derive(Debug)]
pub struct Bearers {
    slots: Vec<Option<Slot>>,
}

#[derive(Debug)]
struct Slot {
    token: RawBearerToken,
    /// The keys it was verified with: with others it is verified again.
    keys_version: u64,
    bearer: VerifiedBearer,
}

impl Default for Bearers {
    fn default() -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(SLOTS).collect() }
    }
}

impl Bearers {
    fn find(&self, token: &str, keys_version: u64) -> Option<VerifiedBearer> {
        let slot = self.slots.get(place(token))?.as_ref()?;
        (slot.keys_version == keys_version && slot.token.matches(token)).then(|| slot.bearer.clone())
    }

    fn remember(&mut self, token: &RawBearerToken, keys_version: u64, bearer: &VerifiedBearer) {
        if let Some(slot) = self.slots.get_mut(place(token.expose())) {
            *slot = Some(Slot { token: token.clone(), keys_version, bearer: bearer.clone() });
        }
    }
}

/// The end of a token is its signature, as good as random; and only a good one is remembered.
fn place(token: &str) -> usize {
    let tail = token.bytes().rev().take(8);
    tail.fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % SLOTS
}

/// Whether the request brings a token, good or not.
pub(super) fn is_brought(request: &Request) -> bool {
    request.lines("authorization").any(|line| scheme_and_token(line).is_some())
}

fn scheme_and_token(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// The one token of the request, `b64token` of RFC 6750, 2.1.
fn token_of(request: &Request) -> Option<RawBearerToken> {
    let token = scheme_and_token(request.single("authorization")?)?.trim_ascii();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let text = std::str::from_utf8(token).ok().filter(|_| token.iter().all(is_plain))?;
    (1..=MAX_TOKEN).contains(&text.len()).then(|| RawBearerToken::new(text))
}

/// Decides a request that brings a token.
pub(super) fn arrive(request: Request, env: &mut Env<'_>) -> Step {
    let caller = Caller { kind: Kind::Program, ..Caller::of(&request) };
    // RFC 6750, 3.1: a token that cannot be checked is no session, whatever cookie stands beside it.
    if env.config.static_tokens.is_empty() && !env.config.takes_access_tokens() {
        return reply::refuse(Failure::Bearer, &caller, Offer::default(), env);
    }
    let Some(token) = token_of(&request) else {
        return reply::refuse(Failure::BearerMalformed, &caller, Offer::default(), env);
    };
    let Some(provider) = env.providers.ids().next() else {
        return reply::refuse(Failure::ProviderNotReady, &caller, Offer::default(), env);
    };
    let keys_version = env.providers.keys_version(provider);
    let known = env.bearers.find(token.expose(), keys_version).or_else(|| listed(&token, env));
    match known.filter(|known| !known.is_over(env)) {
        Some(bearer) => {
            env.bearers.remember(&token, keys_version, &bearer);
            pass(&request, bearer, &caller, env)
        }
        None if env.config.takes_access_tokens() => {
            let in_hand = Box::new(BearerInHand { request, caller, provider, token });
            in_hand.verify(When::First, env.now.plus(MAX_HOLD), env)
        }
        None => reply::refuse(Failure::BearerUnknown, &caller, Offer::default(), env),
    }
}

/// The listed token that this is. Each is looked at, and none ends the search, so that the time tells nothing.
fn listed(token: &RawBearerToken, env: &Env<'_>) -> Option<VerifiedBearer> {
    let digest: [u8; 32] = Sha256::digest(token.expose()).into();
    let mut found = None;
    for known in &env.config.static_tokens {
        if bool::from(known.digest.ct_eq(&digest)) {
            found = Some(known);
        }
    }
    let StaticToken { name, claims, expires_at, .. } = found?.clone();
    Some(VerifiedBearer(Rc::new(Grounds::Static { name, claims, expires_at })))
}

/// An access token that is still to be verified.
#[derive(Debug)]
pub(super) struct BearerInHand {
    request: Request,
    caller: Caller,
    provider: ProviderId,
    token: RawBearerToken,
}

impl BearerInHand {
    pub(super) const fn provider(&self) -> ProviderId {
        self.provider
    }

    /// Verifies it, or waits for the keys it needs.
    pub(super) fn verify(self: Box<Self>, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
        let outcome = verified(self.provider, Asker::Anybody, when, env, |env| self.access_token(env));
        let has_room = env.load.strangers < MAX_STRANGERS;
        match outcome {
            // It came before anything was known of its provider.
            Some(Err(Failure::ProviderNotReady)) if when == When::First && has_room => {}
            None if when != When::First || has_room => {}
            None => return reply::refuse(Failure::Busy, &self.caller, Offer::default(), env),
            Some(Err(failure)) => return reply::refuse(failure, &self.caller, Offer::default(), env),
            Some(Ok(token)) => {
                let bearer = VerifiedBearer(Rc::new(Grounds::AccessToken(token)));
                env.bearers.remember(&self.token, env.providers.keys_version(self.provider), &bearer);
                return pass(&self.request, bearer, &self.caller, env);
            }
        }
        Waiter::for_keys(Unverified::Bearer(self), until, env)
    }

    fn access_token(&self, env: &Env<'_>) -> Result<VerifiedAccessToken, Failure> {
        let unverified = UnverifiedJws::parse(self.token.expose()).map_err(|_| Failure::BearerUnknown)?;
        let known = env.providers.ready(self.provider, env.now).ok_or(Failure::ProviderNotReady)?;
        let token = verify(&unverified, known.keys, &known.provider.algorithms, env.platform)
            .map_err(Failure::BearerSignature)?;
        access_token::check(token, known.provider, env.now, env.config.leeway).map_err(Failure::BearerRefused)
    }
}

/// Upstream, as whoever brought this token, if the rules let them pass.
fn pass(request: &Request, bearer: VerifiedBearer, caller: &Caller, env: &mut Env<'_>) -> Step {
    let verdict = env.config.rules.decide(request);
    if let Some(rule) = missing_scope(&verdict, &bearer) {
        return reply::refuse(Failure::InsufficientScope(rule), caller, Offer::default(), env);
    }
    let permit = match verdict.admits(&bearer, None) {
        Ok(admission) => Permit::bearer(bearer, &admission),
        Err(refusal) => {
            let rule = refusal.rule.map(str::to_owned);
            let failure = if refusal.left_out { Failure::GroupsLeftOut(rule) } else { Failure::NotAllowed(rule) };
            return reply::refuse(failure, caller, Offer::default(), env);
        }
    };
    env.events.push(Event::Permitted(permit.reason()));
    let edits = identity::edits(request, &permit, env.config);
    Step::Forward { permit, edits, cookies: None }
}

/// The scopes that rules want, where the token lacks one.
fn missing_scope(verdict: &Verdict<'_>, bearer: &VerifiedBearer) -> Option<String> {
    verdict.scopes().any(|scope| !access_token::has_scope(bearer, scope)).then(|| {
        let wanted: Vec<_> = verdict.scopes().collect();
        wanted.join(" ")
    })
}
