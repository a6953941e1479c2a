//! The omissions that a worker has logged: each is logged once and counted each time.

use super::super::event::{Event, omission::Omission};

/// Omissions of one kind that a worker logs at most: names from outside may be made up without end. Further ones are
/// counted alone.
const MAX_LOGGED: usize = 128;

/// The omissions that a worker has logged.
#[derive(Debug, Default)]
pub(in crate::flow) struct Omissions {
    logged: Vec<Omission>,
}

impl Omissions {
    /// Counts an omission, and logs it the first time.
    pub(in crate::flow) fn report(&mut self, omission: Omission, events: &mut Vec<Event>) {
        let of_its_kind = self.logged.iter().filter(|logged| logged.counter() == omission.counter()).count();
        let is_news = of_its_kind < MAX_LOGGED && !self.logged.contains(&omission);
        if is_news {
            self.logged.push(omission.clone());
        }
        events.push(Event::Omitted { omission, is_news });
    }
}
