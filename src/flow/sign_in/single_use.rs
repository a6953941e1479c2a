//! A sign-in is finished once. All workers of the process remember which were: a callback that is sent twice, or an
//! attacker who tries codes one after the other, causes one token call. A browser that loses the race signs in again.

use crate::{
    config::Config,
    digest::half_digest,
    session::pending::State,
    shared::denylist::{Entry, Eviction, SharedDenylist},
};

use super::super::context::Env;

/// How many finished sign-ins are remembered.
const CAPACITY: usize = 1024;

/// Claims the sign-in; `false` when it was claimed before, or that is not known.
pub(super) fn claim(state: &State, env: &Env<'_>) -> bool {
    let key = key(env.config);
    let digest = half_digest("sign-in", &[state.id.as_bytes()]);
    let keep = state.started.plus(env.config.session.sign_in_timeout).since(env.now());
    let entry = Entry::now(digest, env.now(), keep);
    SharedDenylist { key: &key, capacity: CAPACITY, eviction: Eviction::Oldest }
        .claim(entry, env.now(), env.platform)
        .unwrap_or(false)
}

fn key(config: &Config) -> String {
    format!("vestibule.{}.sign_ins_finished", config.fingerprint)
}
