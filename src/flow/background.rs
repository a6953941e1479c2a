//! What a worker does beside its requests: it fetches documents and renews sessions, in calls of its own, so that no
//! client that leaves takes a result along.

use std::time::Duration;

use super::{
    CalloutResult, Env,
    issuers::ExpectDocument,
    renewal::{self, ExpectRenewal, Renewals, Unwanted},
    store::{StoreState, Write},
};
use crate::http::CalloutRequest;

/// How soon a call that is queued is made.
pub const AT_ONCE: Duration = Duration::from_millis(1);

/// A call that must be made, and what its result is for.
#[derive(Debug)]
pub struct Fetch {
    /// Hand the result back with this.
    pub expect: ExpectBackground,
    /// The call.
    pub request: CalloutRequest,
}

/// What a call of the worker's own is for.
#[derive(Debug)]
pub enum ExpectBackground {
    /// A document of a provider.
    Document(ExpectDocument),
    /// The renewal of a session.
    Renewal(ExpectRenewal),
    /// The revocation of a refresh token.
    Revocation(Unwanted),
    /// Something that is written into the store.
    Write(Write),
}

/// Looks at what other workers have shared, and says what calls this one must make.
pub fn poll(env: &mut Env<'_>) -> Vec<Fetch> {
    env.revocations.look(env.platform);
    let mut fetches = env.issuers.poll(env.platform, env.now);
    fetches.extend(renewal::poll(env));
    let writes = env.store.take_writes(env.now).into_iter();
    fetches
        .extend(writes.map(|write| Fetch { request: write.request.clone(), expect: ExpectBackground::Write(write) }));
    fetches
}

/// A call came to its end.
pub fn answered(expect: ExpectBackground, result: CalloutResult, env: &mut Env<'_>) {
    match expect {
        ExpectBackground::Document(expect) => {
            env.issuers.fetched(expect, result, env.platform, env.now, env.omissions, env.events);
        }
        ExpectBackground::Renewal(expect) => renewal::answered(expect, result, env),
        ExpectBackground::Revocation(unwanted) => renewal::revoked(unwanted, result, env),
        ExpectBackground::Write(write) => write.settle(result, env),
    }
}

/// Whether a call waits to be made.
pub(super) fn is_queued(renewals: &Renewals, store: &StoreState) -> bool {
    renewals.are_queued() || store.has_writes()
}

/// When to look again.
pub fn next_poll(env: &Env<'_>) -> Duration {
    if is_queued(env.renewals, env.store) { AT_ONCE } else { env.issuers.next_poll(env.now) }
}
