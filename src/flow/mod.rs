//! The sequence: the one room that knows the order of things. One input goes in, exactly one [`Step`] comes out.
//!
//! A request goes upstream with a [`Permit`] only. A request that must wait, for a call of its own or for what is known
//! of the provider, waits as a value that takes the answer and is used up by it; nothing is ever resumed without
//! being decided.

pub mod background;
pub mod bearer;
pub mod caller;
pub mod event;
pub mod failure;
pub mod internal_redirect;
pub mod issuers;
pub mod omission;
pub mod permit;
pub mod renewal;
pub mod revocation;
pub mod store;

mod body;
mod callback;
mod form;
mod identity;
mod known_sids;
mod limits;
mod logout;
mod reply;
mod request;
mod sign_in;
mod sign_out;
mod signed_in;
mod single_use;
#[cfg(test)]
pub(crate) mod tests;
mod userinfo;
mod verification;

pub use body::{BodyError, ExpectBody, MAX_BODY, MAX_READING};
pub use callback::{ExpectGithub, ExpectTokens, ExpectUserinfo};
pub use identity::trailer_edits;
pub use reply::{headers_refused, route_changed};
pub use request::{Waiter, start};
pub use signed_in::LateCookies;

use crate::{
    config::Config,
    http::{CalloutError, CalloutRequest, CalloutResponse, Edits, LocalReply},
    platform::Platform,
    session::open::OpenSessions,
    time::UnixTime,
};
use bearer::Bearers;
pub use bearer::ExpectAnswer;
use event::Event;
use issuers::Issuers;
use limits::Limits;
use omission::Omissions;
use permit::Permit;
use renewal::Renewals;
use revocation::Revocations;
use store::{ExpectLastEnd, ExpectStored, Loaded, Saving, StoreState};

/// What to do with a request next: exactly one step for each input.
#[must_use]
#[derive(Debug)]
pub enum Step {
    /// Make this call and hand its result to `expect`.
    Call {
        /// The call.
        request: CalloutRequest,
        /// The one that takes the result.
        expect: Expect,
    },
    /// Let the request go upstream. Only a [`Permit`] opens this door.
    Forward {
        /// The right to pass.
        permit: Permit,
        /// What to change first.
        edits: Edits,
        /// Cookies to set with the app's answer, beside its own; the answer must then not be stored.
        cookies: Option<LateCookies>,
    },
    /// Read the request's body, which must not move, and hand it to `expect`.
    ReadBody(Box<ExpectBody>),
    /// Answer here; nothing goes upstream.
    Reply(LocalReply),
    /// Hold the request until the waiter is due.
    Wait(Waiter),
}

/// A call of a request under way: the one thing that can take its result.
#[derive(Debug)]
pub enum Expect {
    /// An issuer is being asked about a token.
    Answer(Box<ExpectAnswer>),
    /// GitHub is being asked who signs in.
    Github(Box<ExpectGithub>),
    /// The store is being asked what a new session begins after.
    LastEnd(Box<ExpectLastEnd>),
    /// The store is being told something.
    Saved(Box<Saving>),
    /// The store is being asked for a session.
    Stored(Box<ExpectStored>),
    /// A code is being redeemed.
    Tokens(Box<ExpectTokens>),
    /// The userinfo endpoint is being asked for further claims of whoever signs in.
    Userinfo(Box<ExpectUserinfo>),
}

impl Expect {
    /// Decides the request with what came of its call.
    pub fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        match self {
            Self::Answer(expect) => expect.resume(result, env),
            Self::Github(expect) => expect.resume(result, env),
            Self::LastEnd(expect) => expect.resume(result, env),
            Self::Saved(expect) => expect.resume(result, env),
            Self::Stored(expect) => expect.resume(result, env),
            Self::Tokens(expect) => expect.resume(result, env),
            Self::Userinfo(expect) => expect.resume(result, env),
        }
    }

    /// Makes a call again that Envoy did not take.
    fn call_again(self, env: &mut Env<'_>) -> Step {
        match self {
            Self::Answer(expect) => expect.call_again(env),
            Self::Tokens(expect) => expect.call(),
            others => others.resume(Err(CalloutError::Dispatch), env),
        }
    }

    /// Whether it is a question about a token that anybody may have made up.
    pub fn asks(&self) -> bool {
        matches!(self, Self::Answer(expect) if !expect.was_good())
    }

    /// Whether it is a question about a token that was good before.
    pub fn asks_again(&self) -> bool {
        matches!(self, Self::Answer(expect) if expect.was_good())
    }
}

/// What came of a call.
pub type CalloutResult = Result<CalloutResponse, CalloutError>;

/// What a worker remembers from one decision to the next.
#[derive(Debug)]
pub struct Memory {
    issuers: Issuers,
    sessions: OpenSessions,
    renewals: Renewals,
    revocations: Revocations,
    store: StoreState,
    bearers: Bearers,
    omissions: Omissions,
    limits: Limits,
}

impl Memory {
    /// Nothing yet.
    pub fn new(config: &Config, platform: &dyn Platform) -> Self {
        Self {
            issuers: Issuers::new(config, platform),
            sessions: OpenSessions::new(config.session.cookies.clone()),
            renewals: Renewals::new(config, platform),
            revocations: Revocations::new(config, platform),
            store: StoreState::default(),
            bearers: Bearers::default(),
            omissions: Omissions::default(),
            limits: Limits::default(),
        }
    }

    /// Whether a decision has left something that [`background::poll`] should do at once.
    pub fn has_work(&self) -> bool {
        background::is_queued(&self.renewals, &self.store)
    }
}

/// How much a worker has on its hands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that are held, beside those with tokens that may be made up.
    pub held: usize,
    /// Requests whose body is being read.
    pub reading: usize,
    /// Tokens that issuers are being asked about, and that anybody may have made up.
    pub asking: usize,
    /// Tokens that issuers are being asked about once more.
    pub asking_again: usize,
}

/// The outside world, as far as a decision may see it.
pub struct Env<'a> {
    config: &'a Config,
    issuers: &'a mut Issuers,
    sessions: &'a mut OpenSessions,
    renewals: &'a mut Renewals,
    revocations: &'a mut Revocations,
    store: &'a mut StoreState,
    bearers: &'a mut Bearers,
    omissions: &'a mut Omissions,
    limits: &'a Limits,
    /// What the store said for this very request.
    loaded: Loaded,
    platform: &'a dyn Platform,
    now: UnixTime,
    load: Load,
    events: &'a mut Vec<Event>,
}

impl<'a> Env<'a> {
    /// The configuration, what the worker remembers, the host, the time, and how busy the worker is. What is worth
    /// telling comes out in `events`, in order.
    pub fn new(
        config: &'a Config,
        memory: &'a mut Memory,
        platform: &'a dyn Platform,
        now: UnixTime,
        load: Load,
        events: &'a mut Vec<Event>,
    ) -> Self {
        let Memory { issuers, sessions, renewals, revocations, store, bearers, omissions, limits } = memory;
        let loaded = Loaded::NotAsked;
        Self {
            config,
            issuers,
            sessions,
            renewals,
            revocations,
            store,
            bearers,
            omissions,
            limits,
            loaded,
            platform,
            now,
            load,
            events,
        }
    }
}
