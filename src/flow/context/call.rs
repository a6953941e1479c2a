//! Calls for the host to make, and their way back to the flows that wait for them.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    rc::Rc,
    task::Poll,
};

use crate::http::{CalloutError, CalloutRequest, CalloutResponse, trace_context::TraceContext};

/// The result of a call.
pub type CalloutResult = Result<CalloutResponse, CalloutError>;

/// The calls of a request or of the worker that the host has not made yet.
pub(in crate::flow) type Outbox = Rc<RefCell<Vec<Call>>>;

/// A call for the host to make.
pub struct Call {
    request: CalloutRequest,
    answer: Rc<Cell<Option<CalloutResult>>>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.request).finish()
    }
}

impl Call {
    /// Puts a request with these headers of a trace into the outbox, and gives the future of its result.
    pub(super) fn enqueue(
        request: CalloutRequest,
        trace: &TraceContext,
        outbox: &Outbox,
    ) -> impl Future<Output = CalloutResult> + use<> {
        let answer = Self::put(request, trace, outbox);
        poll_fn(move |_| answer.take().map_or(Poll::Pending, Poll::Ready))
    }

    #[inline(never)]
    fn put(mut request: CalloutRequest, trace: &TraceContext, outbox: &Outbox) -> Rc<Cell<Option<CalloutResult>>> {
        request.headers.extend_from_slice(trace);
        let answer = Rc::new(Cell::new(None));
        outbox.borrow_mut().push(Self { request, answer: Rc::clone(&answer) });
        answer
    }

    /// The call.
    pub const fn request(&self) -> &CalloutRequest {
        &self.request
    }

    /// Hands its result to the flow that made it, which goes on when it is polled next.
    pub fn answer(self, result: CalloutResult) {
        self.answer.set(Some(result));
    }
}
