//! One worker of Envoy, and the contexts through which its flows use it.
//!
//! A flow that waits is an `async fn` over a [`RequestContext`]; work that outlives its request is spawned and runs over a
//! [`TaskContext`]. Neither dispatches, answers or resumes anything: calls go into an outbox, which the host empties after
//! each poll, and their answers come back the same way. State is reached by [`TaskContext::with`] only, so that no borrow
//! lives over an `.await`.

mod call;
mod request;
mod task;
mod worker;

pub use call::{Call, CalloutResult};
pub use worker::Worker;

pub(super) use request::RequestContext;
pub(super) use worker::{Env, Flow, TaskContext};
