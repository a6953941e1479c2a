//! The sequence: the one room that knows the order of things. One input goes in, exactly one [`Step`] comes out.
//!
//! A request goes upstream with a [`Permit`] only. A request that must wait, for a call of its own or for what is known
//! of the provider, waits as a value that takes the answer and is used up by it; nothing is ever resumed without
//! being decided.

pub mod background;
pub mod caller;
pub mod event;
pub mod failure;
pub mod permit;
pub mod provider;
pub mod renewal;
pub mod revocation;
pub mod store;

mod body;
mod callback;
mod document;
mod form;
mod identity;
mod lease;
mod logout;
mod reply;
mod request;
mod ring;
mod sign_in;
mod sign_out;
mod signed_in;
mod single_use;
#[cfg(test)]
mod tests;
mod userinfo;

pub use body::{BodyError, ExpectBody, MAX_BODY};
pub use callback::ExpectTokens;
pub use identity::trailer_edits;
pub use reply::headers_refused;
pub use request::{Waiter, start};
pub use sign_out::ExpectRevocation;

use crate::{
    config::Config,
    http::{CalloutError, CalloutRequest, CalloutResponse, HeaderEdits, LocalReply},
    platform::Platform,
    session::open::OpenSessions,
    time::UnixTime,
};
use event::Event;
use permit::Permit;
use provider::Providers;
use renewal::Renewals;
use revocation::Revocations;
use store::{ExpectStored, Loaded, Saving, StoreState};

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
        edits: HeaderEdits,
        /// Cookies to set with the app's answer, beside its own; the answer must then not be stored.
        cookies: Vec<String>,
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
    /// A refresh token is being revoked.
    Revocation(Box<ExpectRevocation>),
    /// The store is being told something.
    Saved(Box<Saving>),
    /// The store is being asked for a session.
    Stored(Box<ExpectStored>),
    /// A code is being redeemed.
    Tokens(Box<ExpectTokens>),
}

impl Expect {
    /// Decides the request with what came of its call.
    pub fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        match self {
            Self::Revocation(expect) => expect.resume(result, env),
            Self::Saved(expect) => expect.resume(result, env),
            Self::Stored(expect) => expect.resume(result, env),
            Self::Tokens(expect) => expect.resume(result, env),
        }
    }
}

/// What came of a call.
pub type CalloutResult = Result<CalloutResponse, CalloutError>;

/// The outside world, as far as a decision may see it.
pub struct Env<'a> {
    /// What the operator decided.
    pub config: &'a Config,
    /// What is known of the providers.
    pub providers: &'a mut Providers,
    /// The sessions opened lately.
    pub sessions: &'a mut OpenSessions,
    /// The sessions being renewed.
    pub renewals: &'a mut Renewals,
    /// The sessions that were ended from outside.
    pub revocations: &'a mut Revocations,
    /// What is known of the store of sessions.
    pub store: &'a mut StoreState,
    /// What the store said for this very request.
    pub loaded: Loaded,
    /// Randomness, the host's signature check, the store that workers share.
    pub platform: &'a dyn Platform,
    /// Now.
    pub now: UnixTime,
    /// How many requests are being held.
    pub held: usize,
    /// How many calls are under way for requests.
    pub calls: usize,
    /// What is worth telling, in order.
    pub events: &'a mut Vec<Event>,
}
