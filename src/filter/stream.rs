//! One request's callbacks. Until the request is permitted, no part of it moves.

use std::rc::Rc;

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

use super::{
    exchange::{Exchange, Phase},
    worker::Worker,
};

/// One request.
pub(super) struct Stream {
    exchange: Rc<Exchange>,
    worker: Option<Rc<Worker>>,
}

impl Stream {
    pub(super) fn new(context_id: u32, worker: Option<Rc<Worker>>) -> Self {
        Self { exchange: Rc::new(Exchange::new(context_id)), worker }
    }

    /// Where an operator allows bodies to be seen while the headers are held, Continue from a body callback would
    /// release the whole request.
    fn pass_if_permitted(&self) -> Action {
        if self.exchange.phase() == Phase::Forwarded { Action::Continue } else { Action::Pause }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, call_id: u32, num_headers: usize, body_size: usize, _num_trailers: usize) {
        if let Some(worker) = &self.worker {
            worker.answered(call_id, num_headers, body_size);
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        // Without a configuration there is no worker, and the request stays where it is.
        self.worker.as_ref().map_or(Action::Pause, |worker| worker.start(&self.exchange, end_of_stream))
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if let Some(worker) = self.worker.as_ref().filter(|_| self.exchange.phase() == Phase::Undecided) {
            self.exchange.note_body(body_size, end_of_stream);
            worker.body(&self.exchange);
            // The request is answered or waits now: it is never permitted with a body that was read.
            return Action::Pause;
        }
        self.pass_if_permitted()
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        self.worker.as_ref().map_or(Action::Continue, |worker| worker.response(&self.exchange))
    }

    fn on_http_request_trailers(&mut self, num_trailers: usize) -> Action {
        if let Some(worker) = self.worker.as_ref().filter(|_| self.exchange.phase() == Phase::Undecided) {
            self.exchange.note_trailers(num_trailers);
            worker.body(&self.exchange);
            return Action::Pause;
        }
        match (self.pass_if_permitted(), &self.worker) {
            // An empty trailer map cannot be told from an unreadable one.
            (Action::Continue, _) if num_trailers == 0 => Action::Continue,
            (Action::Continue, Some(worker)) if worker.trailers() => Action::Continue,
            _ => Action::Pause,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.forget(&self.exchange);
        }
    }
}
