//! What one worker shares between its requests, and the one place where a step is performed.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use proxy_wasm::types::Action;

use super::{
    host::{self, Host, Part},
    report::Report,
};
use crate::{
    config::Config,
    flow::{
        self, BodyError, CalloutResult, Env, Expect, ExpectBody, LateCookies, Load, Memory, Step, Waiter,
        background::{self, ExpectBackground},
        event::Event,
        internal_redirect,
    },
    http::RouteMetadata,
};

/// How often held requests are looked at.
const HOLDING: Duration = Duration::from_millis(25);

/// A worker: its configuration, what it knows, and what is under way.
pub(super) struct Worker {
    root_id: u32,
    config: Config,
    /// The key of what requests keep over internal redirects.
    credentials_key: String,
    memory: RefCell<Memory>,
    /// Empty between decisions; kept so that a request need not allocate it.
    events: RefCell<Vec<Event>>,
    held: RefCell<Vec<Held>>,
    reading: RefCell<Vec<Reading>>,
    calls: RefCell<Vec<Call>>,
    report: Report,
    tick: Cell<Duration>,
}

struct Held {
    exchange: Rc<Exchange>,
    waiter: Waiter,
}

/// A request whose body is coming.
struct Reading {
    exchange: Rc<Exchange>,
    expect: Box<ExpectBody>,
}

/// A call under way, since when, and who takes its result.
struct Call {
    id: u32,
    started: u64,
    whose: Whose,
}

enum Whose {
    /// A request's, which takes it along when it leaves.
    Request(Rc<Exchange>, Expect),
    /// The worker's own.
    Worker(ExpectBackground),
}

/// One request, as far as the host is concerned.
pub(super) struct Exchange {
    context_id: u32,
    phase: Cell<Phase>,
    /// What its route said when it came.
    route: RefCell<RouteMetadata>,
    /// Cookies to set with the app's answer.
    cookies: RefCell<Option<LateCookies>>,
    /// Whether its trailers came before it was decided.
    has_trailers: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The client is gone.
    Gone,
    /// It went upstream, with a permit.
    Forwarded,
    /// It was answered here.
    Replied,
    /// Nothing is decided; it must not move.
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
        }
    }

    pub(super) fn keep_trailers(&self, count: usize) {
        self.has_trailers.set(count > 0);
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase.get()
    }
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
        let worker = Self {
            root_id,
            memory: RefCell::new(Memory::new(&config, &Host)),
            events: RefCell::default(),
            config,
            credentials_key,
            held: RefCell::default(),
            reading: RefCell::default(),
            calls: RefCell::default(),
            report: Report::new(),
            tick: Cell::default(),
        };
        worker.tick_every(HOLDING);
        worker
    }

    /// Decides, then tells what is worth telling.
    fn decide<R>(&self, decision: impl FnOnce(&mut Env<'_>) -> R) -> R {
        let (memory, events) = (&mut *self.memory.borrow_mut(), &mut *self.events.borrow_mut());
        let outcome = decision(&mut Env::new(&self.config, memory, &Host, host::now(), self.load(), events));
        self.report.tell(events);
        events.clear();
        if memory.has_work() {
            self.tick_every(background::AT_ONCE);
        }
        outcome
    }

    /// The answer to a request that was permitted and cannot go on.
    fn refuse(&self, answer: fn(&mut Env<'_>) -> Step) -> Step {
        self.decide(answer)
    }

    fn load(&self) -> Load {
        let held = self.held.borrow().iter().filter(|held| !held.waiter.is_strangers()).count();
        let mut load = Load { held, reading: self.reading.borrow().len(), ..Load::default() };
        for call in self.calls.borrow().iter() {
            if let Whose::Request(_, expect) = &call.whose {
                load.asking += usize::from(expect.asks());
                load.asking_again += usize::from(expect.asks_again());
            }
        }
        load
    }

    /// A request arrives.
    pub(super) fn start(&self, exchange: &Rc<Exchange>, is_whole: bool) -> Action {
        // Headers that cannot be read are none, which is refused.
        let mut request = host::request(Part::Headers).unwrap_or_default();
        // Read before headers change: a change clears Envoy's choice of a route.
        let route = self.route();
        if self.config.internal_redirects
            && let Some(credentials) = host::kept_credentials(&self.credentials_key)
        {
            let edits = internal_redirect::undo(&request, &credentials, &self.config);
            if !edits.is_some_and(|edits| host::edit_request(Part::Headers, edits.iter())) {
                let step = self.refuse(flow::headers_refused);
                return self.perform(exchange, step, Moment::InHeaders);
            }
            request = host::request(Part::Headers).unwrap_or_default();
        }
        let request = request.followed_by_more(!is_whole);
        exchange.route.replace(route.clone());
        let request = request.on_route(route);
        let step = self.decide(|env| flow::start(request, env));
        self.perform(exchange, step, Moment::InHeaders)
    }

    /// What the metadata of the present request's route says, if that is asked.
    fn route(&self) -> RouteMetadata {
        if self.config.rules.ask_routes() { host::route_metadata() } else { RouteMetadata::Absent }
    }

    /// The trailers of a permitted request arrive; `false` when they must not pass.
    pub(super) fn trailers(&self) -> bool {
        host::request(Part::Trailers).is_some_and(|trailers| {
            host::edit_request(Part::Trailers, flow::trailer_edits(&trailers, &self.config).iter())
        })
    }

    /// Performs a step. Every request leaves through here: upstream with a permit, or answered, never both.
    fn perform(&self, exchange: &Rc<Exchange>, mut step: Step, moment: Moment) -> Action {
        loop {
            match step {
                Step::Forward { permit, edits, cookies } => {
                    let trailers_pass = !exchange.has_trailers.get() || self.trailers();
                    if !trailers_pass || !host::edit_request(Part::Headers, edits.headers()) {
                        step = self.refuse(flow::headers_refused);
                        continue;
                    }
                    if let Some(subject) = permit.subject() {
                        host::set_state("vestibule_user", subject);
                    }
                    edits.state().for_each(|(key, value)| host::set_state(key, value));
                    if let Some(credentials) = &edits.credentials {
                        host::keep_credentials(&self.credentials_key, credentials);
                    }
                    exchange.cookies.replace(cookies);
                    exchange.phase.set(Phase::Forwarded);
                    if moment == Moment::Later {
                        host::resume();
                    }
                    return Action::Continue;
                }
                Step::Reply(reply) => {
                    exchange.phase.set(Phase::Replied);
                    host::reply(&reply);
                    return Action::Pause;
                }
                Step::Wait(waiter) => {
                    self.held.borrow_mut().push(Held { exchange: Rc::clone(exchange), waiter });
                    self.tick_every(self.pause());
                    return Action::Pause;
                }
                Step::ReadBody(expect) => {
                    self.reading.borrow_mut().push(Reading { exchange: Rc::clone(exchange), expect });
                    self.tick_every(HOLDING);
                    return Action::Pause;
                }
                Step::Call { request, expect } => match host::dispatch(&request) {
                    Ok(call_id) => {
                        self.call(call_id, Whose::Request(Rc::clone(exchange), expect));
                        return Action::Pause;
                    }
                    Err(error) => step = self.decide(|env| expect.resume(Err(error), env)),
                },
            }
        }
    }

    fn call(&self, id: u32, whose: Whose) {
        self.calls.borrow_mut().push(Call { id, started: host::now_millis(), whose });
    }

    /// More of a body that is being read has come; once it is whole, or too long, its request is decided.
    pub(super) fn body(&self, exchange: &Rc<Exchange>, size: usize, is_whole: bool) {
        if size <= flow::MAX_BODY && !is_whole {
            return;
        }
        let place = self.reading.borrow().iter().position(|reading| Rc::ptr_eq(&reading.exchange, exchange));
        let Some(place) = place else { return };
        let Reading { exchange, expect } = self.reading.borrow_mut().remove(place);
        let body = if size > flow::MAX_BODY { Err(BodyError::TooLong) } else { Ok(host::request_body(size)) };
        self.resume(&exchange, |env| expect.resume(body, env));
    }

    /// The app has answered a permitted request: the browser gets its cookies with that, once.
    pub(super) fn response(&self, exchange: &Rc<Exchange>) -> Action {
        // Envoy chooses the route anew once headers have changed, and tells us of it no sooner.
        if exchange.phase() == Phase::Forwarded && self.route() != *exchange.route.borrow() {
            let step = self.refuse(flow::route_changed);
            return self.perform(exchange, step, Moment::Later);
        }
        let Some(cookies) = exchange.cookies.take() else { return Action::Continue };
        let lines = self.decide(|env| cookies.lines(env));
        if !lines.is_empty() && exchange.phase() == Phase::Forwarded {
            host::add_cookies(&lines);
        }
        Action::Continue
    }

    /// A call is answered. A call that nobody waits for any more is over; nothing happens.
    pub(super) fn answered(&self, call_id: u32, num_headers: usize, body_size: usize) {
        let place = self.calls.borrow().iter().position(|call| call.id == call_id);
        let Some(place) = place else { return };
        let call = self.calls.borrow_mut().swap_remove(place);
        let result = host::response(num_headers, body_size);
        self.report.callout_took(host::now_millis().saturating_sub(call.started));
        match call.whose {
            Whose::Worker(expect) => {
                self.background(expect, result);
                self.drive();
            }
            Whose::Request(exchange, expect) => {
                self.resume(&exchange, |env| expect.resume(result, env));
            }
        }
    }

    /// Decides a request that was paused, and performs what comes out, in its own context.
    fn resume(&self, exchange: &Rc<Exchange>, decision: impl FnOnce(&mut Env<'_>) -> Step) {
        if exchange.phase() == Phase::Undecided && host::act_for(exchange.context_id) {
            let step = self.decide(decision);
            self.perform(exchange, step, Moment::Later);
        }
    }

    fn background(&self, expect: ExpectBackground, result: CalloutResult) {
        self.decide(|env| background::answered(expect, result, env));
    }

    /// Moves what is not a request's own: calls of the worker's, and held requests whose time has come. It runs for the
    /// root, so that no client that leaves takes a result along.
    pub(super) fn drive(&self) {
        for fetch in self.decide(background::poll) {
            match host::dispatch(&fetch.request) {
                Ok(call_id) => self.call(call_id, Whose::Worker(fetch.expect)),
                Err(error) => self.background(fetch.expect, Err(error)),
            }
        }
        self.wake();
        self.tick_every(self.pause());
    }

    /// How long until there is something to do.
    fn pause(&self) -> Duration {
        let pause = self.decide(|env| background::next_poll(env));
        let holds = !self.held.borrow().is_empty() || !self.reading.borrow().is_empty();
        if holds { pause.min(HOLDING) } else { pause }
    }

    fn wake(&self) {
        let (due, late) = (self.due(), self.late());
        if due.is_empty() && late.is_empty() {
            return;
        }
        for Held { exchange, waiter } in due {
            self.resume(&exchange, |env| waiter.resume(env));
        }
        for (Reading { exchange, expect }, why) in late {
            self.resume(&exchange, |env| expect.resume(Err(why), env));
        }
        let _ = host::act_for(self.root_id);
    }

    /// The held requests whose time has come.
    fn due(&self) -> Vec<Held> {
        let held = self.held.take();
        if held.is_empty() {
            return held;
        }
        let (due, rest) = self.decide(|env| held.into_iter().partition(|held| held.waiter.is_due(env)));
        self.held.replace(rest);
        due
    }

    /// The requests whose body is waited for no more. They stand in the order in which they came.
    fn late(&self) -> Vec<(Reading, BodyError)> {
        let reading = self.reading.take();
        let (now, surplus) = (host::now(), reading.len().saturating_sub(flow::MAX_READING));
        let mut late = Vec::new();
        for (place, reading) in reading.into_iter().enumerate() {
            if reading.expect.is_over(now) {
                late.push((reading, BodyError::Missing));
            } else if place < surplus {
                late.push((reading, BodyError::Crowded));
            } else {
                self.reading.borrow_mut().push(reading);
            }
        }
        late
    }

    /// The client is gone: nothing waits for its answers any more.
    pub(super) fn forget(&self, exchange: &Rc<Exchange>) {
        // Only what is undecided waits for a call or is held: most requests have nothing to look for.
        if exchange.phase.replace(Phase::Gone) != Phase::Undecided {
            return;
        }
        let is_its = |call: &Call| matches!(&call.whose, Whose::Request(owner, _) if Rc::ptr_eq(owner, exchange));
        self.calls.borrow_mut().retain(|call| !is_its(call));
        self.held.borrow_mut().retain(|held| !Rc::ptr_eq(&held.exchange, exchange));
        self.reading.borrow_mut().retain(|reading| !Rc::ptr_eq(&reading.exchange, exchange));
    }

    fn tick_every(&self, period: Duration) {
        if self.tick.replace(period) != period {
            host::tick_every(period);
        }
    }

    /// What the operator should know of this configuration.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.config.warnings.iter().map(String::as_str)
    }
}
