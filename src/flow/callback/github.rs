//! Somebody signs in at GitHub: the code is redeemed for an access token, and with that the API is asked who it is.

use crate::oidc::{
    github::{Inquiry, Progress},
    token::TokenResponse,
};

use super::{SignIn, welcome::Granted};
use crate::flow::{CalloutResult, Env, Expect, Step, failure::Failure};

/// The API is being asked about whoever signs in.
#[derive(Debug)]
pub struct ExpectGithub {
    sign_in: SignIn,
    inquiry: Inquiry,
}

impl SignIn {
    pub(super) fn is_at_github(&self, env: &Env<'_>) -> bool {
        let known = env.issuers.ready(self.pending.state.provider, env.now);
        known.is_some_and(|known| known.provider.github.is_some())
    }

    /// The token endpoint has answered.
    pub(super) fn redeemed_at_github(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        match TokenResponse::read(result) {
            Ok(tokens) => ExpectGithub { sign_in: self, inquiry: Inquiry::of(tokens.access_token) }.call(env),
            Err(error) => self.refuse(error.into(), env),
        }
    }
}

impl ExpectGithub {
    fn call(self, env: &mut Env<'_>) -> Step {
        let known = env.issuers.ready(self.sign_in.pending.state.provider, env.now);
        match known.and_then(|known| Some((known.provider, known.provider.github.as_ref()?))) {
            Some((provider, github)) => {
                let request = self.inquiry.request(provider, github);
                Step::Call { request, expect: Expect::Github(Box::new(self)) }
            }
            None => self.sign_in.refuse(Failure::ProviderNotReady, env),
        }
    }

    /// The API has answered. Nothing but the last answer makes a session.
    pub(in crate::flow) fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        let Self { sign_in, inquiry } = self;
        let known = env.issuers.ready(sign_in.pending.state.provider, env.now);
        let Some(github) = known.and_then(|known| known.provider.github.as_ref()) else {
            return sign_in.refuse(Failure::ProviderNotReady, env);
        };
        let access_token = inquiry.access_token().clone();
        match inquiry.read(result, github) {
            Ok(Progress::Ask(inquiry)) => Self { sign_in, inquiry }.call(env),
            Ok(Progress::Known(identity)) => {
                // There is nothing to renew it with, or to sign out with: it lasts for its time.
                let granted = Granted { refresh_token: None, access_token, expires_in: None, id_token: None };
                sign_in.welcome(*identity, granted, env)
            }
            Err(error) => sign_in.refuse(error.into(), env),
        }
    }
}
