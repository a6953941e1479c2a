//! The app, and what may reach it: each request has a number in its path, and stands here with its right before it is sent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wasm_tests::{
    http1::{Outcome, Request, Server, response},
    upstream::MARK,
};

/// With whom a request may reach the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// Not at all.
    Nobody,
    /// Without a user.
    Anyone,
    /// As this user.
    User(String),
}

/// The requests that are under way.
#[derive(Debug, Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    entries: HashMap<u64, Entry>,
    arrived: u64,
    violation: Option<String>,
}

#[derive(Debug)]
struct Entry {
    right: Right,
    arrived: usize,
}

impl Ledger {
    /// Starts the app.
    pub fn serve(self: &Arc<Self>) -> Server {
        let ledger = Arc::clone(self);
        Server::start(0, move |request, connection| {
            ledger.arrive(&request);
            let answer = response(200, &[(MARK, "app"), ("content-type", "text/plain")], b"hello from the app");
            if connection.send(&answer).is_ok() { Outcome::KeepAlive } else { Outcome::Close }
        })
    }

    /// A number for a request with this right.
    pub fn expect(&self, right: Right) -> u64 {
        let mut inner = self.lock();
        inner.last += 1;
        let number = inner.last;
        inner.entries.insert(number, Entry { right, arrived: 0 });
        number
    }

    /// How often a request has arrived. It must not do so again.
    pub fn settle(&self, number: u64) -> usize {
        self.lock().entries.remove(&number).map_or(0, |entry| entry.arrived)
    }

    /// Everything that arrived.
    pub fn arrived(&self) -> u64 {
        self.lock().arrived
    }

    /// The first request that should not have arrived as it did.
    pub fn violation(&self) -> Option<String> {
        self.lock().violation.clone()
    }

    fn arrive(&self, request: &Request) {
        let users = request.headers.all("x-forwarded-user");
        let number = request.path().rsplit('/').next().and_then(|text| text.parse().ok());
        let mut inner = self.lock();
        inner.arrived += 1;
        let right = number.and_then(|number| inner.entries.get_mut(&number)).map(|entry| {
            entry.arrived += 1;
            entry.right.clone()
        });
        let is_right = match &right {
            None | Some(Right::Nobody) => false,
            Some(Right::Anyone) => users.is_empty(),
            Some(Right::User(name)) => users == [name.as_bytes()],
        };
        if !is_right && inner.violation.is_none() {
            inner.violation = Some(format!("the app saw a request that may arrive as {right:?}: {request:?}"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wasm_tests::user_agent::{Outgoing, UserAgent};

    use super::*;

    /// What the app says to a request with this right that arrives as this user, after `before`.
    fn violation(right: Right, user: Option<&str>, before: fn(&Ledger, u64)) -> Option<String> {
        let ledger = Arc::new(Ledger::default());
        let app = ledger.serve();
        let number = ledger.expect(right);
        before(&ledger, number);
        let target = format!("/app/{number}");
        let send = Outgoing::fetch(&target);
        let send = if let Some(user) = user { send.header("x-forwarded-user", user) } else { send };
        let url = format!("http://{}{target}", app.address());
        assert_eq!(UserAgent::default().visit(&url, send).status, 200);
        ledger.violation()
    }

    #[test]
    fn the_ledger_reports_a_request_with_a_wrong_user() {
        let alice = || Right::User("alice".to_owned());
        let nothing: fn(&Ledger, u64) = |_, _| {};
        assert_eq!(violation(alice(), Some("alice"), nothing), None);
        assert_eq!(violation(Right::Anyone, None, nothing), None);
        for (right, user) in [
            (Right::Nobody, None),
            (Right::Nobody, Some("alice")),
            (Right::Anyone, Some("alice")),
            (alice(), None),
            (alice(), Some("bob")),
        ] {
            assert!(violation(right.clone(), user, nothing).is_some(), "{right:?} as {user:?}");
        }
    }

    #[test]
    fn the_ledger_reports_a_request_that_arrives_after_its_response() {
        let settle: fn(&Ledger, u64) = |ledger, number| assert_eq!(ledger.settle(number), 0);
        assert!(violation(Right::Anyone, None, settle).is_some());
    }
}
