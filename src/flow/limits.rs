//! The limits of a worker, as slots: dropping one gives it back. Slots for requests that are not authenticated are shared by
//! client address, so that one address cannot take all of them.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use crate::{
    platform::ClientAddress,
    time::{Deadline, UnixTime},
};

/// How long a request is held at most.
pub(super) const MAX_HOLD: Duration = Duration::from_secs(5);
/// Lower bound of the retries while Envoy refuses a call because it resolves the host name.
pub(super) const MIN_PATIENCE: Duration = Duration::from_secs(2);
/// Requests that one worker holds at most, beside those with a token that may be forged; the next is answered at once.
const MAX_HELD: usize = 256;
/// Bodies that a worker reads at once. With more, the oldest readers give way: an attacker sends slowly, while an honest body
/// comes with its headers.
const MAX_READING: usize = 64;
/// Codes that one worker redeems at once.
const MAX_REDEEMING: usize = 64;
/// Requests that one worker holds with a token that may be forged.
const MAX_UNAUTHENTICATED: usize = 32;
/// Tokens new to a worker that it introspects at once: a client can make up any number.
const MAX_INTROSPECTING: usize = 64;
/// Tokens that were active before, introspected at once beside those: made-up ones must not keep them out.
const MAX_INTROSPECTING_AGAIN: usize = 64;
/// Tokens that one worker exchanges at once, and requests that it holds for the exchanges of other requests.
const MAX_EXCHANGING: usize = 256;
/// Writes to the session store that a worker retries.
const MAX_RETRIED_WRITES: usize = 256;
/// Revocations that a worker retries.
const MAX_RETRIED_REVOCATIONS: usize = 256;

/// The end of a hold that begins now.
pub(super) const fn hold_from(now: UnixTime) -> Deadline {
    Deadline::after(MAX_HOLD, now)
}

/// The limits of a worker.
#[derive(Debug)]
pub(super) struct Limits {
    /// Requests that are held for the exchange of another one.
    pub(super) awaiting_exchange: Count,
    /// Tokens that are being exchanged.
    pub(super) exchanging: Count,
    /// Requests that are held for their provider, or for the renewal of their session.
    pub(super) held: Count,
    /// Tokens new to this worker that are being introspected.
    pub(super) introspecting: Count,
    /// Tokens that are being introspected again.
    pub(super) introspecting_again: Count,
    /// Bodies that are being read.
    pub(super) reading: Queue,
    /// Codes that are being redeemed, up to the last answer that their sign-in needs.
    pub(super) redeeming: Slots,
    /// Revocations that are retried.
    pub(super) retried_revocations: Count,
    /// Writes to the session store that are retried.
    pub(super) retried_writes: Count,
    /// Requests that are held with a token that may be forged.
    pub(super) unauthenticated: Slots,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            awaiting_exchange: Count::new(MAX_EXCHANGING),
            exchanging: Count::new(MAX_EXCHANGING),
            held: Count::new(MAX_HELD),
            introspecting: Count::new(MAX_INTROSPECTING),
            introspecting_again: Count::new(MAX_INTROSPECTING_AGAIN),
            reading: Queue::new(MAX_HELD, MAX_READING),
            redeeming: Slots::new(MAX_REDEEMING),
            retried_revocations: Count::new(MAX_RETRIED_REVOCATIONS),
            retried_writes: Count::new(MAX_RETRIED_WRITES),
            unauthenticated: Slots::new(MAX_UNAUTHENTICATED),
        }
    }
}

/// A number of slots.
#[derive(Debug)]
pub(super) struct Count {
    most: usize,
    taken: Rc<Cell<usize>>,
}

/// One of a [`Count`].
#[derive(Debug)]
pub(super) struct Counted(Rc<Cell<usize>>);

impl Count {
    fn new(most: usize) -> Self {
        Self { most, taken: Rc::default() }
    }

    /// A slot, where one is left.
    pub(super) fn take(&self) -> Option<Counted> {
        let taken = self.taken.get();
        (taken < self.most).then(|| {
            self.taken.set(taken.saturating_add(1));
            Counted(Rc::clone(&self.taken))
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A queue whose oldest members give way where it is longer than it should be, and which takes nothing new when it is full.
#[derive(Debug)]
pub(super) struct Queue {
    most: usize,
    wanted: usize,
    numbers: Rc<RefCell<VecDeque<u64>>>,
}

/// A place in a [`Queue`].
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    wanted: usize,
    numbers: Rc<RefCell<VecDeque<u64>>>,
}

impl Queue {
    fn new(most: usize, wanted: usize) -> Self {
        Self { most, wanted, numbers: Rc::default() }
    }

    /// The last place, unless the queue is full.
    pub(super) fn take(&self) -> Option<Place> {
        let mut numbers = self.numbers.borrow_mut();
        (numbers.len() < self.most).then(|| {
            let number = numbers.back().map_or(0, |last| last.wrapping_add(1));
            numbers.push_back(number);
            Place { number, wanted: self.wanted, numbers: Rc::clone(&self.numbers) }
        })
    }
}

impl Place {
    /// Whether it is one of those that give way.
    pub(super) fn is_crowded_out(&self) -> bool {
        let numbers = self.numbers.borrow();
        let surplus = numbers.len().saturating_sub(self.wanted);
        numbers.iter().take(surplus).any(|number| *number == self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.numbers.borrow_mut().retain(|number| *number != self.number);
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

    /// A slot for this client, while `kept` slots stay free. A client may hold at most as many slots as
    /// are free, so one address never takes more than half.
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
impl Count {
    pub(super) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// Takes all slots but so many.
    pub(super) fn take_all_but(&self, left: usize) -> Vec<Counted> {
        std::iter::from_fn(|| self.take()).take(self.most - self.taken() - left).collect()
    }
}

#[cfg(test)]
impl Queue {
    /// Takes all places but so many.
    pub(super) fn take_all_but(&self, left: usize) -> Vec<Place> {
        (left..self.most).filter_map(|_| self.take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientAddress {
        ClientAddress::V4([192, 0, 2, last])
    }

    /// All slots that this client gets.
    fn all(slots: &Slots, client: ClientAddress, kept: usize) -> Vec<Slot> {
        std::iter::from_fn(|| slots.take(client, kept)).collect()
    }

    #[test]
    fn each_client_takes_at_most_half_of_the_free_slots() {
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
    fn a_client_cannot_take_slots_that_are_reserved_for_others() {
        let slots = Slots::new(64);
        let fresh = all(&slots, client(1), 16);
        assert_eq!(fresh.len(), 24);
        assert_eq!(all(&slots, client(1), 0).len(), 8);
    }
}
