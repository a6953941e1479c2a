//! What a worker remembers of tokens that it has looked at lately, under its configuration.

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::verified::VerifiedBearer;
use crate::time::UnixTime;

/// How many access tokens a worker remembers, each so long as it is good. One that is pushed out is verified again.
const SLOTS: usize = 512;
/// How long they may be all together, with what issuers answered: what stands in it takes several times as much memory.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// SHA-256 of a token: what it is known by, so that none is kept.
pub(super) type Fingerprint = [u8; 32];

/// What makes a remembered token good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// Its issuer's answer, which counts until then.
    Answer(UnixTime),
    /// The keys of this version: with others it is verified again.
    Keys(u64),
}

/// The access tokens that a worker has verified lately, under its configuration.
#[derive(Debug)]
pub struct Bearers {
    slots: Vec<Option<Slot>>,
    /// How long all that is, together.
    length: usize,
    /// Those of which an issuer has said that they are not good, and until when that counts. They have places of their own:
    /// whoever makes tokens up must not push out good ones.
    refused: Vec<Option<(Fingerprint, UnixTime)>>,
}

#[derive(Debug)]
struct Slot {
    fingerprint: Fingerprint,
    /// How long the token is, and what its issuer answered.
    length: usize,
    basis: Basis,
    bearer: VerifiedBearer,
}

impl Default for Bearers {
    fn default() -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(SLOTS).collect(), length: 0, refused: vec![None; SLOTS] }
    }
}

impl Bearers {
    /// The token, and what makes it good, or did.
    pub(super) fn find(&self, fingerprint: &Fingerprint) -> Option<(VerifiedBearer, Basis)> {
        let slot = self.slots.get(place(fingerprint))?.as_ref()?;
        bool::from(slot.fingerprint.ct_eq(fingerprint)).then(|| (slot.bearer.clone(), slot.basis))
    }

    pub(super) fn remember(&mut self, fingerprint: Fingerprint, length: usize, basis: Basis, bearer: &VerifiedBearer) {
        if self.length.saturating_add(length) > MAX_REMEMBERED {
            self.slots.fill_with(|| None);
            self.length = 0;
        }
        let Some(slot) = self.slots.get_mut(place(&fingerprint)) else { return };
        let before = slot.replace(Slot { fingerprint, length, basis, bearer: bearer.clone() });
        self.length = self.length.saturating_add(length).saturating_sub(before.map_or(0, |slot| slot.length));
    }

    /// It is good no longer.
    pub(super) fn forget(&mut self, fingerprint: &Fingerprint) {
        let Some(slot) = self.slots.get_mut(place(fingerprint)) else { return };
        let gone = slot.take_if(|slot| bool::from(slot.fingerprint.ct_eq(fingerprint)));
        self.length = self.length.saturating_sub(gone.map_or(0, |slot| slot.length));
    }

    /// Whether it is known not to be good, which counts for so long at most.
    pub(super) fn is_refused(&self, fingerprint: &Fingerprint, cache: Duration, now: UnixTime) -> bool {
        let known = self.refused.get(place(fingerprint)).and_then(Option::as_ref);
        known.is_some_and(|(known, until)| bool::from(known.ct_eq(fingerprint)) && !until.is_over(cache, now))
    }

    /// It is not good, which counts until then.
    pub(super) fn refuse(&mut self, fingerprint: Fingerprint, until: UnixTime) {
        if let Some(slot) = self.refused.get_mut(place(&fingerprint)) {
            *slot = Some((fingerprint, until));
        }
    }
}

fn place(fingerprint: &Fingerprint) -> usize {
    let [first, second, ..] = *fingerprint;
    usize::from(u16::from_le_bytes([first, second])) % SLOTS
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::Map;
    use sha2::{Digest, Sha256};

    use super::{super::MAX_TOKEN, *};
    use crate::claims::StaticToken;

    fn fingerprint(number: u32) -> Fingerprint {
        Sha256::digest(number.to_le_bytes()).into()
    }

    #[test]
    fn what_is_remembered_has_an_end_in_number_and_in_length() {
        let token = StaticToken { name: "ci".to_owned(), digest: [0; 32], claims: Map::new(), expires_at: None };
        let bearer = VerifiedBearer::listed(&Rc::new(token));
        let mut bearers = Bearers::default();
        for length in [1, MAX_TOKEN] {
            for number in 0..5_000 {
                bearers.remember(fingerprint(number), length, Basis::Keys(1), &bearer);
                assert!(bearers.find(&fingerprint(number)).is_some_and(|(_, basis)| basis == Basis::Keys(1)));
                assert!(bearers.find(&[7; 32]).is_none());
                let lengths: usize = bearers.slots.iter().flatten().map(|slot| slot.length).sum();
                assert_eq!(bearers.length, lengths);
                assert!(bearers.slots.len() == SLOTS && lengths <= MAX_REMEMBERED, "{lengths}");
            }
        }
        for number in 0..5_000 {
            bearers.forget(&fingerprint(number));
            assert!(bearers.find(&fingerprint(number)).is_none());
        }
        assert!(bearers.length == 0 && bearers.slots.iter().all(Option::is_none));
    }
}
