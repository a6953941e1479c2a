//! The sequence: the one room that knows the order of things. A request goes in, and exactly one [`Decision`] comes out, at
//! once or after waiting.
//!
//! A request goes upstream with a [`Permit`](authorize::permit::Permit) only. The gates settle what can be settled at once; a
//! request that must wait waits in a flow, an `async fn` that decides it when it ends.
//!
//! A request enters at the bottom of this table, by `gates`; each layer imports only those above it:
//!
//! | layer | what it is for |
//! | --- | --- |
//! | `event` | what happened, and the one table of failures |
//! | `limits` | slots that give themselves back |
//! | `clock` | the time of a decision, read from the host where it matters |
//! | `memory` | the values that a worker keeps between decisions |
//! | `body` | bodies that a flow reads |
//! | `context` | the worker, and what a flow may use |
//! | `dpop_call` | calls that carry a DPoP proof, made again with the nonce that a server wants |
//! | `as_client` | calls for which the client authenticates, with the other method where one is refused |
//! | `retry` | failed calls that no request waits for, made again |
//! | `keys` | signatures that may need newer keys |
//! | `answer` | replies and pages |
//! | `authorize` | the permit of an admitted request, and its headers for the app |
//! | `executor` | runs the flows that wait |
//! | `provisioning` | the app is asked about a user before a session begins or goes on |
//! | `upstream_token` | the token that a request carries upstream, exchanged at the provider where the rules say so |
//! | `session` | sessions: found, kept up, written, ended |
//! | `sign_in` | from the authorization request to the session |
//! | `sign_out` | sign-out by the user and by the provider |
//! | `bearer` | tokens of API clients |
//! | `client_script` | our module for scripts of the app |
//! | `userinfo` | our own userinfo path, for scripts of the app |
//! | `background` | the work of a worker beside its requests |
//! | `with_session` | a request with its session, or without one |
//! | `not_admitted` | the answer to a user whom the rules do not admit |
//! | `admit` | a user whom the rules admit or not |
//! | `reserved` | the paths under our prefix |
//! | `gates` | the order of it all, on one screen |

pub mod authorize;
pub mod background;
pub mod event;

mod admit;
mod answer;
mod as_client;
mod bearer;
mod body;
mod client_script;
mod clock;
mod context;
mod dpop_call;
mod executor;
mod gates;
mod keys;
mod limits;
mod memory;
mod not_admitted;
mod provisioning;
mod reserved;
mod retry;
mod session;
mod sign_in;
mod sign_out;
#[cfg(test)]
pub(crate) mod tests;
mod upstream_token;
mod userinfo;
mod with_session;

use std::rc::Rc;

use crate::http::{LocalReply, Request};

pub use authorize::{Decision, Forward, LateCookies, identity_headers::trailer_edits};
pub use body::{BodyError, MAX_BODY};
pub use context::{Call, CalloutResult, Worker};
pub use executor::{Pending, Step};

impl Worker {
    /// Decides a request.
    pub fn start(self: &Rc<Self>, request: Request) -> Step {
        let site = self.config().origins.site(&request);
        self.decide(site, |env| gates::decide(request, env))
    }

    /// The answer to a permitted request whose headers the host would not let us change.
    pub fn headers_refused(&self) -> LocalReply {
        self.with(answer::headers_refused).unwrap_or_else(|bug| answer::bug(&bug))
    }

    /// The answer in place of the app's to a request that Envoy has sent on another route than the one it was permitted on.
    pub fn route_changed(&self) -> LocalReply {
        self.with(answer::route_changed).unwrap_or_else(|bug| answer::bug(&bug))
    }

    /// The `Set-Cookie` lines for the app's answer.
    pub fn late_cookies(&self, cookies: LateCookies) -> Vec<String> {
        self.with(|env| cookies.lines(env)).unwrap_or_default()
    }
}
