//! Requests whose body must be read before they can be decided. Envoy hands over a body while the headers are held only
//! where the operator asked for it, so this waits for a while and then says what is missing. Nothing of a body ever
//! goes upstream from here.

use crate::{http::Request, time::UnixTime};

use super::{
    Env, Step,
    caller::Caller,
    failure::Failure,
    form::Posted,
    logout,
    reply::{self, Offer},
    request::{MAX_HELD, MAX_HOLD},
};

/// The longest body that is read: 64 KiB.
pub const MAX_BODY: usize = 64 * 1024;

/// How many bodies a worker reads at once. With more, those go that have come longest: whoever sends slowly, while an
/// honest body comes with its headers.
pub const MAX_READING: usize = 64;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Too many others are being read.
    Crowded,
    /// It did not come in time.
    Missing,
    /// It is longer than [`MAX_BODY`].
    TooLong,
}

/// A request whose body is being read.
#[derive(Debug)]
pub struct ExpectBody {
    then: Then,
    until: UnixTime,
}

/// What the body is for.
#[derive(Debug)]
pub(super) enum Then {
    /// A form that somebody posted without a session.
    Form(Posted),
    /// A logout token.
    Logout(Caller),
}

/// Whether the body is a form as browsers send it.
pub(super) fn is_form(request: &Request) -> bool {
    let content_type = request.text("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl ExpectBody {
    /// Reads it, if there is one.
    pub(super) fn of(request: &Request, then: Then, env: &mut Env<'_>) -> Step {
        let expect = Box::new(Self { then, until: env.now.plus(MAX_HOLD) });
        if request.is_whole() {
            expect.resume(Ok(Vec::new()), env)
        } else if env.load.reading >= MAX_HELD {
            expect.resume(Err(BodyError::Crowded), env)
        } else {
            Step::ReadBody(expect)
        }
    }

    /// Whether nobody waits any more.
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_over(MAX_HOLD, now)
    }

    /// Decides the request with its body.
    pub fn resume(self, body: Result<Vec<u8>, BodyError>, env: &mut Env<'_>) -> Step {
        let body = body.map_err(|error| match error {
            BodyError::Crowded => Failure::Busy,
            BodyError::Missing => Failure::BodyMissing,
            BodyError::TooLong => Failure::BodyTooLong,
        });
        match (self.then, body) {
            (Then::Form(form), Ok(body)) => form.keep(&body, env),
            // It is not kept, then; what it means to the person is the same.
            (Then::Form(form), Err(Failure::BodyTooLong)) => form.ask_to_sign_in(env),
            (Then::Logout(caller), Ok(body)) => logout::token_arrives(caller, &body, env),
            (Then::Form(Posted { caller, .. }) | Then::Logout(caller), Err(failure)) => {
                reply::refuse(failure, &caller, Offer::default(), env)
            }
        }
    }
}
