//! Runs the flows that wait. A flow is polled when something it may wait for has come: an answer, a body, or the next time
//! the host drives the worker. No waker is needed.

use std::{
    fmt,
    future::{Future, ready},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{http::LocalReply, origin::Site};

use super::{
    answer::{self, Offer, caller::Caller},
    authorize::Decision,
    body::BodyError,
    context::{Call, Env, Flow, RequestContext, Worker},
    event::{Event, failure::Failure},
};

/// The next step of a request.
#[must_use]
#[derive(Debug)]
#[cfg_attr(
    not(target_family = "wasm"),
    expect(clippy::large_enum_variant, reason = "a request that is decided at once is the usual case")
)]
pub enum Step {
    /// It is decided.
    Done(Decision),
    /// It waits.
    Wait(Pending),
}

/// A gate on the way of a request: settled at once, or by a flow that waits.
pub(super) enum Gate<T = Decision> {
    /// Settled at once.
    Settled(T),
    /// Settled by this flow.
    Waits(Box<dyn FnOnce(RequestContext) -> Flow<T>>),
}

impl<T: 'static> Gate<T> {
    /// A gate that a flow settles. Nothing is allocated for a request without one.
    pub(super) fn flow<F>(begin: impl FnOnce(RequestContext) -> F + 'static) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        Self::Waits(Box::new(move |cx| Box::pin(begin(cx))))
    }

    /// Settles the gate, at once or by its flow.
    pub(super) async fn settle(self, cx: &RequestContext) -> T {
        match self {
            Self::Settled(settled) => settled,
            Self::Waits(begin) => begin(cx.clone()).await,
        }
    }
}

impl Gate {
    /// Settles a gate within a flow. It is a separate, boxed future, so that the future of the flow stays small.
    pub(super) fn settle_apart(gate: Result<Self, Failure>, cx: &RequestContext) -> Flow<Decision> {
        match gate {
            Ok(Self::Waits(begin)) => begin(cx.clone()),
            Ok(Self::Settled(decision)) => Box::pin(ready(decision)),
            Err(bug) => Box::pin(ready(answer::bug(&bug).into())),
        }
    }
}

impl<T: From<LocalReply> + 'static> Gate<T> {
    /// Settles the gate, or refuses the request with the failure that prevented it.
    pub(super) async fn settle_or_refuse(gate: Result<Self, Failure>, caller: &Caller, cx: &RequestContext) -> T {
        match gate {
            Ok(gate) => gate.settle(cx).await,
            Err(failure) => cx.refuse(failure, caller, Offer::default()).into(),
        }
    }
}

impl From<LocalReply> for Gate<LocalReply> {
    fn from(reply: LocalReply) -> Self {
        Self::Settled(reply)
    }
}

impl<T: Into<Decision>> From<T> for Gate {
    fn from(settled: T) -> Self {
        Self::Settled(settled.into())
    }
}

impl Gate<LocalReply> {
    /// The same gate, settled with a decision.
    pub(super) fn decision(self) -> Gate {
        match self {
            Self::Settled(reply) => reply.into(),
            Self::Waits(begin) => Gate::flow(move |cx| async move { begin(cx).await.into() }),
        }
    }
}

/// A request whose flow waits. Dropping it is safe: the client has left.
pub struct Pending {
    flow: Flow<Decision>,
    context: RequestContext,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl Pending {
    /// The calls that the flow has made since the last time, for the host to make. Each result goes to
    /// [`Call::answer`]; then the flow is resumed.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        self.context.take_calls()
    }

    /// Whether it waits for the body of its request.
    pub fn wants_body(&self) -> bool {
        self.context.body_slot().is_expected()
    }

    /// Hands it the body; then the flow is resumed.
    pub fn give_body(&self, body: Result<Vec<u8>, BodyError>) {
        self.context.body_slot().give(body);
    }

    /// Goes on as far as possible.
    pub fn resume(mut self) -> Step {
        match self.flow.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Step::Wait(self),
            Poll::Ready(decision) => Step::Done(decision),
        }
    }
}

#[cfg(test)]
impl Pending {
    /// Bytes of the flow that waits.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.flow)
    }
}

impl Worker {
    /// Lets `gates` decide a request to this site, or to the home, and begins its flow where one is needed.
    pub(super) fn decide(self: &Rc<Self>, site: Option<Rc<Site>>, gates: impl FnOnce(&mut Env<'_>) -> Gate) -> Step {
        let site = site.as_ref().unwrap_or_else(|| self.config().origins.home());
        match self.with_site(site, None, gates) {
            Ok(Gate::Settled(decision)) => Step::Done(decision),
            Ok(Gate::Waits(begin)) => {
                let context = RequestContext::new(self, Rc::clone(site));
                Pending { flow: begin(context.clone()), context }.resume()
            }
            Err(bug) => Step::Done(answer::bug(&bug).into()),
        }
    }

    /// Polls the tasks, and begins those that were spawned. Their calls are in the worker's outbox afterwards.
    pub(super) fn poll_tasks(self: &Rc<Self>) {
        let mut due = self.tasks.take();
        loop {
            due.extend(self.take_spawned().into_iter().map(|spawned| spawned.begin(self)));
            if due.is_empty() {
                return;
            }
            for mut task in due.drain(..) {
                match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => self.tasks.borrow_mut().push(task),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(failure)) => {
                        let _ = self.with(|env| env.events.push(Event::TaskFailed(failure)));
                    }
                }
            }
        }
    }
}
