//! Places of a worker for requests that are not authenticated, shared by client address: one address cannot take all of
//! them. A place is given back when it is dropped.

use std::{cell::RefCell, rc::Rc};

use crate::platform::ClientAddress;

/// Codes that one worker redeems at once.
const MAX_REDEEMING: usize = 64;
/// Requests that one worker holds with a token that may be forged.
const MAX_UNAUTHENTICATED: usize = 32;

/// The limits of a worker.
#[derive(Debug)]
pub(super) struct Limits {
    /// Codes that are being redeemed, up to the last answer that their sign-in needs.
    pub(super) redeeming: Places,
    /// Requests that are held with a token that may be forged.
    pub(super) unauthenticated: Places,
}

impl Default for Limits {
    fn default() -> Self {
        Self { redeeming: Places::new(MAX_REDEEMING), unauthenticated: Places::new(MAX_UNAUTHENTICATED) }
    }
}

/// A number of places, each taken by a client address.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Rc<RefCell<Vec<ClientAddress>>>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Rc::default() }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.borrow().len()
    }

    /// A place for this client, while `kept` places stay free. A client has at most as many places as are still free: one
    /// alone has half of all, two have a third each, and the last place is for a client that has none.
    pub(super) fn take(&self, client: ClientAddress, kept: usize) -> Option<Place> {
        let mut taken = self.taken.borrow_mut();
        let own = taken.iter().filter(|other| **other == client).count();
        let free = self.most.saturating_sub(kept).saturating_sub(taken.len());
        (own < free).then(|| {
            taken.push(client);
            Place { client, taken: Rc::clone(&self.taken) }
        })
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Place {
    client: ClientAddress,
    taken: Rc<RefCell<Vec<ClientAddress>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.borrow_mut();
        if let Some(place) = taken.iter().position(|client| *client == self.client) {
            taken.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientAddress {
        ClientAddress::parse(&format!("192.0.2.{last}:4711"))
    }

    /// All places that this client gets.
    fn all(places: &Places, client: ClientAddress, kept: usize) -> Vec<Place> {
        std::iter::from_fn(|| places.take(client, kept)).collect()
    }

    #[test]
    fn one_client_takes_half_and_the_next_ones_half_of_the_rest() {
        let places = Places::new(64);
        let taken: Vec<_> = (1..=6).map(|last| all(&places, client(last), 0)).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4, 2, 1]);
        assert!(places.take(client(1), 0).is_none() && places.take(client(7), 0).is_some());
    }

    #[test]
    fn a_place_that_is_dropped_is_free_again() {
        let places = Places::new(4);
        for _ in 0..10 {
            assert_eq!(all(&places, client(1), 0).len(), 2);
        }
        assert!(places.taken.borrow().is_empty());
    }

    #[test]
    fn places_that_are_kept_free_are_for_others() {
        let places = Places::new(64);
        let fresh = all(&places, client(1), 16);
        assert_eq!(fresh.len(), 24);
        assert_eq!(all(&places, client(1), 0).len(), 8);
    }
}
