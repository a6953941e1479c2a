//! Sending a request with its number, and checking what every answer must fulfil.

use std::time::Instant;

use wasm_tests::{
    http1::Response,
    upstream::MARK,
    user_agent::Outgoing,
    world::{is_session_cookie, kept_cookies},
};

use super::Visitor;
use crate::{client::NoAnswer, ledger::Right, users::User};

/// More connections than a reload closes under one request.
const TRIES: usize = 4;

/// An answer.
pub struct Answer {
    /// The request, for failures.
    pub request: String,
    /// The answer itself.
    pub response: Response,
    /// How often the request has reached the app.
    pub arrived: usize,
    /// The number in its path.
    pub number: u64,
    /// When it was sent.
    pub from: Instant,
}

impl Answer {
    /// The status, and the code of the filter's own answers.
    pub fn is(&self, status: u16, code: &str) -> bool {
        self.response.status == status && self.response.code().as_deref() == Some(code)
    }

    /// Whether it is the app's.
    pub fn is_apps(&self) -> bool {
        (self.response.status, self.response.headers.has(MARK), self.arrived) == (200, true, 1)
    }

    /// Whether it is a refusal by the filter, without a session.
    pub fn is_refusal(&self, statuses: &[u16]) -> bool {
        let response = &self.response;
        let begins_session = kept_cookies(response).iter().any(|name| is_session_cookie(name));
        statuses.contains(&response.status) && response.code().is_some() && self.arrived == 0 && !begins_session
    }

    /// The failure.
    pub fn wrong(&self, expected: &str) -> String {
        format!("expected {expected}, not this: {} arrived {} times, {:?}", self.request, self.arrived, self.response)
    }
}

impl Visitor<'_> {
    /// Sends a request for `folder` and its number, which may arrive with this right; again on a new connection if Envoy has
    /// closed the one that was kept. `None` if a reload cut it off.
    pub(super) fn ask(
        &mut self,
        folder: &str,
        right: &Right,
        build: impl Fn(String) -> Outgoing,
    ) -> Result<Option<Answer>, String> {
        for _ in 0..TRIES {
            let number = self.soak.ledger.expect(right.clone());
            let (send, from) = (build(format!("{folder}/{number}")), Instant::now());
            if let Some(response) = self.exchange(&send)? {
                let arrived = self.soak.ledger.settle(number);
                return Ok(Some(Answer { request: readable(&send), response, arrived, number, from }));
            }
        }
        Ok(None)
    }

    /// Sends a request of one of the filter's own paths, once, on a new connection. `None` if a reload cut it off.
    pub(super) fn ask_filter(&mut self, send: &Outgoing) -> Result<Option<Answer>, String> {
        self.client.reconnect();
        let from = Instant::now();
        let response = self.exchange(send)?;
        Ok(response.map(|response| Answer { request: readable(send), response, arrived: 0, number: 0, from }))
    }

    /// Sends a request of this user, who keeps the cookies of the answer, with these header lines of his kind of request.
    pub(super) fn ask_as(
        &mut self,
        user: &mut User,
        folder: &str,
        build: impl Fn(String) -> Outgoing,
    ) -> Result<Option<Answer>, String> {
        let cookies = user.cookies();
        let right = Right::User(user.name.clone());
        let answer = self.ask(folder, &right, |target| build(target).header("cookie", &cookies))?;
        if let Some(answer) = &answer {
            user.keep(&answer.response);
        }
        Ok(answer)
    }

    fn exchange(&mut self, send: &Outgoing) -> Result<Option<Response>, String> {
        self.soak.measures.count_request();
        match self.client.send(send) {
            Ok(response) => Ok(Some(response)),
            Err(NoAnswer { was_kept, .. }) if was_kept || self.soak.conditions.may_cut_off() => Ok(None),
            Err(NoAnswer { error, .. }) => Err(format!("no answer to {}: {error}", readable(send))),
        }
    }
}

/// The request, for failures.
pub fn readable(send: &Outgoing) -> String {
    String::from_utf8_lossy(&send.bytes("app")).replace("\r\n", " | ")
}
