//! The context of a request that waits.

use std::{future::poll_fn, ops::Deref, rc::Rc, task::Poll};

use crate::{claims::IssuerId, origin::Site};

use super::{
    super::{
        body::{BodyError, BodySlot},
        event::failure::Failure,
        limits::hold_from,
        memory::issuers::Ready,
    },
    call::{Call, Outbox},
    worker::{TaskContext, Worker, trace_of_request},
};

/// The worker and the body of one request, for its flow.
#[derive(Debug, Clone)]
pub(in crate::flow) struct RequestContext {
    task: TaskContext,
    body: Rc<BodySlot>,
}

impl Deref for RequestContext {
    type Target = TaskContext;

    fn deref(&self) -> &TaskContext {
        &self.task
    }
}

impl RequestContext {
    #[inline(never)]
    pub(in crate::flow) fn new(worker: &Rc<Worker>, site: Rc<Site>) -> Self {
        let trace = trace_of_request(worker.platform());
        let task = TaskContext { worker: Rc::clone(worker), outbox: Outbox::default(), site, trace };
        Self { task, body: Rc::default() }
    }

    pub(in crate::flow) fn take_calls(&self) -> Vec<Call> {
        self.task.outbox.take()
    }

    pub(in crate::flow) fn body_slot(&self) -> &BodySlot {
        &self.body
    }

    /// Waits until the metadata and keys of this provider are known, up to `MAX_HOLD`.
    ///
    /// # Errors
    /// [`Failure::ProviderNotReady`]; also where this worker holds as many requests as it may.
    pub(in crate::flow) async fn provider(&self, provider: IssuerId) -> Result<Ready, Failure> {
        if let Ok(ready) = self.ready(provider) {
            return Ok(ready);
        }
        let _held = self.limits().held.take().ok_or(Failure::ProviderNotReady)?;
        let ready = self.until(hold_from(self.now()), |env| env.issuers.ready(provider, env.now())).await?;
        ready.ok_or(Failure::ProviderNotReady)
    }

    /// Waits for the body of the request.
    ///
    /// # Errors
    /// [`BodyError`]
    pub(in crate::flow) async fn body(&self) -> Result<Vec<u8>, BodyError> {
        let place = self.limits().reading.take().ok_or(BodyError::Crowded)?;
        let deadline = hold_from(self.now());
        self.body.expect();
        let body = poll_fn(|_| match self.body.take() {
            Some(body) => Poll::Ready(body),
            None if deadline.has_passed(self.now()) => Poll::Ready(Err(BodyError::Missing)),
            None if place.is_crowded_out() => Poll::Ready(Err(BodyError::Crowded)),
            None => Poll::Pending,
        })
        .await;
        self.body.close();
        body
    }
}
