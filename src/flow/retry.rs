//! Failed calls that no request waits for are made again for a while.

use std::time::Duration;

use crate::time::Deadline;

use super::{
    context::{Env, TaskContext},
    event::failure::Failure,
    limits::{Count, Counted},
};

/// The limits of attempts that are made again.
pub(super) struct Retries<'a> {
    /// Slots for calls that are being retried, one per call. Without a free slot, the call is not retried.
    pub(super) slots: &'a Count,
    /// The time between two attempts.
    pub(super) pause: Duration,
    /// The time after which no attempt is made again.
    pub(super) longest: Duration,
}

impl TaskContext {
    /// Makes an attempt until it succeeds. `None` where it was given up: the error is permanent, no slot is left, or the
    /// time is over. The first error and the last are reported.
    ///
    /// # Errors
    /// The [`Failure`] of `attempt`, and [`Failure::Unreachable`].
    pub(super) async fn retry<T, E>(
        &self,
        retries: Retries<'_>,
        mut attempt: impl AsyncFnMut() -> Result<Result<T, E>, Failure>,
        is_transient: impl Fn(&E) -> bool,
        report: impl Fn(E, &mut Env<'_>),
    ) -> Result<Option<T>, Failure> {
        let deadline = Deadline::after(retries.longest, self.now());
        let mut slot: Option<Counted> = None;
        loop {
            let error = match attempt().await? {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            let is_first = slot.is_none();
            slot = slot.take().or_else(|| retries.slots.take()).filter(|_| is_transient(&error));
            let gives_up = deadline.has_passed(self.now()) || slot.is_none();
            if is_first || gives_up {
                self.with(|env| report(error, env))?;
            }
            if gives_up {
                return Ok(None);
            }
            self.sleep(Deadline::after(retries.pause, self.now())).await;
        }
    }
}
