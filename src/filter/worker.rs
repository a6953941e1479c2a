//! One worker's glue: it hands events of the host to the core, and performs the steps that come out.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use proxy_wasm::types::Action;

use super::{
    exchange::{Exchange, Phase},
    host::{self, Host, Part},
    report::Report,
};
use crate::{
    config::Config,
    flow::{
        self, Call, CalloutResult, Decision, Forward, Pending, Step, authorize::internal_redirect, background::MIN_TICK,
    },
    http::{LocalReply, RouteMetadata},
};

/// How often held requests are looked at.
const HOLDING: Duration = Duration::from_millis(25);

/// A worker: the core's, with its calls and requests in the host.
pub(super) struct Worker {
    root_id: u32,
    core: Rc<flow::Worker>,
    /// The key under which requests keep credentials over internal redirects.
    credentials_key: String,
    held: RefCell<Vec<Held>>,
    calls: RefCell<Vec<UnderWay>>,
    report: Report,
    tick: Cell<Duration>,
}

impl Drop for Worker {
    /// Envoy has another configuration, and the last request of this one is over.
    fn drop(&mut self) {
        self.core.drop_tasks();
        self.report.flush();
    }
}

/// A request that waits.
struct Held {
    exchange: Rc<Exchange>,
    pending: Pending,
}

/// A call under way.
struct UnderWay {
    id: u32,
    /// Time since the Unix epoch.
    started: Duration,
    call: Call,
    /// Request that made the call; if it is gone, the answer is ignored. `None` for the worker's own calls.
    owner: Option<Rc<Exchange>>,
}

/// When a step is performed: only outside the header callback must a request be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    InHeaders,
    Later,
}

impl Worker {
    pub(super) fn new(root_id: u32, mut config: Config) -> Self {
        let credentials_key = host::credentials_key(&config.fingerprint);
        if config.internal_redirects && !host::declare_credentials(&credentials_key) {
            config.internal_redirects = false;
            config.warnings.push(
                "internal_redirects: has no effect, because this Envoy cannot keep credentials (declare_property)"
                    .to_owned(),
            );
        }
        let report = Report::new(config.audit_log);
        let worker = Self {
            root_id,
            core: flow::Worker::new(config, Box::new(Host)),
            credentials_key,
            held: RefCell::default(),
            calls: RefCell::default(),
            report,
            tick: Cell::default(),
        };
        worker.tick_every(HOLDING);
        worker
    }

    fn config(&self) -> &Config {
        self.core.config()
    }

    /// Decides, then reports the events.
    fn decide<R>(&self, decision: impl FnOnce(&Rc<flow::Worker>) -> R) -> R {
        self.core.begin_decision();
        let outcome = decision(&self.core);
        self.core.take_events(|event| self.report.report(&event));
        if self.core.has_spawned() {
            self.tick_every(MIN_TICK);
        }
        outcome
    }

    /// A request arrives.
    pub(super) fn start(&self, exchange: &Rc<Exchange>, is_whole: bool) -> Action {
        // Headers that cannot be read are none, which is refused.
        let mut request = host::request(Part::Headers).unwrap_or_default();
        // Read before headers change: a change clears Envoy's choice of a route.
        let route = self.route();
        if self.config().internal_redirects
            && let Some(credentials) = host::kept_credentials(&self.credentials_key)
        {
            let edits = internal_redirect::undo(&request, &credentials, self.config());
            if !edits.is_some_and(|edits| host::edit_request(Part::Headers, edits.iter())) {
                return Self::reply(exchange, &self.decide(|core| core.headers_refused()));
            }
            request = host::request(Part::Headers).unwrap_or_default();
        }
        let request = request.with_more_following(!is_whole);
        exchange.set_route(route.clone());
        let request = request.with_route(route);
        let step = self.decide(|core| core.start(request));
        self.perform(exchange, step, Moment::InHeaders)
    }

    /// The metadata of the present request's route, if that is asked.
    fn route(&self) -> RouteMetadata {
        if self.config().rules.have_policies() { host::route_metadata() } else { RouteMetadata::Absent }
    }

    /// The trailers of a permitted request arrive; `false` when they must not pass.
    pub(super) fn trailers(&self) -> bool {
        host::request(Part::Trailers).is_some_and(|trailers| {
            host::edit_request(Part::Trailers, flow::trailer_edits(&trailers, self.config()).iter())
        })
    }

    /// Performs a step. Every request leaves through here: upstream with a permit, or answered, never both.
    fn perform(&self, exchange: &Rc<Exchange>, step: Step, moment: Moment) -> Action {
        match step {
            Step::Done(Decision::Forward(forward)) => self.forward(exchange, forward, moment),
            Step::Done(Decision::Reply(reply)) => Self::reply(exchange, &reply),
            Step::Wait(pending) => self.hold(exchange, pending, moment),
        }
    }

    fn forward(&self, exchange: &Rc<Exchange>, forward: Forward, moment: Moment) -> Action {
        let Forward { permit: _, edits, cookies } = forward;
        let trailers_pass = !exchange.has_trailers() || self.trailers();
        if !trailers_pass || !host::edit_request(Part::Headers, edits.headers()) {
            return Self::reply(exchange, &self.decide(|core| core.headers_refused()));
        }
        edits.state().for_each(|(key, value)| host::set_state(key, value));
        if let Some(credentials) = &edits.credentials {
            host::keep_credentials(&self.credentials_key, credentials);
        }
        exchange.permit(cookies);
        if moment == Moment::Later {
            host::resume();
        }
        Action::Continue
    }

    fn reply(exchange: &Exchange, reply: &LocalReply) -> Action {
        exchange.set_phase(Phase::Replied);
        host::reply(reply);
        Action::Pause
    }

    /// Makes the calls of a request that waits, and holds it.
    fn hold(&self, exchange: &Rc<Exchange>, mut pending: Pending, moment: Moment) -> Action {
        loop {
            let all_are_taken = self.make(pending.take_calls(), Some(exchange));
            // A body may have come before its flow asked for it.
            let body = if pending.wants_body() { exchange.body() } else { None };
            if all_are_taken && body.is_none() {
                break;
            }
            body.into_iter().for_each(|body| pending.give_body(body));
            match self.decide(|_| pending.resume()) {
                Step::Wait(waits) => pending = waits,
                step @ Step::Done(_) => return self.perform(exchange, step, moment),
            }
        }
        self.held.borrow_mut().push(Held { exchange: Rc::clone(exchange), pending });
        // The answer to a call wakes its request.
        if !exchange.has_call() {
            self.tick_every(self.core.next_drive().min(HOLDING));
        }
        Action::Pause
    }

    /// Makes these calls; `false` where the host did not take one, which then has its answer.
    fn make(&self, calls: Vec<Call>, owner: Option<&Rc<Exchange>>) -> bool {
        let mut all_are_taken = true;
        for call in calls {
            match host::dispatch(call.request()) {
                Ok(id) => {
                    let started = host::now();
                    owner.inspect(|owner| owner.call_begins());
                    self.calls.borrow_mut().push(UnderWay { id, started, call, owner: owner.cloned() });
                }
                Err(error) => {
                    call.answer(Err(error));
                    all_are_taken = false;
                }
            }
        }
        all_are_taken
    }

    /// More of a body has come: a request that waits for it goes on once it is whole, or too long.
    pub(super) fn body(&self, exchange: &Rc<Exchange>) {
        let waits = |held: &Held| Rc::ptr_eq(&held.exchange, exchange) && held.pending.wants_body();
        if self.held.borrow().iter().any(waits)
            && let Some(body) = exchange.body()
        {
            self.resume(exchange, |pending| pending.give_body(body));
        }
    }

    /// The app has answered a permitted request: the browser gets its cookies with that, once.
    pub(super) fn response(&self, exchange: &Rc<Exchange>) -> Action {
        // Envoy chooses the route anew once headers have changed, and tells us of it no sooner.
        if exchange.phase() == Phase::Forwarded && !exchange.is_on_route(&self.route()) {
            return Self::reply(exchange, &self.decide(|core| core.route_changed()));
        }
        let Some(cookies) = exchange.take_cookies() else { return Action::Continue };
        let lines = self.decide(|core| core.late_cookies(cookies));
        if !lines.is_empty() && exchange.phase() == Phase::Forwarded {
            host::add_cookies(&lines);
        }
        Action::Continue
    }

    /// A call is answered. If its request is gone, the answer is ignored.
    pub(super) fn answered(&self, call_id: u32, num_headers: usize, body_size: usize) {
        let place = self.calls.borrow().iter().position(|call| call.id == call_id);
        let Some(place) = place else { return };
        let UnderWay { started, call, owner, .. } = self.calls.borrow_mut().swap_remove(place);
        let result: CalloutResult = host::response(call.request(), num_headers, body_size);
        self.report.callout_took(host::now().saturating_sub(started));
        match owner {
            None => {
                call.answer(result);
                self.drive();
            }
            Some(exchange) => {
                exchange.call_ends();
                self.resume(&exchange, |_| call.answer(result));
            }
        }
    }

    /// Goes on with a request that waits, in its own context.
    fn resume(&self, exchange: &Rc<Exchange>, prepare: impl FnOnce(&Pending)) {
        let place = self.held.borrow().iter().position(|held| Rc::ptr_eq(&held.exchange, exchange));
        let Some(place) = place else { return };
        let held = self.held.borrow_mut().remove(place);
        self.resume_held(held, prepare);
    }

    fn resume_held(&self, Held { exchange, pending }: Held, prepare: impl FnOnce(&Pending)) {
        if exchange.phase() == Phase::Undecided && host::act_for(exchange.context_id()) {
            prepare(&pending);
            let step = self.decide(|_| pending.resume());
            self.perform(&exchange, step, Moment::Later);
        }
    }

    /// Does the work beside the requests.
    pub(super) fn tick(&self) {
        self.drive();
        self.report.flush();
    }

    /// Polls the worker's tasks and the held requests, in the root context.
    fn drive(&self) {
        let calls = self.decide(flow::Worker::drive);
        let all_are_taken = self.make(calls, None);
        self.wake();
        self.tick_every(if all_are_taken { self.next_tick() } else { MIN_TICK });
    }

    /// Time until the worker must be driven again.
    fn next_tick(&self) -> Duration {
        let next_drive = self.core.next_drive();
        if self.held.borrow().iter().all(|held| held.exchange.has_call()) {
            next_drive
        } else {
            next_drive.min(HOLDING)
        }
    }

    /// Polls the requests that wait for something else than the answer to a call.
    fn wake(&self) {
        let waiting: Vec<_> = self.held.borrow_mut().extract_if(.., |held| !held.exchange.has_call()).collect();
        if waiting.is_empty() {
            return;
        }
        for held in waiting {
            self.resume_held(held, |_| {});
        }
        let _ = host::act_for(self.root_id);
    }

    /// The client is gone: nothing waits for its answers any more.
    pub(super) fn forget(&self, exchange: &Rc<Exchange>) {
        // Only undecided requests are held or have calls.
        if exchange.set_phase(Phase::Gone) != Phase::Undecided {
            return;
        }
        let is_its = |call: &UnderWay| call.owner.as_ref().is_some_and(|owner| Rc::ptr_eq(owner, exchange));
        self.calls.borrow_mut().retain(|call| !is_its(call));
        let gone: Vec<_> = self.held.borrow_mut().extract_if(.., |held| Rc::ptr_eq(&held.exchange, exchange)).collect();
        drop(gone);
    }

    fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::tick_every(period);
        }
    }

    /// The warnings about this configuration.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.config().warnings.iter().map(String::as_str)
    }
}
