//! What one worker shares between its requests, and the one place where a step is performed.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
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
        self, CalloutResult, Env, ExpectTokens, Step, Waiter,
        event::Event,
        provider::{ExpectDocument, Providers},
    },
    session::open::OpenSessions,
};

/// How often held requests are looked at.
const HOLDING: Duration = Duration::from_millis(25);

/// A worker: its configuration, what it knows, and what is under way.
pub(super) struct Worker {
    root_id: u32,
    config: Config,
    providers: RefCell<Providers>,
    sessions: RefCell<OpenSessions>,
    /// Empty between decisions; kept so that a request need not allocate it.
    events: RefCell<Vec<Event>>,
    held: RefCell<Vec<Held>>,
    calls: RefCell<HashMap<u32, Call>>,
    report: Report,
    tick: Cell<Duration>,
}

struct Held {
    exchange: Rc<Exchange>,
    waiter: Waiter,
}

/// A call under way, since when, and who takes its result.
struct Call {
    started: u64,
    expect: Expect,
}

enum Expect {
    Document(ExpectDocument),
    Tokens(Rc<Exchange>, Box<ExpectTokens>),
}

/// One request, as far as the host is concerned.
pub(super) struct Exchange {
    context_id: u32,
    phase: Cell<Phase>,
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
        Self { context_id, phase: Cell::new(Phase::Undecided) }
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
    pub(super) fn new(root_id: u32, config: Config) -> Self {
        let providers = RefCell::new(Providers::new(&config, &Host));
        let worker = Self {
            root_id,
            sessions: RefCell::new(OpenSessions::new(config.session.session_cookie.clone())),
            events: RefCell::default(),
            config,
            providers,
            held: RefCell::default(),
            calls: RefCell::default(),
            report: Report::new(),
            tick: Cell::default(),
        };
        worker.tick_every(HOLDING);
        worker
    }

    /// Decides, then tells what is worth telling.
    fn decide<R>(&self, decision: impl FnOnce(&mut Env<'_>) -> R) -> R {
        let mut events = self.events.take();
        let (held, calls) = (self.held.borrow().len(), self.calls.borrow().len());
        let outcome = decision(&mut Env {
            config: &self.config,
            providers: &mut self.providers.borrow_mut(),
            sessions: &mut self.sessions.borrow_mut(),
            platform: &Host,
            now: host::now(),
            held,
            calls,
            events: &mut events,
        });
        self.report.tell(&events);
        events.clear();
        self.events.replace(events);
        outcome
    }

    /// A request arrives.
    pub(super) fn start(&self, exchange: &Rc<Exchange>, is_whole: bool) -> Action {
        // Headers that cannot be read are none, which is refused.
        let request = host::request(Part::Headers).unwrap_or_default().followed_by_more(!is_whole);
        let step = self.decide(|env| flow::start(request, env));
        self.perform(exchange, step, Moment::InHeaders)
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
                Step::Forward { permit, edits } => {
                    if !host::edit_request(Part::Headers, edits.iter()) {
                        step = self.decide(flow::headers_refused);
                        continue;
                    }
                    if let Some(session) = permit.identity() {
                        host::name_user(session.subject());
                    }
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
                    self.tick_every(HOLDING);
                    return Action::Pause;
                }
                Step::Call { request, expect } => match host::dispatch(&request) {
                    Ok(call_id) => {
                        let expect = Expect::Tokens(Rc::clone(exchange), expect);
                        self.calls.borrow_mut().insert(call_id, Call { started: host::now_millis(), expect });
                        return Action::Pause;
                    }
                    Err(error) => step = self.decide(|env| expect.resume(Err(error), env)),
                },
            }
        }
    }

    /// A call is answered. A call that nobody waits for any more is over; nothing happens.
    pub(super) fn answered(&self, call_id: u32, num_headers: usize, body_size: usize) {
        let Some(call) = self.calls.borrow_mut().remove(&call_id) else { return };
        let result = host::response(num_headers, body_size);
        self.report.callout_took(host::now_millis().saturating_sub(call.started));
        match call.expect {
            Expect::Document(expect) => {
                self.document(expect, result);
                self.drive();
            }
            Expect::Tokens(exchange, expect) => {
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

    fn document(&self, expect: ExpectDocument, result: CalloutResult) {
        self.decide(|env| env.providers.fetched(expect, result, env.platform, env.now, env.events));
    }

    /// Moves what is not a request's own: documents that must be fetched, and held requests whose time has come. It
    /// runs for the root, so that no client that leaves takes a fetch along.
    pub(super) fn drive(&self) {
        for fetch in self.decide(|env| env.providers.poll(env.platform, env.now)) {
            match host::dispatch(&fetch.request) {
                Ok(call_id) => {
                    let expect = Expect::Document(fetch.expect);
                    self.calls.borrow_mut().insert(call_id, Call { started: host::now_millis(), expect });
                }
                Err(error) => self.document(fetch.expect, Err(error)),
            }
        }
        self.wake();
        let pause = self.decide(|env| env.providers.next_poll(env.now));
        self.tick_every(if self.held.borrow().is_empty() { pause } else { HOLDING });
    }

    fn wake(&self) {
        let held = self.held.take();
        if held.is_empty() {
            return;
        }
        let (due, rest): (Vec<_>, Vec<_>) = self.decide(|env| {
            held.into_iter()
                .filter(|held| held.exchange.phase() == Phase::Undecided)
                .partition(|held| held.waiter.is_due(env))
        });
        self.held.replace(rest);
        if due.is_empty() {
            return;
        }
        for Held { exchange, waiter } in due {
            self.resume(&exchange, |env| waiter.resume(env));
        }
        let _ = host::act_for(self.root_id);
    }

    /// The client is gone: nothing waits for its answers any more.
    pub(super) fn forget(&self, exchange: &Rc<Exchange>) {
        // Only what is undecided waits for a call or is held: most requests have nothing to look for.
        if exchange.phase.replace(Phase::Gone) != Phase::Undecided {
            return;
        }
        let is_its = |call: &Call| matches!(&call.expect, Expect::Tokens(owner, _) if Rc::ptr_eq(owner, exchange));
        self.calls.borrow_mut().retain(|_, call| !is_its(call));
        self.held.borrow_mut().retain(|held| !Rc::ptr_eq(&held.exchange, exchange));
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
