//! A sign-in is finished once. Which ones were is remembered for all workers of the process: a person who sends the same
//! callback twice, or an attacker who tries codes one after the other, causes one token call. Browsers that lose the
//! race simply sign in again.

use crate::{
    config::Config,
    digest::half_digest,
    session::pending::State,
    shared::denylist::{Entry, Eviction, SharedDenylist},
};

use super::Env;

/// How many finished sign-ins are remembered.
const CAPACITY: usize = 1024;

/// Claims the sign-in for the caller; `false` when somebody had it before, or nobody can tell.
pub(super) fn claim(state: &State, env: &Env<'_>) -> bool {
    let key = key(env.config);
    let digest = half_digest("sign-in", &[state.id.as_bytes()]);
    let keep = state.started.plus(env.config.session.sign_in_timeout).since(env.now);
    let entry = Entry::now(digest, env.now, keep);
    SharedDenylist { key: &key, capacity: CAPACITY, eviction: Eviction::Oldest }
        .claim(entry, env.now, env.platform)
        .unwrap_or(false)
}

fn key(config: &Config) -> String {
    format!("vestibule.{}.sign_ins_finished", config.fingerprint)
}
