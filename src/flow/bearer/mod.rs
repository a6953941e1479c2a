//! Bearer tokens of API clients: static ones that the operator has listed, and access tokens of issuers (RFC 6750, RFC
//! 9068). A request with an invalid token is refused, even if it has a session cookie.

mod introspection;

use std::rc::Rc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    claims::{Claims, IssuerId},
    config::Config,
    http::{HeaderEdit, LocalReply},
    jose::{
        claims::ClaimError,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    oidc::{
        access_token::{self, AccessTokenError},
        token_issuer::TokenIssuer,
    },
    rules::{Admitted, NotAdmitted, RuledRequest, TokensDiffer, UpstreamToken, Verdict},
    secret::RawBearerToken,
    session::return_to::ReturnTo,
    shared::lease::Asker,
};

use super::{
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    authorize::{Decision, bearer_token, forward, permit::Permit},
    context::{Env, Flow, RequestContext},
    event::failure::Failure,
    executor::Gate,
    keys::{Attempt, verify_again, verify_first},
    limits::hold_from,
    memory::{
        bearers::{Basis, CheckedToken, Fingerprint},
        verified_bearer::VerifiedBearer,
    },
    sign_in,
    upstream_token::{self, Lookup},
};

/// The refusal of a token that has expired while its request waited.
const EXPIRED: Failure = Failure::BearerRefused(AccessTokenError::Claim(ClaimError::Expired));

/// The place that a bearer token is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The cookie that `token_cookie` names.
    Cookie,
    /// The header `Authorization`.
    Header,
}

/// A request with a bearer token.
struct Presented {
    ruled: RuledRequest,
    carrier: Carrier,
    /// The issuer of the token, once it is known.
    issuer: Option<IssuerId>,
}

/// A token whose issuer must be known, or asked, to check it.
struct Unchecked {
    presented: Presented,
    issuer: IssuerId,
    token: RawBearerToken,
    fingerprint: Fingerprint,
}

/// Decides a request with a bearer token.
pub(super) fn decide(ruled: RuledRequest, carrier: Carrier, env: &mut Env<'_>) -> Gate {
    let token = match carrier {
        Carrier::Cookie => bearer_token::in_cookie(ruled.request(), env.config),
        Carrier::Header => bearer_token::in_header(ruled.request()),
    };
    let mut presented = Presented { ruled, carrier, issuer: None };
    // RFC 6750, 3.1: a request whose token cannot be checked is refused, even if it has a session cookie.
    if env.config.static_tokens.is_empty() && env.config.token_issuers.is_empty() {
        return presented.refuse(Failure::Bearer, env).into();
    }
    let Some(token) = token else { return presented.refuse(Failure::BearerMalformed, env).into() };
    let fingerprint: Fingerprint = Sha256::digest(token.expose()).into();
    if let Some(bearer) = static_token(&fingerprint, env.config) {
        if env.has_expired(&bearer) {
            let name = bearer.subject().to_owned();
            return presented.refuse(Failure::BearerExpired(name), env).into();
        }
        return presented.pass(bearer, env);
    }
    if let Some(bearer) = cached_token(&fingerprint, env) {
        presented.issuer = bearer.source();
        return presented.pass(bearer, env);
    }
    let parsed = UnverifiedJws::parse(token.expose()).ok();
    let Some(issuer) = issuer_of(parsed.as_ref(), env.config) else {
        return presented.refuse(Failure::BearerUnknown, env).into();
    };
    presented.issuer = Some(issuer.id);
    let first = parsed.filter(|_| issuer.introspection().is_none()).map(|parsed| {
        verify_first(issuer.id, Asker::Unauthenticated, env, &|env: &Env<'_>| verify_now(&parsed, issuer, env))
    });
    let unchecked = Unchecked { presented, issuer: issuer.id, token, fingerprint };
    match first {
        Some(Attempt::Done(checked)) => unchecked.settle(checked, env),
        Some(attempt) => Gate::flow(move |cx| async move {
            let checked = verify_later(&unchecked, attempt, &cx).await;
            unchecked.settle_in(checked, &cx).await
        }),
        None => Gate::flow(move |cx| async move {
            let Unchecked { issuer, token, fingerprint, .. } = &unchecked;
            let checked = introspection::introspect(*issuer, token, fingerprint, &cx).await;
            unchecked.settle_in(checked, &cx).await
        }),
    }
}

/// Verifies a token with keys that are not known yet.
async fn verify_later(
    unchecked: &Unchecked,
    first: Attempt<CheckedToken>,
    cx: &RequestContext,
) -> Result<CheckedToken, Failure> {
    let id = unchecked.issuer;
    let verify_now = |env: &Env<'_>| {
        let parsed = UnverifiedJws::parse(unchecked.token.expose()).map_err(|_| Failure::BearerUnknown)?;
        verify_now(&parsed, env.config.token_issuer(id).ok_or(Failure::BearerUnknown)?, env)
    };
    verify_again(first, id, Asker::Unauthenticated, hold_from(cx.now()), cx, verify_now).await
}

/// Verifies the signature and the claims of an access token (RFC 9068, 4).
fn verify_now(parsed: &UnverifiedJws<'_>, issuer: &TokenIssuer, env: &Env<'_>) -> Result<CheckedToken, Failure> {
    let keys = env.issuers.keys(issuer.id, env.now()).ok_or(Failure::ProviderNotReady)?;
    let token = verify(parsed, keys, &issuer.algorithms, Origin::Request(env.now()), env.platform)
        .map_err(Failure::BearerSignature)?;
    let token = access_token::check(token, issuer, env.now(), env.config.leeway).map_err(Failure::BearerRefused)?;
    let basis = Basis::Keys(env.issuers.keys_version(issuer.id));
    Ok(CheckedToken { bearer: VerifiedBearer::signed(token), basis, answered: 0 })
}

impl Unchecked {
    /// Decides its request by the outcome of the check.
    fn settle(self, checked: Result<CheckedToken, Failure>, env: &mut Env<'_>) -> Gate {
        let Self { presented, token, fingerprint, .. } = self;
        match checked {
            Ok(CheckedToken { bearer, basis, answered }) => {
                let length = token.expose().len().saturating_add(answered);
                env.bearers.remember(fingerprint, length, basis, &bearer);
                presented.pass(bearer, env)
            }
            Err(failure) => presented.refuse(failure, env).into(),
        }
    }

    /// [`Self::settle`] at the end of a flow.
    fn settle_in(self, checked: Result<CheckedToken, Failure>, cx: &RequestContext) -> Flow<Decision> {
        Gate::settle_apart(cx.with(|env| self.settle(checked, env)), cx)
    }
}

impl Presented {
    /// Lets it pass as the subject of its token, if the rules admit that.
    fn pass(self, bearer: VerifiedBearer, env: &mut Env<'_>) -> Gate {
        self.pass_with(bearer, None, env)
    }

    /// [`Self::pass`], with the header that an exchange has made for the request.
    fn pass_with(self, bearer: VerifiedBearer, exchanged: Option<HeaderEdit>, env: &mut Env<'_>) -> Gate {
        if let Some(scopes) = missing_scope(self.ruled.verdict(), &bearer) {
            return self.refuse(Failure::InsufficientScope(scopes), env).into();
        }
        let Self { ruled, carrier, issuer } = self;
        let issuer_conditions = bearer.issuer_conditions(env.config);
        let NotAdmitted { ruled, refusal, .. } = match ruled.admit(bearer, issuer_conditions, |at| env.now_near(at)) {
            Ok(admitted) => {
                let found = match (admitted.ruled().verdict().upstream_token(), exchanged) {
                    (Ok(None), _) => return forward(Permit::bearer(admitted, None), None, env).into(),
                    (Ok(Some(_)), Some(token)) => Lookup::Ready(token),
                    (Ok(Some(wanted)), None) => find_token(wanted, &admitted, carrier, env),
                    (Err(TokensDiffer), _) => Lookup::Failed(Failure::TokensDiffer),
                };
                let apart = |admitted: Admitted<VerifiedBearer>| {
                    let (ruled, bearer) = admitted.into_parts();
                    (Self { ruled, carrier, issuer }, bearer)
                };
                return match found {
                    Lookup::Ready(token) => forward(Permit::bearer(admitted, Some(token)), None, env).into(),
                    Lookup::Needed(key) => {
                        let (presented, bearer) = apart(admitted);
                        Gate::flow(move |cx| async move {
                            let token = upstream_token::exchange(key, &cx).await;
                            Gate::settle_apart(cx.with(|env| presented.after_exchange(bearer, token, env)), &cx).await
                        })
                    }
                    Lookup::Failed(failure) => apart(admitted).0.reply(failure, env).into(),
                };
            }
            Err(refused) => *refused,
        };
        // Where the rules admit everyone, this client passes too, without its identity.
        match ruled.admit_anyone() {
            Ok(admitted) => forward(Permit::open(admitted), None, env).into(),
            Err(ruled) => Self { ruled, carrier, issuer }.reply(refusal.into(), env).into(),
        }
    }

    /// Decides anew after an exchange: the client's token may have expired meanwhile.
    fn after_exchange(self, bearer: VerifiedBearer, token: Result<HeaderEdit, Failure>, env: &mut Env<'_>) -> Gate {
        match token {
            Ok(_) if env.has_expired(&bearer) => self.refuse(EXPIRED, env).into(),
            Ok(token) => self.pass_with(bearer, Some(token), env),
            Err(failure) => self.reply(failure, env).into(),
        }
    }

    /// Refuses it. A browser whose cookie is not good any more is offered a sign-in; where the rules admit everyone, it
    /// passes without an identity: browsers send cookies unasked.
    fn refuse(self, failure: Failure, env: &mut Env<'_>) -> Decision {
        if failure.status() >= 500 || self.carrier == Carrier::Header {
            return self.reply(failure, env).into();
        }
        let Self { ruled, carrier, issuer } = self;
        match ruled.admit_anyone() {
            Ok(admitted) => forward(Permit::open(admitted), None, env),
            Err(ruled) => Self { ruled, carrier, issuer }.reply(failure, env).into(),
        }
    }

    /// A client with a token in the header is a program, even if other headers look like those of a browser.
    fn caller(&self) -> Caller {
        let caller = Caller { issuer: self.issuer, ..Caller::of(self.ruled.request()) };
        match self.carrier {
            Carrier::Cookie => caller,
            Carrier::Header => Caller { kind: Kind::Program, ..caller },
        }
    }

    fn reply(&self, failure: Failure, env: &mut Env<'_>) -> LocalReply {
        let caller = self.caller();
        let offer = match caller.kind {
            Kind::Program => Offer::default(),
            Kind::Frame | Kind::Navigation | Kind::Page => {
                let target = ReturnTo::parse(self.ruled.request().target(), &env.config.prefix);
                Offer::sign_in(sign_in::start_url(target.as_str(), &[], env))
            }
        };
        answer::refuse(failure, &caller, offer, env)
    }
}

/// Looks for the token that goes to the app, made of the client's access token.
#[inline(never)]
fn find_token(
    wanted: &Rc<UpstreamToken>,
    admitted: &Admitted<VerifiedBearer>,
    carrier: Carrier,
    env: &Env<'_>,
) -> Lookup {
    let (request, bearer) = (admitted.ruled().request(), admitted.principal());
    let token = match carrier {
        Carrier::Cookie => bearer_token::in_cookie(request, env.config),
        Carrier::Header => bearer_token::in_header(request),
    };
    match token.filter(|_| bearer.is_access_token()) {
        Some(token) => upstream_token::find(wanted, bearer.issuer(), token.expose(), env),
        None => Lookup::Failed(Failure::NotExchangeable),
    }
}

/// The issuer in the token, or the issuer with introspection for tokens without one.
fn issuer_of<'a>(token: Option<&UnverifiedJws<'_>>, config: &'a Config) -> Option<&'a TokenIssuer> {
    let claimed = token.and_then(UnverifiedJws::claimed_issuer);
    let issuers = &config.token_issuers;
    let named = issuers.iter().find(|known| claimed.as_ref() == Some(&known.issuer));
    let asked = || issuers.iter().find(|known| known.introspection().is_some());
    named.or_else(asked)
}

/// The static token with this fingerprint. Each is compared, and none ends the search, so that the time tells nothing.
fn static_token(fingerprint: &Fingerprint, config: &Config) -> Option<VerifiedBearer> {
    let mut found = None;
    for known in &config.static_tokens {
        if bool::from(known.digest.ct_eq(fingerprint)) {
            found = Some(known);
        }
    }
    found.map(VerifiedBearer::static_token)
}

/// The access token with this fingerprint, if it was good lately and still is.
fn cached_token(fingerprint: &Fingerprint, env: &Env<'_>) -> Option<VerifiedBearer> {
    let (bearer, basis) = env.bearers.find(fingerprint)?;
    let issuer = bearer.source()?;
    let is_good = match basis {
        Basis::Answer(until) => !until.has_passed(env.now()),
        Basis::Keys(version) => {
            let now = env.now_near(env.issuers.trusted_until(issuer));
            env.issuers.keys(issuer, now).is_some() && env.issuers.keys_version(issuer) == version
        }
    };
    (is_good && !env.has_expired(&bearer)).then_some(bearer)
}

/// The scopes that the rules want, where the token lacks one.
fn missing_scope(verdict: &Verdict, bearer: &VerifiedBearer) -> Option<String> {
    verdict.scopes().any(|scope| !access_token::has_scope(bearer, scope)).then(|| {
        let wanted: Vec<_> = verdict.scopes().collect();
        wanted.join(" ")
    })
}
