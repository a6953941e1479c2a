//! Slots of a worker for requests that are not authenticated, shared by client address: one address cannot take all of
//! them. A slot is given back when it is dropped.

use std::{cell::RefCell, rc::Rc};

use crate::platform::{ClientAddress, Platform};

/// Codes that one worker redeems at once.
const MAX_REDEEMING: usize = 64;
/// Requests that one worker holds with a token that may be forged.
const MAX_UNAUTHENTICATED: usize = 32;

/// The limits of a worker.
#[derive(Debug)]
pub(super) struct Limits {
    /// Codes that are being redeemed, up to the last answer that their sign-in needs.
    pub(super) redeeming: Slots,
    /// Requests that are held with a token that may be forged.
    pub(super) unauthenticated: Slots,
}

impl Default for Limits {
    fn default() -> Self {
        Self { redeeming: Slots::new(MAX_REDEEMING), unauthenticated: Slots::new(MAX_UNAUTHENTICATED) }
    }
}

impl Limits {
    /// Gives a request with a token that may be forged a slot to be held in, unless it has one. `false` where none is left.
    pub(super) fn hold(&self, slot: &mut Option<Slot>, platform: &dyn Platform) -> bool {
        if slot.is_none() {
            *slot = self.unauthenticated.take(platform.client_address(), 0);
        }
        slot.is_some()
    }
}

/// A number of slots, each taken by a client address.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    taken: Rc<RefCell<Vec<ClientAddress>>>,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Rc::default() }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.borrow().len()
    }

    /// A slot for this client, while `kept` slots stay free. A client has at most as many slots as are still free: one
    /// alone has half of all, two have a third each, and the last slot is for a client that has none.
    pub(super) fn take(&self, client: ClientAddress, kept: usize) -> Option<Slot> {
        let mut taken = self.taken.borrow_mut();
        let own = taken.iter().filter(|other| **other == client).count();
        let free = self.most.saturating_sub(kept).saturating_sub(taken.len());
        (own < free).then(|| {
            taken.push(client);
            Slot { client, taken: Rc::clone(&self.taken) }
        })
    }
}

/// A slot that is taken.
#[derive(Debug)]
pub(super) struct Slot {
    client: ClientAddress,
    taken: Rc<RefCell<Vec<ClientAddress>>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.borrow_mut();
        if let Some(slot) = taken.iter().position(|client| *client == self.client) {
            taken.swap_remove(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientAddress {
        ClientAddress::parse(&format!("192.0.2.{last}:4711"))
    }

    /// All slots that this client gets.
    fn all(slots: &Slots, client: ClientAddress, kept: usize) -> Vec<Slot> {
        std::iter::from_fn(|| slots.take(client, kept)).collect()
    }

    #[test]
    fn one_client_takes_half_and_the_next_ones_half_of_the_rest() {
        let slots = Slots::new(64);
        let taken: Vec<_> = (1..=6).map(|last| all(&slots, client(last), 0)).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4, 2, 1]);
        assert!(slots.take(client(1), 0).is_none() && slots.take(client(7), 0).is_some());
    }

    #[test]
    fn a_slot_that_is_dropped_is_free_again() {
        let slots = Slots::new(4);
        for _ in 0..10 {
            assert_eq!(all(&slots, client(1), 0).len(), 2);
        }
        assert!(slots.taken.borrow().is_empty());
    }

    #[test]
    fn slots_that_are_kept_free_are_for_others() {
        let slots = Slots::new(64);
        let fresh = all(&slots, client(1), 16);
        assert_eq!(fresh.len(), 24);
        assert_eq!(all(&slots, client(1), 0).len(), 8);
    }
}
