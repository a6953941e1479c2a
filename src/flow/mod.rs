//! The sequence: the one room that knows the order of things. One input goes in, exactly one [`Step`] comes out.
//!
//! A request goes upstream with a [`Permit`] only. A request that must wait, for a call of its own or for what is known
//! of the provider, waits as a value that takes the answer and is used up by it; nothing is ever resumed without
//! being decided.

pub mod caller;
pub mod event;
pub mod failure;
pub mod permit;
pub mod provider;

mod callback;
mod document;
mod identity;
mod lease;
mod reply;
mod request;
mod sign_in;
mod sign_out;
mod single_use;
#[cfg(test)]
mod tests;

pub use callback::ExpectTokens;
pub use identity::trailer_edits;
pub use reply::headers_refused;
pub use request::{Waiter, start};

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

/// What to do with a request next: exactly one step for each input.
#[must_use]
#[derive(Debug)]
pub enum Step {
    /// Make this call and hand its result to `expect`.
    Call {
        /// The call.
        request: CalloutRequest,
        /// The one that takes the result.
        expect: Box<ExpectTokens>,
    },
    /// Let the request go upstream. Only a [`Permit`] opens this door.
    Forward {
        /// The right to pass.
        permit: Permit,
        /// What to change first.
        edits: HeaderEdits,
    },
    /// Answer here; nothing goes upstream.
    Reply(LocalReply),
    /// Hold the request until the waiter is due.
    Wait(Waiter),
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
