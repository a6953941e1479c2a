//! Tokens that cannot be read are asked about (RFC 7662): one call for each, whose answer is remembered for a while.

use std::time::Duration;

use crate::{
    http::{CalloutError, CalloutRequest},
    oidc::introspection::{self, Answer},
    time::UnixTime,
};

use super::{BearerInHand, memory::Basis, verified::VerifiedBearer};
use crate::flow::{
    CalloutResult, Env, Expect, Step,
    failure::Failure,
    request::{MAX_HOLD, Unverified, Waiter},
    verification::When,
};

/// How many tokens that are new to it one worker asks about at once: anybody can make one up.
const MAX_ASKING: usize = 64;

/// And how many beside them that were good before: whoever makes tokens up must not keep those out.
const MAX_ASKING_AGAIN: usize = 64;

/// An issuer is being asked about a token.
#[derive(Debug)]
pub struct ExpectAnswer {
    token: Box<BearerInHand>,
    /// Whether it was good when its issuer was last asked.
    was_good: bool,
    request: CalloutRequest,
    /// Until when a call is made again that Envoy did not take.
    until: UnixTime,
}

/// Asks about a token, or waits until it is known where.
pub(super) fn ask(mut token: Box<BearerInHand>, when: When, until: UnixTime, env: &mut Env<'_>) -> Step {
    let issuer = env.config.token_issuer(token.issuer);
    let asked = issuer.and_then(|issuer| Some((issuer, issuer.introspection()?)));
    let cache = asked.map_or(Duration::ZERO, |(_, asked)| asked.cache);
    if env.bearers.is_refused(&token.fingerprint, cache, env.now) {
        return token.by.refuse(Failure::BearerInactive, env);
    }
    let Some(((issuer, introspection), endpoint)) =
        asked.zip(env.issuers.introspection_endpoint(token.issuer, env.now))
    else {
        // It came before anything was known of its issuer.
        return if when == When::First && env.limits.hold(&mut token.slot, env.platform) {
            Waiter::for_keys(Unverified::Bearer(token), until, env)
        } else {
            token.by.refuse(Failure::ProviderNotReady, env)
        };
    };
    let request = introspection::request(issuer, introspection, endpoint, &token.token);
    let known = env.bearers.find(&token.fingerprint);
    let was_good = known.is_some_and(|(bearer, _)| !bearer.is_over(env.config.leeway, env.now));
    Box::new(ExpectAnswer { token, was_good, request, until }).call_again(env)
}

impl ExpectAnswer {
    /// Asks, unless as much is being asked as may be.
    pub(in crate::flow) fn call_again(mut self: Box<Self>, env: &mut Env<'_>) -> Step {
        let (asking, most) =
            if self.was_good { (env.load.asking_again, MAX_ASKING_AGAIN) } else { (env.load.asking, MAX_ASKING) };
        if asking >= most {
            return self.token.by.refuse(Failure::Busy, env);
        }
        self.token.slot = None;
        Step::Call { request: self.request.clone(), expect: Expect::Answer(self) }
    }

    /// Whether the token was good when its issuer was last asked: nobody has made it up.
    pub(in crate::flow) const fn was_good(&self) -> bool {
        self.was_good
    }

    /// The issuer has answered.
    pub(in crate::flow) fn resume(mut self: Box<Self>, result: CalloutResult, env: &mut Env<'_>) -> Step {
        // Envoy takes no request with a body for a host that it has yet to resolve: by now it is being resolved.
        let is_over = self.until.is_over(MAX_HOLD, env.now);
        if matches!(result, Err(CalloutError::Dispatch))
            && !is_over
            && env.limits.hold(&mut self.token.slot, env.platform)
        {
            return Waiter::to_call_again(self.token.issuer, self.until, Expect::Answer(self));
        }
        let token = self.token;
        let Some(issuer) = env.config.token_issuer(token.issuer) else {
            return token.by.refuse(Failure::BearerUnknown, env);
        };
        let counts_until = issuer.introspection().map_or(env.now, |asked| env.now.plus(asked.cache));
        let answered = result.as_ref().map_or(0, |answer| answer.body.len());
        match introspection::read(result, issuer, env.now, env.config.leeway) {
            Ok(Answer::Active(active)) => {
                token.welcome(VerifiedBearer::active(active), Basis::Answer(counts_until), answered, env)
            }
            Ok(Answer::Inactive) => {
                env.bearers.forget(&token.fingerprint);
                env.bearers.refuse(token.fingerprint, counts_until);
                token.by.refuse(Failure::BearerInactive, env)
            }
            Ok(Answer::Refused(error)) => {
                env.bearers.forget(&token.fingerprint);
                token.by.refuse(Failure::BearerRefused(error), env)
            }
            Err(error) => token.by.refuse(error.into(), env),
        }
    }
}
