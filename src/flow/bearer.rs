//! Programs bring tokens: static ones that the operator has listed, and access tokens of the provider (RFC 6750,
//! RFC 9068). A token that is there and not good is refused, whatever cookie stands beside it.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    claims::{Claim, Claims, Conditions, IssuerId, StaticToken},
    http::Request,
    jose::{jws::UnverifiedJws, verify::verify},
    oidc::access_token::{self, VerifiedAccessToken},
    page::Action,
    rules::Verdict,
    secret::RawBearerToken,
    session::{
        cookie::{self, Found},
        handed::is_b64token,
        return_to::ReturnTo,
    },
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
    request::{MAX_HOLD, MAX_STRANGERS, Unverified, Waiter, misrouted},
    sign_in,
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
    fn by_source<'a>(&self, env: &Env<'a>) -> Option<&'a Conditions> {
        env.config.token_issuer(self.issuer()?)?.allow.as_ref()
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

    fn issuer(&self) -> Option<IssuerId> {
        match &*self.0 {
            Grounds::AccessToken(token) => token.issuer(),
            Grounds::Static(_) => None,
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
    /// The token, and which keys it was verified with.
    fn find(&self, fingerprint: &Fingerprint) -> Option<(VerifiedBearer, u64)> {
        let slot = self.slots.get(place(fingerprint))?.as_ref()?;
        bool::from(slot.fingerprint.ct_eq(fingerprint)).then(|| (slot.bearer.clone(), slot.keys_version))
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

/// Whether it brings one in the cookie that may hold one.
pub(super) fn is_in_cookie(request: &Request, env: &Env<'_>) -> bool {
    env.config
        .token_cookie
        .as_ref()
        .is_some_and(|name| !matches!(cookie::find(request.lines("cookie"), name), Found::Absent | Found::One(b"")))
}

fn scheme_and_token(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// The one token of the header.
fn in_header(request: &Request) -> Option<RawBearerToken> {
    read(scheme_and_token(request.single("authorization")?)?.trim_ascii())
}

/// The one token of the cookie.
pub(super) fn in_cookie(request: &Request, env: &Env<'_>) -> Option<RawBearerToken> {
    let Found::One(token) = cookie::find(request.lines("cookie"), env.config.token_cookie.as_ref()?) else {
        return None;
    };
    read(token)
}

/// A `b64token` (RFC 6750, 2.1).
fn read(token: &[u8]) -> Option<RawBearerToken> {
    let text = std::str::from_utf8(token).ok().filter(|text| is_b64token(text))?;
    (1..=MAX_TOKEN).contains(&text.len()).then(|| RawBearerToken::new(text))
}

/// Decides a request that brings a token in its header.
pub(super) fn arrive(request: Request, env: &mut Env<'_>) -> Step {
    let caller = Caller { kind: Kind::Program, ..Caller::of(&request) };
    let token = in_header(&request);
    decide(Bringer { request, caller }, token, env)
}

/// Decides a request that brings a token in a cookie, and nothing better.
pub(super) fn arrive_with_cookie(request: Request, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(&request);
    let token = in_cookie(&request, env);
    decide(Bringer { request, caller }, token, env)
}

/// A request with a token.
#[derive(Debug)]
struct Bringer {
    request: Request,
    caller: Caller,
}

impl Bringer {
    /// Refuses it. Whoever came with a browser, and a cookie that is not good any more, can sign in.
    fn refuse(&self, failure: Failure, env: &mut Env<'_>) -> Step {
        let mut offer = Offer::default();
        if self.caller.kind != Kind::Program {
            let target = ReturnTo::parse(self.request.target(), &env.config.prefix);
            let href = sign_in::start(target.as_str(), &[], env);
            offer.action = Some(Action::Link { label: "Sign in", href });
        }
        reply::refuse(failure, &self.caller, offer, env)
    }
}

fn decide(by: Bringer, token: Option<RawBearerToken>, env: &mut Env<'_>) -> Step {
    // RFC 6750, 3.1: a token that cannot be checked is no session, whatever cookie stands beside it.
    if env.config.static_tokens.is_empty() && env.config.token_issuers.is_empty() {
        return by.refuse(Failure::Bearer, env);
    }
    let Some(token) = token else { return by.refuse(Failure::BearerMalformed, env) };
    let fingerprint: Fingerprint = Sha256::digest(token.expose()).into();
    if let Some(bearer) = listed(&fingerprint, env) {
        if bearer.is_over(env) {
            let name = bearer.subject().to_owned();
            return by.refuse(Failure::BearerOver(name), env);
        }
        return pass(&by, bearer, env);
    }
    if let Some(bearer) = remembered(&fingerprint, env) {
        return pass(&by, bearer, env);
    }
    let Some(issuer) = issuer_of(&token, env) else { return by.refuse(Failure::BearerUnknown, env) };
    let in_hand = Box::new(BearerInHand { by, issuer, token, fingerprint });
    in_hand.verify(When::First, env.now.plus(MAX_HOLD), env)
}

/// The issuer whose token it says it is.
fn issuer_of(token: &RawBearerToken, env: &Env<'_>) -> Option<IssuerId> {
    let issuer = UnverifiedJws::parse(token.expose()).ok()?.claimed_issuer()?;
    let known = env.config.token_issuers.iter().find(|known| known.issuer == issuer)?;
    Some(known.id)
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
fn remembered(fingerprint: &Fingerprint, env: &Env<'_>) -> Option<VerifiedBearer> {
    let (bearer, keys_version) = env.bearers.find(fingerprint)?;
    let issuer = bearer.issuer()?;
    env.issuers.keys(issuer, env.now)?;
    (env.issuers.keys_version(issuer) == keys_version && !bearer.is_over(env)).then_some(bearer)
}

/// An access token that is still to be verified.
#[derive(Debug)]
pub(super) struct BearerInHand {
    by: Bringer,
    issuer: IssuerId,
    token: RawBearerToken,
    fingerprint: Fingerprint,
}

impl BearerInHand {
    pub(super) const fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// Verifies it, or waits for the keys it needs.
    pub(super) fn verify(self: Box<Self>, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
        let outcome = verified(self.issuer, Asker::Anybody, when, env, |env| self.access_token(env));
        let has_room = env.load.strangers < MAX_STRANGERS;
        match outcome {
            // It came before anything was known of its provider.
            Some(Err(Failure::ProviderNotReady)) if when == When::First && has_room => {}
            None if when != When::First || has_room => {}
            None => return self.by.refuse(Failure::Busy, env),
            Some(Err(failure)) => return self.by.refuse(failure, env),
            Some(Ok(token)) => {
                let bearer = VerifiedBearer(Rc::new(Grounds::AccessToken(token)));
                let (length, keys_version) = (self.token.expose().len(), env.issuers.keys_version(self.issuer));
                env.bearers.remember(self.fingerprint, length, keys_version, &bearer);
                return pass(&self.by, bearer, env);
            }
        }
        Waiter::for_keys(Unverified::Bearer(self), until, env)
    }

    fn access_token(&self, env: &Env<'_>) -> Result<VerifiedAccessToken, Failure> {
        let unverified = UnverifiedJws::parse(self.token.expose()).map_err(|_| Failure::BearerUnknown)?;
        let issuer = env.config.token_issuer(self.issuer).ok_or(Failure::BearerUnknown)?;
        let keys = env.issuers.keys(self.issuer, env.now).ok_or(Failure::ProviderNotReady)?;
        let token = verify(&unverified, keys, &issuer.algorithms, env.platform).map_err(Failure::BearerSignature)?;
        access_token::check(token, issuer, env.now, env.config.leeway).map_err(Failure::BearerRefused)
    }
}

/// Upstream, as whoever brought this token, if the rules let them pass.
fn pass(by: &Bringer, bearer: VerifiedBearer, env: &mut Env<'_>) -> Step {
    let verdict = match env.config.rules.decide(&by.request) {
        Ok(verdict) => verdict,
        Err(error) => return misrouted(error, &by.caller, env),
    };
    if let Some(rule) = missing_scope(&verdict, &bearer) {
        return by.refuse(Failure::InsufficientScope(rule), env);
    }
    let permit = match (verdict.admits(&bearer, bearer.by_source(env)), verdict.optional()) {
        (Ok(admission), _) => Permit::bearer(bearer, &admission),
        // Everybody may pass here, and so may it, as nobody in particular.
        (Err(_), Some(proof)) => Permit::open(&proof),
        (Err(refusal), None) => return by.refuse(refusal.into(), env),
    };
    env.events.push(Event::Permitted(permit.reason()));
    let edits = identity::edits(&by.request, &permit, &verdict, env);
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
                assert!(bearers.find(&fingerprint(number)).is_some_and(|(_, version)| version == 1));
                assert!(bearers.find(&[7; 32]).is_none());
                let lengths: usize = bearers.slots.iter().flatten().map(|slot| slot.length).sum();
                assert_eq!(bearers.length, lengths);
                assert!(bearers.slots.len() == SLOTS && lengths <= MAX_REMEMBERED, "{lengths}");
            }
        }
    }
}
