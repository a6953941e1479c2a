//! From a verdict to a decision: a request goes upstream with a permit, or is answered here.

pub mod internal_redirect;
pub mod permit;

pub(super) mod bearer_token;
pub(super) mod identity_headers;

use crate::{
    http::{Edits, LocalReply},
    session::open::FreshSession,
};

use super::{
    answer::{self, Offer, caller::Caller},
    context::Env,
    event::Event,
};
use permit::Permit;

/// The decision on a request: exactly one for each.
#[must_use]
#[derive(Debug)]
#[cfg_attr(
    not(target_family = "wasm"),
    expect(clippy::large_enum_variant, reason = "a request that passes is the usual case, and needs no allocation")
)]
pub enum Decision {
    /// It goes upstream.
    Forward(Forward),
    /// It is answered here; nothing goes upstream.
    Reply(LocalReply),
}

impl From<LocalReply> for Decision {
    fn from(reply: LocalReply) -> Self {
        Self::Reply(reply)
    }
}

/// A request that goes upstream. Only a [`Permit`] makes one.
#[derive(Debug)]
pub struct Forward {
    /// The right to pass.
    pub permit: Permit,
    /// The changes to make first.
    pub edits: Edits,
    /// Cookies to set with the app's answer, beside its own; the answer must then not be stored.
    pub cookies: Option<LateCookies>,
}

/// Lets a request pass, with identity headers in and credentials out; the app's answer brings these cookies.
pub(super) fn forward(permit: Permit, cookies: Option<LateCookies>, env: &mut Env<'_>) -> Decision {
    match identity_headers::edits(&permit, env) {
        Ok(edits) => {
            env.events.push(Event::Permitted(permit.reason()));
            Decision::Forward(Forward { permit, edits, cookies })
        }
        Err(failure) => {
            let caller = Caller { issuer: permit.issuer(), ..Caller::of(permit.request()) };
            let reply = answer::refuse(failure, &caller, Offer::default(), env);
            answer::with_cookies(reply, cookies.map(|cookies| cookies.lines).unwrap_or_default()).into()
        }
    }
}

/// Cookies for the app's answer.
#[derive(Debug)]
pub struct LateCookies {
    lines: Vec<String>,
    session: FreshSession,
}

impl LateCookies {
    /// These lines, which write this session; `None` where there are none.
    pub(super) fn new(lines: &[String], session: &FreshSession) -> Option<Self> {
        (!lines.is_empty()).then(|| Self { lines: lines.to_vec(), session: session.clone() })
    }

    /// The `Set-Cookie` lines. Where the session has ended before the app answered, its cookies must not come back.
    pub(super) fn lines(self, env: &mut Env<'_>) -> Vec<String> {
        env.revocations.look(env.platform);
        if env.is_ended(&self.session) { Vec::new() } else { self.lines }
    }
}
