//! Programs bring tokens: static ones that the operator has listed, and access tokens of the provider (RFC 6750,
//! RFC 9068). A token that is there and not good is refused, whatever cookie stands beside it.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    claims::{Claim, Claims, Conditions, StaticToken},
    http::Request,
    jose::{jws::UnverifiedJws, verify::verify},
    oidc::{
        ProviderId,
        access_token::{self, VerifiedAccessToken},
    },
    rules::Verdict,
    secret::RawBearerToken,
    session::handed::is_b64token,
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
/// How many access tokens a worker remembers, each so long as it is good. One that is pushed out is verified again.
const SLOTS: usize = 512;
/// How long they may be all together: what stands in them takes several times as much memory.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// SHA-256 of a token: what it is known by, so that none is kept.
type Fingerprint = [u8; 32];

/// Whoever brought a good token. Only this room makes one.
#[derive(Debug, Clone)]
pub struct VerifiedBearer(Rc<Grounds>);

#[derive(Debug)]
enum Grounds {
    AccessToken(VerifiedAccessToken),
    Static(Rc<StaticToken>),
}

impl VerifiedBearer {
    /// Who it is.
    pub fn subject(&self) -> &str {
        match &*self.0 {
            Grounds::AccessToken(token) => token.subject(),
            Grounds::Static(token) => &token.name,
        }
    }

    /// Whether it is a provider's, and nothing of our own.
    pub(super) fn is_access_token(&self) -> bool {
        matches!(*self.0, Grounds::AccessToken(_))
    }

    fn is_over(&self, env: &Env<'_>) -> bool {
        match &*self.0 {
            Grounds::AccessToken(token) => token.expires_at().plus(env.config.leeway.span()) <= env.now,
            Grounds::Static(token) => token.expires_at.is_some_and(|end| end <= env.now),
        }
    }

    /// The conditions of whoever vouches for it: what a provider says of its people holds for its tokens too.
    fn by_source<'a>(&self, provider: ProviderId, env: &Env<'a>) -> Option<&'a Conditions> {
        match &*self.0 {
            Grounds::AccessToken(_) => env.config.providers.get(provider.index())?.allow.as_ref(),
            Grounds::Static(_) => None,
        }
    }
}

impl Claims for VerifiedBearer {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        match &*self.0 {
            Grounds::AccessToken(token) => token.claim(name),
            Grounds::Static(token) if name == "sub" => Some(Claim::Text(&token.name)),
            Grounds::Static(token) => token.claims.get(name).map(Claim::Json),
        }
    }
}

/// The access tokens that a worker has verified lately, under its configuration.
#[derive(Debug)]
pub struct Bearers {
    slots: Vec<Option<Slot>>,
    /// How long their tokens are all together.
    length: usize,
}

#[derive(Debug)]
struct Slot {
    fingerprint: Fingerprint,
    /// How long the token is.
    length: usize,
    /// The keys it was verified with: with others it is verified again.
    keys_version: u64,
    bearer: VerifiedBearer,
}

impl Default for Bearers {
    fn default() -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(SLOTS).collect(), length: 0 }
    }
}

impl Bearers {
    fn find(&self, fingerprint: &Fingerprint, keys_version: u64) -> Option<VerifiedBearer> {
        let slot = self.slots.get(place(fingerprint))?.as_ref()?;
        let is_it = bool::from(slot.fingerprint.ct_eq(fingerprint));
        (is_it && slot.keys_version == keys_version).then(|| slot.bearer.clone())
    }

    fn remember(&mut self, fingerprint: Fingerprint, length: usize, keys_version: u64, bearer: &VerifiedBearer) {
        if self.length.saturating_add(length) > MAX_REMEMBERED {
            *self = Self::default();
        }
        let Some(slot) = self.slots.get_mut(place(&fingerprint)) else { return };
        let before = slot.replace(Slot { fingerprint, length, keys_version, bearer: bearer.clone() });
        self.length = self.length.saturating_add(length).saturating_sub(before.map_or(0, |slot| slot.length));
    }
}

fn place(fingerprint: &Fingerprint) -> usize {
    let [first, second, ..] = *fingerprint;
    usize::from(u16::from_le_bytes([first, second])) % SLOTS
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
    let text = std::str::from_utf8(token).ok().filter(|text| is_b64token(text))?;
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
    let fingerprint: Fingerprint = Sha256::digest(token.expose()).into();
    if let Some(bearer) = listed(&fingerprint, env) {
        if bearer.is_over(env) {
            let name = bearer.subject().to_owned();
            return reply::refuse(Failure::BearerOver(name), &caller, Offer::default(), env);
        }
        return pass(&request, bearer, provider, &caller, env);
    }
    if let Some(bearer) = remembered(&fingerprint, provider, env) {
        return pass(&request, bearer, provider, &caller, env);
    }
    if env.config.takes_access_tokens() {
        let in_hand = Box::new(BearerInHand { request, caller, provider, token, fingerprint });
        return in_hand.verify(When::First, env.now.plus(MAX_HOLD), env);
    }
    reply::refuse(Failure::BearerUnknown, &caller, Offer::default(), env)
}

/// The listed token that this is. Each is looked at, and none ends the search, so that the time tells nothing.
fn listed(fingerprint: &Fingerprint, env: &Env<'_>) -> Option<VerifiedBearer> {
    let mut found = None;
    for known in &env.config.static_tokens {
        if bool::from(known.digest.ct_eq(fingerprint)) {
            found = Some(known);
        }
    }
    Some(VerifiedBearer(Rc::new(Grounds::Static(Rc::clone(found?)))))
}

/// The access token that this is, if it was verified with the keys of now, and those are still trusted.
fn remembered(fingerprint: &Fingerprint, provider: ProviderId, env: &Env<'_>) -> Option<VerifiedBearer> {
    env.providers.ready(provider, env.now)?;
    let known = env.bearers.find(fingerprint, env.providers.keys_version(provider))?;
    (!known.is_over(env)).then_some(known)
}

/// An access token that is still to be verified.
#[derive(Debug)]
pub(super) struct BearerInHand {
    request: Request,
    caller: Caller,
    provider: ProviderId,
    token: RawBearerToken,
    fingerprint: Fingerprint,
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
                let (length, keys_version) = (self.token.expose().len(), env.providers.keys_version(self.provider));
                env.bearers.remember(self.fingerprint, length, keys_version, &bearer);
                return pass(&self.request, bearer, self.provider, &self.caller, env);
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
fn pass(request: &Request, bearer: VerifiedBearer, provider: ProviderId, caller: &Caller, env: &mut Env<'_>) -> Step {
    let verdict = env.config.rules.decide(request);
    if let Some(rule) = missing_scope(&verdict, &bearer) {
        return reply::refuse(Failure::InsufficientScope(rule), caller, Offer::default(), env);
    }
    let permit = match (verdict.admits(&bearer, bearer.by_source(provider, env)), verdict.optional()) {
        (Ok(admission), _) => Permit::bearer(bearer, &admission),
        // Everybody may pass here, and so may it, as nobody in particular.
        (Err(_), Some(proof)) => Permit::open(&proof),
        (Err(refusal), None) => return reply::refuse(refusal.into(), caller, Offer::default(), env),
    };
    env.events.push(Event::Permitted(permit.reason()));
    let edits = identity::edits(request, &permit, &verdict, env);
    Step::Forward { permit, edits, cookies: None }
}

/// The scopes that rules want, where the token lacks one.
fn missing_scope(verdict: &Verdict<'_>, bearer: &VerifiedBearer) -> Option<String> {
    verdict.scopes().any(|scope| !access_token::has_scope(bearer, scope)).then(|| {
        let wanted: Vec<_> = verdict.scopes().collect();
        wanted.join(" ")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn fingerprint(number: u32) -> Fingerprint {
        Sha256::digest(number.to_le_bytes()).into()
    }

    #[test]
    fn what_is_remembered_has_an_end_in_number_and_in_length() {
        let token = StaticToken { name: "ci".to_owned(), digest: [0; 32], claims: Map::new(), expires_at: None };
        let bearer = VerifiedBearer(Rc::new(Grounds::Static(Rc::new(token))));
        let mut bearers = Bearers::default();
        for length in [1, MAX_TOKEN] {
            for number in 0..5_000 {
                bearers.remember(fingerprint(number), length, 1, &bearer);
                assert!(bearers.find(&fingerprint(number), 1).is_some());
                assert!(bearers.find(&fingerprint(number), 2).is_none() && bearers.find(&[7; 32], 1).is_none());
                let lengths: usize = bearers.slots.iter().flatten().map(|slot| slot.length).sum();
                assert_eq!(bearers.length, lengths);
                assert!(bearers.slots.len() == SLOTS && lengths <= MAX_REMEMBERED, "{lengths}");
            }
        }
    }
}
