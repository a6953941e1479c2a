//! One request, as far as the host is concerned.

use std::cell::{Cell, RefCell};

use crate::{
    flow::{BodyError, LateCookies, MAX_BODY},
    http::RouteMetadata,
};

use super::host;

/// One request.
pub(super) struct Exchange {
    context_id: u32,
    phase: Cell<Phase>,
    /// The metadata of its route when it came.
    route: RefCell<RouteMetadata>,
    /// Cookies to set with the app's answer.
    cookies: RefCell<Option<LateCookies>>,
    /// Whether its trailers came before it was decided.
    has_trailers: Cell<bool>,
    /// The size of its body by now, and whether that is all.
    body: Cell<(usize, bool)>,
    /// Its calls under way.
    calls: Cell<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The client is gone.
    Gone,
    /// It went upstream, with a permit.
    Forwarded,
    /// It was answered here.
    Replied,
    /// It is not decided, and must not move.
    Undecided,
}

impl Exchange {
    pub(super) const fn new(context_id: u32) -> Self {
        Self {
            context_id,
            phase: Cell::new(Phase::Undecided),
            route: RefCell::new(RouteMetadata::Absent),
            cookies: RefCell::new(None),
            has_trailers: Cell::new(false),
            body: Cell::new((0, false)),
            calls: Cell::new(0),
        }
    }

    pub(super) const fn context_id(&self) -> u32 {
        self.context_id
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Sets the phase, and returns the one before.
    pub(super) const fn set_phase(&self, phase: Phase) -> Phase {
        self.phase.replace(phase)
    }

    /// It goes upstream; the app's answer brings these cookies.
    pub(super) fn permit(&self, cookies: Option<LateCookies>) {
        self.cookies.replace(cookies);
        self.phase.set(Phase::Forwarded);
    }

    pub(super) fn take_cookies(&self) -> Option<LateCookies> {
        self.cookies.take()
    }

    pub(super) fn set_route(&self, route: RouteMetadata) {
        self.route.replace(route);
    }

    pub(super) fn is_on_route(&self, route: &RouteMetadata) -> bool {
        *self.route.borrow() == *route
    }

    pub(super) fn note_trailers(&self, count: usize) {
        self.has_trailers.set(count > 0);
        // Trailers end the body. Its last size is not known, so up to MAX_BODY bytes are read.
        let (size, _) = self.body.get();
        self.body.set((size.max(MAX_BODY), true));
    }

    pub(super) fn call_begins(&self) {
        self.calls.set(self.calls.get().saturating_add(1));
    }

    pub(super) fn call_ends(&self) {
        self.calls.set(self.calls.get().saturating_sub(1));
    }

    /// Whether a call of this request is under way.
    pub(super) const fn has_call(&self) -> bool {
        self.calls.get() > 0
    }

    pub(super) const fn has_trailers(&self) -> bool {
        self.has_trailers.get()
    }

    pub(super) fn note_body(&self, size: usize, is_whole: bool) {
        self.body.set((size, is_whole));
    }

    /// Its body, once it is whole or too long.
    pub(super) fn body(&self) -> Option<Result<Vec<u8>, BodyError>> {
        match self.body.get() {
            (size, _) if size > MAX_BODY => Some(Err(BodyError::TooLong)),
            (size, true) => Some(Ok(host::request_body(size))),
            (_, false) => None,
        }
    }
}
