//! A sign-in that is about to begin: its return target, and its parameters for the provider.

use std::rc::Rc;

use crate::{
    claims::{IssuerId, StepUp},
    rules::Unauthenticated,
    session::{open::FreshSession, return_to::ReturnTo},
};

use super::{
    super::{context::Env, event::failure::Failure},
    start_url::{NO_SESSION, Wishes, start_at, start_with},
};

/// A sign-in that nothing went before.
pub(super) const FIRST_ATTEMPT: u8 = 1;

/// A sign-in that is to begin.
pub(super) struct SignInRequest {
    /// The page to come back to.
    pub(super) return_to: ReturnTo,
    /// Its number among attempts in a row.
    pub(super) attempt: u8,
    /// The answer to a request that cannot be sent to sign in.
    pub(super) answer: Unauthenticated,
    /// The parameters for the provider.
    pub(super) wishes: Wishes,
    /// The providers to choose from; empty means all.
    pub(super) providers: Vec<IssuerId>,
    /// The session that the browser has.
    pub(super) session: OwnSession,
    /// The rule that the session falls short of, and its demand.
    pub(super) falls_short_of: Option<(Option<String>, Rc<StepUp>)>,
}

/// The session of a browser whose sign-in is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnSession {
    /// It has one.
    Good,
    /// It has one that is not enough for the rules.
    NotEnough,
    /// It has none.
    None,
}

impl OwnSession {
    pub(super) const fn of(session: Option<&FreshSession>) -> Self {
        if session.is_some() { Self::Good } else { Self::None }
    }
}

impl SignInRequest {
    /// The URL that begins it, and comes back to this target.
    pub(super) fn start_url(&self, target: &str, env: &Env<'_>) -> String {
        start_with(&self.wishes, target, &self.providers, env)
    }

    /// The URL that begins it, for a script, which adds `rd`. It shows no address of a user.
    pub(super) fn url_for_scripts(&self, env: &Env<'_>) -> String {
        let mut url = start_with(&self.wishes.for_any_provider(), "", &self.providers, env);
        if url.ends_with('?') {
            url.pop();
        }
        url
    }

    /// The URL that begins it at the origin of all sign-ins, where that is another one.
    pub(super) fn central_start_url(&self, env: &Env<'_>) -> Option<String> {
        let central = env.config.origins.sign_in().filter(|central| *central != env.origin())?;
        let target = self.return_to.location(env.origin());
        let url = start_at(central, &self.wishes, &target, &self.providers, env);
        Some(url + if self.session == OwnSession::Good { "" } else { NO_SESSION })
    }

    /// The failure of a request that cannot be sent to sign in.
    pub(super) fn failure(&self) -> Failure {
        match &self.falls_short_of {
            Some((rule, step_up)) => Failure::StepUpRequired(rule.clone(), Rc::clone(step_up)),
            None => Failure::SignInRequired,
        }
    }

    /// A first attempt of a browser without a session.
    pub(super) fn to(return_to: ReturnTo) -> Self {
        Self {
            return_to,
            attempt: FIRST_ATTEMPT,
            answer: Unauthenticated::Auto,
            wishes: Wishes::default(),
            providers: Vec::new(),
            session: OwnSession::None,
            falls_short_of: None,
        }
    }
}
