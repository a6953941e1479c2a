//! Programs bring tokens: static ones that the operator has listed, and access tokens of the provider (RFC 6750,
//! RFC 9068). A token that is there and not good is refused, whatever cookie stands beside it.

mod introspection;
mod memory;
mod verified;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    claims::IssuerId,
    http::Request,
    jose::{
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::access_token::{self, VerifiedAccessToken},
    rules::{Authorization, Verdict},
    secret::RawBearerToken,
    session::{
        cookie::{self, Found},
        handed::is_b64token,
        return_to::ReturnTo,
    },
    shared::lease::Asker,
    time::UnixTime,
};

use super::{
    Env, Step,
    caller::{Caller, Kind},
    failure::Failure,
    limits::Slot,
    permit::Permit,
    reply::{self, Offer},
    request::{MAX_HOLD, Unverified, Waiter, forward, misrouted},
    sign_in,
    verification::{When, verified},
};
pub use introspection::ExpectAnswer;
pub use memory::Bearers;
use memory::{Basis, Fingerprint};
pub use verified::VerifiedBearer;

/// The longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;

/// Whether `Authorization` has a bearer token, valid or not, or text that an app may take for one: some apps look for the
/// scheme anywhere in the header, also at the end of a word, and few want exactly one space after it. With
/// `authorization: app` the header is the app's, and holds no credential for us.
pub(super) fn is_brought(request: &Request, verdict: &Verdict<'_>, env: &Env<'_>) -> bool {
    verdict.authorization(env.config.authorization) != Authorization::App
        && request.lines("authorization").any(names_bearer)
}

fn names_bearer(line: &[u8]) -> bool {
    const SCHEME: &[u8] = b"bearer";
    let follows_a_word =
        |at: usize| at.checked_sub(1).and_then(|at| line.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\x0b' || !byte.is_ascii();
    let is_before_space = |at: usize| line.get(at.saturating_add(SCHEME.len())).is_some_and(is_space);
    let mut parts = line.windows(SCHEME.len()).enumerate();
    parts.any(|(at, part)| part.eq_ignore_ascii_case(SCHEME) && (!follows_a_word(at) || is_before_space(at)))
}

/// Whether it brings one in the cookie that may hold one.
pub(super) fn is_in_cookie(request: &Request, env: &Env<'_>) -> bool {
    env.config
        .token_cookie
        .as_ref()
        .is_some_and(|name| !matches!(cookie::find(request.lines("cookie"), name), Found::Absent | Found::One(b"")))
}

/// RFC 9110, 11.4, and a tab, which some apps take for the space.
fn scheme_and_token(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(6)?;
    (scheme.eq_ignore_ascii_case(b"bearer") && matches!(token.first(), Some(b' ' | b'\t'))).then_some(token)
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
    /// Refuses it. Whoever came with a browser, and a cookie that is not good any more, can sign in; where everybody may
    /// pass, so may they, as nobody in particular: a cookie is not sent on purpose.
    fn refuse(&self, failure: Failure, env: &mut Env<'_>) -> Step {
        if failure.status() < 500
            && let Ok(verdict) = env.config.rules.decide(&self.request)
            && !is_brought(&self.request, &verdict, env)
            && let Some(proof) = verdict.optional()
        {
            return forward(&self.request, Permit::open(&proof), &verdict, env);
        }
        let offer = match self.caller.kind {
            Kind::Program => Offer::default(),
            Kind::Frame | Kind::Navigation | Kind::Page => {
                let target = ReturnTo::parse(self.request.target(), &env.config.prefix);
                Offer::sign_in(sign_in::start(target.as_str(), &[], env))
            }
        };
        reply::refuse(failure, &self.caller, offer, env)
    }
}

fn decide(mut by: Bringer, token: Option<RawBearerToken>, env: &mut Env<'_>) -> Step {
    // RFC 6750, 3.1: a token that cannot be checked is no session, whatever cookie stands beside it.
    if env.config.static_tokens.is_empty() && env.config.token_issuers.is_empty() {
        return by.refuse(Failure::Bearer, env);
    }
    let Some(token) = token else { return by.refuse(Failure::BearerMalformed, env) };
    let fingerprint: Fingerprint = Sha256::digest(token.expose()).into();
    if let Some(bearer) = listed(&fingerprint, env) {
        if bearer.is_over(env.config.leeway, env.now) {
            let name = bearer.subject().to_owned();
            return by.refuse(Failure::BearerOver(name), env);
        }
        return pass(&by, bearer, env);
    }
    if let Some(bearer) = remembered(&fingerprint, env) {
        by.caller.issuer = bearer.source();
        return pass(&by, bearer, env);
    }
    let Some(issuer) = issuer_of(&token, env) else { return by.refuse(Failure::BearerUnknown, env) };
    by.caller.issuer = Some(issuer);
    let in_hand = Box::new(BearerInHand { by, issuer, token, fingerprint, slot: None });
    in_hand.verify(When::First, env.now.plus(MAX_HOLD), env)
}

/// The issuer whose token it says it is, or who is asked about those that say nothing.
fn issuer_of(token: &RawBearerToken, env: &Env<'_>) -> Option<IssuerId> {
    let claimed = UnverifiedJws::parse(token.expose()).ok().and_then(|token| token.claimed_issuer());
    let issuers = &env.config.token_issuers;
    let named = issuers.iter().find(|known| claimed.as_ref() == Some(&known.issuer));
    let asked = || issuers.iter().find(|known| known.introspection().is_some());
    named.or_else(asked).map(|known| known.id)
}

/// The listed token that this is. Each is looked at, and none ends the search, so that the time tells nothing.
fn listed(fingerprint: &Fingerprint, env: &Env<'_>) -> Option<VerifiedBearer> {
    let mut found = None;
    for known in &env.config.static_tokens {
        if bool::from(known.digest.ct_eq(fingerprint)) {
            found = Some(known);
        }
    }
    found.map(VerifiedBearer::listed)
}

/// The access token that this is, if what makes it good still does.
fn remembered(fingerprint: &Fingerprint, env: &Env<'_>) -> Option<VerifiedBearer> {
    let (bearer, basis) = env.bearers.find(fingerprint)?;
    let issuer = bearer.source()?;
    let is_good = match basis {
        Basis::Answer(until) => {
            let asked = env.config.token_issuer(issuer).and_then(|issuer| issuer.introspection());
            asked.is_some_and(|asked| !until.is_over(asked.cache, env.now))
        }
        Basis::Keys(version) => {
            env.issuers.keys(issuer, env.now).is_some() && env.issuers.keys_version(issuer) == version
        }
    };
    (is_good && !bearer.is_over(env.config.leeway, env.now)).then_some(bearer)
}

/// An access token that is still to be verified.
#[derive(Debug)]
pub(super) struct BearerInHand {
    by: Bringer,
    issuer: IssuerId,
    token: RawBearerToken,
    fingerprint: Fingerprint,
    /// Its slot among the requests that are held, while it is held.
    slot: Option<Slot>,
}

impl BearerInHand {
    pub(super) const fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// Verifies it, or waits for the keys it needs.
    pub(super) fn verify(mut self: Box<Self>, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
        if env.config.token_issuer(self.issuer).is_some_and(|issuer| issuer.introspection().is_some()) {
            return introspection::ask(self, when, until, env);
        }
        let outcome = verified(self.issuer, Asker::Unauthenticated, when, env, |env| self.access_token(env));
        match outcome {
            // It came before anything was known of its provider.
            Some(Err(Failure::ProviderNotReady))
                if when == When::First && env.limits.hold(&mut self.slot, env.platform) => {}
            None if env.limits.hold(&mut self.slot, env.platform) => {}
            None => return self.by.refuse(Failure::Busy, env),
            Some(Err(failure)) => return self.by.refuse(failure, env),
            Some(Ok(token)) => {
                let basis = Basis::Keys(env.issuers.keys_version(self.issuer));
                return self.welcome(VerifiedBearer::signed(token), basis, 0, env);
            }
        }
        Waiter::for_keys(Unverified::Bearer(self), until, env)
    }

    /// Lets it pass, if it may, and remembers it, with so much that its issuer answered.
    fn welcome(&self, bearer: VerifiedBearer, basis: Basis, answered: usize, env: &mut Env<'_>) -> Step {
        let length = self.token.expose().len().saturating_add(answered);
        env.bearers.remember(self.fingerprint, length, basis, &bearer);
        pass(&self.by, bearer, env)
    }

    fn access_token(&self, env: &Env<'_>) -> Result<VerifiedAccessToken, Failure> {
        let unverified = UnverifiedJws::parse(self.token.expose()).map_err(|_| Failure::BearerUnknown)?;
        let issuer = env.config.token_issuer(self.issuer).ok_or(Failure::BearerUnknown)?;
        let keys = env.issuers.keys(self.issuer, env.now).ok_or(Failure::ProviderNotReady)?;
        let token = verify(&unverified, keys, &issuer.algorithms, Origin::Request(env.now), env.platform)
            .map_err(Failure::BearerSignature)?;
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
    let permit = match (verdict.admits(&bearer, bearer.by_source(env.config)), verdict.optional()) {
        (Ok(admission), _) => Permit::bearer(bearer, &admission),
        // Everybody may pass here, and so may it, as nobody in particular.
        (Err(_), Some(proof)) => Permit::open(&proof),
        (Err(refusal), None) => return by.refuse(refusal.into(), env),
    };
    forward(&by.request, permit, &verdict, env)
}

/// The scopes that rules want, where the token lacks one.
fn missing_scope(verdict: &Verdict<'_>, bearer: &VerifiedBearer) -> Option<String> {
    verdict.scopes().any(|scope| !access_token::has_scope(bearer, scope)).then(|| {
        let wanted: Vec<_> = verdict.scopes().collect();
        wanted.join(" ")
    })
}
