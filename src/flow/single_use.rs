//! A sign-in is finished once. Which ones were is remembered for all workers of the process, in one bounded ring of
//! digests: a person who sends the same callback twice, or an attacker who tries codes one after the other, causes
//! one token call. Browsers that lose the race simply sign in again.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{
    session::pending::{SignInId, State},
    time::UnixTime,
};

use super::Env;

/// How many finished sign-ins are remembered; the oldest go first.
const CAPACITY: usize = 1024;
/// Bytes of an entry: half a digest, then when it may be forgotten (seconds, little-endian).
const ENTRY: usize = 16;
/// How often a write is tried again when other workers write too.
const TRIES: usize = 16;

/// Claims the sign-in for the caller; `false` when somebody had it before, or nobody can tell.
pub(super) fn claim(state: &State, env: &Env<'_>) -> bool {
    let key = format!("vestibule.{}.finished", env.config.fingerprint);
    let forget_at = state.started.plus(env.config.session.sign_in_timeout).plus(Duration::from_secs(1));
    let entry = entry(&state.id, forget_at);
    for _ in 0..TRIES {
        let shared = env.platform.shared_get(&key);
        if shared.bytes.chunks_exact(ENTRY).any(|known| known.get(..8) == entry.get(..8)) {
            return false;
        }
        let ring = with(&shared.bytes, &entry, env.now);
        if env.platform.shared_set(&key, &ring, shared.version).is_ok() {
            return true;
        }
    }
    false
}

fn entry(id: &SignInId, forget_at: UnixTime) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let digest = Sha256::digest(id.as_bytes());
    let bytes = digest.iter().copied().take(8).chain(forget_at.as_secs().to_le_bytes());
    entry.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
    entry
}

/// The ring with one more entry, without those that time has made harmless.
fn with(ring: &[u8], entry: &[u8; ENTRY], now: UnixTime) -> Vec<u8> {
    let is_needed = |known: &&[u8]| {
        let forget_at = known.get(8..).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        forget_at > now.as_secs()
    };
    let needed: Vec<&[u8]> = ring.chunks_exact(ENTRY).filter(is_needed).collect();
    let surplus = needed.len().saturating_sub(CAPACITY - 1);
    let mut out: Vec<u8> = needed.into_iter().skip(surplus).flatten().copied().collect();
    out.extend_from_slice(entry);
    out
}
