//! The operations of work that may wait: decide with the state, call, wait.

use std::{
    future::{Future, poll_fn},
    rc::Rc,
    task::Poll,
};

use crate::{
    claims::IssuerId,
    config::Config,
    http::{CalloutError, CalloutRequest},
    oidc::client::CallContext,
    origin::Origin,
    platform::{ClientAddress, Platform},
    time::{Deadline, UnixTime},
};

use super::{
    super::{
        event::failure::Failure,
        limits::{Limits, Slot},
        memory::issuers::Ready,
    },
    call::{Call, CalloutResult},
    worker::{Env, TaskContext},
};

impl Env<'_> {
    /// Begins work that outlives the request: a client that leaves must not take its result along.
    pub(in crate::flow) fn spawn<F>(&mut self, begin: impl FnOnce(TaskContext) -> F + 'static)
    where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        self.spawn_boxed(Box::new(move |cx| Box::pin(begin(cx))));
    }
}

impl TaskContext {
    /// The origin of the URLs in the answer.
    pub(in crate::flow) fn origin(&self) -> &Origin {
        self.site.origin()
    }

    pub(in crate::flow) fn config(&self) -> &Config {
        self.worker.config()
    }

    pub(in crate::flow) fn now(&self) -> UnixTime {
        self.worker.now()
    }

    pub(in crate::flow) fn platform(&self) -> &dyn Platform {
        self.worker.platform()
    }

    pub(in crate::flow) fn limits(&self) -> &Limits {
        self.worker.limits()
    }

    /// Time, randomness and signatures for a call.
    pub(in crate::flow) fn call_context(&self) -> CallContext<'_> {
        CallContext::new(self.now(), self.platform())
    }

    /// Uses the worker's state for one synchronous decision.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] inside another such decision.
    pub(in crate::flow) fn with<R>(&self, decision: impl FnOnce(&mut Env<'_>) -> R) -> Result<R, Failure> {
        self.worker.with_site(&self.site, Some(&self.trace), decision)
    }

    /// Makes a call, as part of the request's trace.
    pub(in crate::flow) fn call(&self, request: CalloutRequest) -> impl Future<Output = CalloutResult> + use<> {
        Call::enqueue(request, &self.trace, &self.outbox)
    }

    /// Makes a call, and makes it again until the deadline while Envoy does not take it: Envoy takes no request with a body
    /// for a host name that it has yet to resolve. Nothing has left then.
    pub(in crate::flow) async fn call_until(&self, deadline: Deadline, request: CalloutRequest) -> CalloutResult {
        loop {
            let result = self.call(request.clone()).await;
            if !result.as_ref().is_err_and(CalloutError::was_not_sent) || deadline.has_passed(self.now()) {
                return result;
            }
            self.pause().await;
        }
    }

    /// Waits until the host drives the worker again.
    pub(in crate::flow) fn pause(&self) -> impl Future<Output = ()> + use<> {
        let mut has_paused = false;
        poll_fn(move |_| if std::mem::replace(&mut has_paused, true) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Waits until `ready` gives a value, which it returns. `None` when the deadline is over.
    ///
    /// # Errors
    /// [`Failure::Unreachable`]
    pub(in crate::flow) async fn until<T>(
        &self,
        deadline: Deadline,
        mut ready: impl FnMut(&mut Env<'_>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        poll_fn(|_| match self.with(|env| (ready(env), deadline.has_passed(env.now()))) {
            Ok((None, false)) => Poll::Pending,
            Ok((value, _)) => Poll::Ready(Ok(value)),
            Err(bug) => Poll::Ready(Err(bug)),
        })
        .await
    }

    /// Waits until the deadline.
    pub(in crate::flow) fn sleep(&self, deadline: Deadline) -> impl Future<Output = ()> + use<> {
        let worker = Rc::clone(&self.worker);
        poll_fn(move |_| if deadline.has_passed(worker.now()) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// A slot in which a request with an unverified token may wait; `None` if none is free for its address.
    pub(in crate::flow) fn take_unauthenticated_slot(&self) -> Option<Slot> {
        self.limits().unauthenticated.take(ClientAddress::of(self.platform().client_address()), 0)
    }

    /// The provider, where enough is known of it for a sign-in.
    ///
    /// # Errors
    /// [`Failure::ProviderNotReady`]
    pub(in crate::flow) fn ready(&self, provider: IssuerId) -> Result<Ready, Failure> {
        self.with(|env| env.issuers.ready(provider, env.now()))?.ok_or(Failure::ProviderNotReady)
    }
}
