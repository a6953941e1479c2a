//! The users who are signed in, each with a cookie jar; and the cookies of sessions that are over.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fastrand::Rng;
use wasm_tests::{http1::Response, user_agent::Jar, world::is_session_cookie};

use crate::plan::LIFETIME;

/// So close to its end a session is used no more: it may end on the way.
const MARGIN: Duration = Duration::from_secs(15);
/// The time after the end of a session from which every worker must refuse it.
const SURELY: Duration = Duration::from_secs(3);
/// Old cookies that are kept.
const MAX_OVER: usize = 100;
/// The host of the cookies.
const HOST: &str = "127.0.0.1";

/// A user with a session.
#[derive(Debug, Clone)]
pub struct User {
    /// The subject.
    pub name: String,
    /// The cookies.
    pub jar: Jar,
    /// The time of the sign-in.
    pub since: Instant,
    /// Whether the session was ended before its time.
    is_ended: bool,
}

impl User {
    /// Somebody who has not signed in.
    pub fn new(name: String) -> Self {
        Self { name, jar: Jar::default(), since: Instant::now(), is_ended: false }
    }

    /// The `Cookie` header.
    pub fn cookies(&self) -> Vec<u8> {
        self.jar.header(HOST, "/").unwrap_or_default()
    }

    /// Keeps the cookies of an answer.
    pub fn keep(&mut self, response: &Response) {
        for line in response.headers.all("set-cookie") {
            self.jar.take(HOST, "/", line);
        }
    }

    /// Whether there is a session among the cookies.
    pub fn has_session(&self) -> bool {
        self.jar.cookies().iter().any(|cookie| is_session_cookie(&cookie.name))
    }

    /// Changes a byte in the middle of the session's cookie.
    pub fn tamper(&mut self, rng: &mut Rng) {
        let mut changed = self.jar.clone();
        for cookie in self.jar.cookies().iter().filter(|cookie| is_session_cookie(&cookie.name)) {
            let mut cookie = cookie.clone();
            let at = rng.usize(1..cookie.value.len() - 1);
            cookie.value[at] = if cookie.value[at] == b'A' { b'B' } else { b'A' };
            changed.put(cookie);
        }
        self.jar = changed;
    }
}

/// All users.
#[derive(Debug, Default)]
pub struct Users {
    live: Mutex<Vec<User>>,
    over: Mutex<Vec<User>>,
}

impl Users {
    /// Takes a signed-in user out, for one client at a time.
    pub fn take(&self, rng: &mut Rng) -> Option<User> {
        let mut live = lock(&self.live);
        while !live.is_empty() {
            let at = rng.usize(0..live.len());
            let user = live.swap_remove(at);
            if user.since.elapsed() + MARGIN < LIFETIME {
                return Some(user);
            }
            self.lay_aside(user);
        }
        None
    }

    /// Keeps the cookies of a user who was signed out: they must never be good again.
    pub fn end(&self, user: User) {
        self.lay_aside(User { is_ended: true, ..user });
    }

    fn lay_aside(&self, user: User) {
        let mut over = lock(&self.over);
        if over.len() == MAX_OVER {
            over.remove(0);
        }
        over.push(user);
    }

    /// Puts a user back, or a new one in.
    pub fn put(&self, user: User) {
        lock(&self.live).push(user);
    }

    /// How many wait to be taken.
    pub fn count(&self) -> usize {
        lock(&self.live).len()
    }

    /// A copy of a user after the end of the session.
    pub fn over(&self, rng: &mut Rng) -> Option<User> {
        let over = lock(&self.over);
        let at = rng.usize(0..over.len().max(1));
        over.get(at).filter(|user| user.is_ended || user.since.elapsed() > LIFETIME + SURELY).cloned()
    }
}

fn lock(users: &Mutex<Vec<User>>) -> MutexGuard<'_, Vec<User>> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}
