//! One worker of Envoy, and its state, borrowed for one decision.

use std::{cell::RefCell, fmt, future::Future, pin::Pin, rc::Rc};

use crate::{
    config::Config,
    http::trace_context::{TraceContext, trace_context},
    origin::{Origin, Site, SiteId},
    platform::Platform,
    session::{
        Session,
        open::{FreshSession, OpenSessions},
    },
    shared::renewals::Outcomes,
    time::UnixTime,
};

use super::{
    super::{
        clock::Clock,
        event::{Event, EventContext, failure::Failure},
        limits::Limits,
        memory::{
            Memory, bearers::Bearers, issuers::Issuers, omissions::Omissions, revocations::Revocations,
            stored::CachedSessions, upstream_tokens::UpstreamTokens, verified_bearer::VerifiedBearer,
        },
    },
    call::Outbox,
};

/// One worker of Envoy: its configuration, the host it runs on, and what it keeps between decisions.
pub struct Worker {
    config: Config,
    platform: Box<dyn Platform>,
    memory: RefCell<Memory>,
    limits: Limits,
    clock: Clock,
    /// The empty trace: that of work for no request.
    untraced: TraceContext,
    /// Empty between decisions; kept so that a request need not allocate it.
    events: RefCell<Vec<Event>>,
    /// Work that begins when the host drives the worker next.
    spawned: RefCell<Vec<Spawned>>,
    /// Tasks that wait.
    pub(in crate::flow) tasks: RefCell<Vec<Task>>,
    /// The calls of the tasks that the host has not made yet.
    pub(in crate::flow) outbox: Outbox,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// A boxed future of a flow or task.
pub(in crate::flow) type Flow<T> = Pin<Box<dyn Future<Output = T>>>;
/// The work of the worker itself.
pub(in crate::flow) type Task = Flow<Result<(), Failure>>;
/// Begins a task.
pub(super) type Begin = Box<dyn FnOnce(TaskContext) -> Task>;

/// A task that has yet to begin.
pub(in crate::flow) struct Spawned {
    trace: TraceContext,
    begin: Begin,
}

impl Spawned {
    /// Begins the task.
    pub(in crate::flow) fn begin(self, worker: &Rc<Worker>) -> Task {
        (self.begin)(TaskContext {
            worker: Rc::clone(worker),
            outbox: Rc::clone(&worker.outbox),
            site: Rc::clone(worker.config.origins.home()),
            trace: self.trace,
        })
    }
}

/// The worker, for work that belongs to no request.
#[derive(Debug, Clone)]
pub(in crate::flow) struct TaskContext {
    pub(super) worker: Rc<Worker>,
    pub(super) outbox: Outbox,
    /// The site of the request; without a request the home.
    pub(super) site: Rc<Site>,
    /// The headers that its calls carry.
    pub(super) trace: TraceContext,
}

impl Worker {
    /// A worker that knows nothing yet.
    pub fn new(config: Config, platform: Box<dyn Platform>) -> Rc<Self> {
        let memory = Memory::new(&config, &*platform);
        Rc::new(Self {
            config,
            platform,
            memory: RefCell::new(memory),
            limits: Limits::default(),
            clock: Clock::default(),
            untraced: TraceContext::default(),
            events: RefCell::default(),
            spawned: RefCell::default(),
            tasks: RefCell::default(),
            outbox: Outbox::default(),
        })
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The host.
    pub(super) fn platform(&self) -> &dyn Platform {
        &*self.platform
    }

    /// The limits.
    pub(in crate::flow) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Another decision begins. The platform is asked for its time where that matters.
    pub fn begin_decision(&self) {
        self.clock.forget();
    }

    /// Sets the time of the decision that begins.
    pub fn set_time(&self, now: UnixTime) {
        self.clock.set(now);
    }

    pub(in crate::flow) fn now(&self) -> UnixTime {
        self.clock.now(&*self.platform)
    }

    /// Calls `with` for each event since the last time.
    pub fn take_events(&self, mut with: impl FnMut(Event)) {
        if let Ok(mut events) = self.events.try_borrow_mut() {
            events.drain(..).for_each(&mut with);
        }
    }

    /// Whether spawned work waits to begin.
    pub fn has_spawned(&self) -> bool {
        self.spawned.try_borrow().is_ok_and(|spawned| !spawned.is_empty())
    }

    /// Drops the tasks: each holds the worker, which could never be freed with one that waits.
    pub fn drop_tasks(&self) {
        drop((self.take_spawned(), self.tasks.take(), self.outbox.take()));
    }

    pub(in crate::flow) fn take_spawned(&self) -> Vec<Spawned> {
        self.spawned.take()
    }

    /// Uses the state for one synchronous decision about no request.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] inside another such decision.
    pub(in crate::flow) fn with<R>(&self, decision: impl FnOnce(&mut Env<'_>) -> R) -> Result<R, Failure> {
        self.with_site(self.config.origins.home(), Some(&self.untraced), decision)
    }

    /// Uses the state for one synchronous decision about a request to this site. `trace` is that of the flow or task that decides;
    /// `None` while a request is decided at once.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] inside another such decision.
    pub(in crate::flow) fn with_site<R>(
        &self,
        site: &Rc<Site>,
        trace: Option<&TraceContext>,
        decision: impl FnOnce(&mut Env<'_>) -> R,
    ) -> Result<R, Failure> {
        let (Ok(mut memory), Ok(mut events), Ok(mut spawned)) =
            (self.memory.try_borrow_mut(), self.events.try_borrow_mut(), self.spawned.try_borrow_mut())
        else {
            return Err(Failure::Unreachable("a decision began inside another one"));
        };
        let Memory { issuers, sessions, renewals, revocations, stored, bearers, omissions, upstream_tokens } =
            &mut *memory;
        Ok(decision(&mut Env {
            config: &self.config,
            site,
            trace,
            issuers,
            sessions,
            renewals,
            revocations,
            stored,
            bearers,
            omissions,
            upstream_tokens,
            limits: &self.limits,
            platform: &*self.platform,
            clock: &self.clock,
            events: &mut events,
            spawned: &mut spawned,
        }))
    }
}

#[cfg(test)]
impl Worker {
    /// A worker with another configuration, and with what this one keeps.
    pub(in crate::flow) fn reconfigured(&self, config: Config, platform: Box<dyn Platform>) -> Rc<Self> {
        let mut memory = Memory::new(&config, &*platform);
        std::mem::swap(&mut memory, &mut self.memory.borrow_mut());
        let worker = Self::new(config, platform);
        worker.memory.replace(memory);
        worker.spawned.replace(self.spawned.take());
        worker
    }
}

/// The state of a worker, borrowed for one synchronous decision.
pub(in crate::flow) struct Env<'a> {
    pub(in crate::flow) config: &'a Config,
    /// The site of the request; without a request the home.
    pub(in crate::flow) site: &'a Rc<Site>,
    trace: Option<&'a TraceContext>,
    pub(in crate::flow) issuers: &'a mut Issuers,
    pub(in crate::flow) sessions: &'a mut OpenSessions,
    pub(in crate::flow) renewals: &'a mut Outcomes,
    pub(in crate::flow) revocations: &'a mut Revocations,
    pub(in crate::flow) stored: &'a mut CachedSessions,
    pub(in crate::flow) bearers: &'a mut Bearers,
    pub(in crate::flow) omissions: &'a mut Omissions,
    pub(in crate::flow) upstream_tokens: &'a mut UpstreamTokens,
    pub(in crate::flow) limits: &'a Limits,
    pub(in crate::flow) platform: &'a dyn Platform,
    pub(in crate::flow) clock: &'a Clock,
    pub(in crate::flow) events: &'a mut Vec<Event>,
    spawned: &'a mut Vec<Spawned>,
}

impl<'a> Env<'a> {
    /// The origin of the URLs in the answer.
    pub(in crate::flow) fn origin(&self) -> &'a Origin {
        self.site.origin()
    }

    /// The site at which a session of this request counts; `None` for a host that is none of ours.
    pub(in crate::flow) fn session_site(&self) -> Option<&'a SiteId> {
        let id = self.site.id()?;
        Some(if self.config.session.cookies.domain().is_some() { SiteId::HOME } else { id })
    }

    /// The time of this decision.
    pub(in crate::flow) fn now(&self) -> UnixTime {
        self.clock.now(self.platform)
    }

    /// The time, to be compared with this moment and later ones.
    pub(in crate::flow) fn now_near(&self, moment: UnixTime) -> UnixTime {
        self.clock.now_near(moment, self.platform)
    }

    /// Whether this bearer token has expired.
    pub(in crate::flow) fn has_expired(&self, bearer: &VerifiedBearer) -> bool {
        bearer.expires(self.config.leeway).is_some_and(|end| end <= self.now_near(end))
    }

    /// Whether this session was ended before its time.
    pub(in crate::flow) fn is_ended(&mut self, session: &FreshSession) -> bool {
        let marks = || *session.revocation_keys();
        self.revocations.is_ended(session.session(), &marks, &self.config.sign_out, self.platform)
    }

    /// The context of an event about this session, in the request with this id.
    #[inline(never)]
    pub(in crate::flow) fn event_context(&self, session: &Session, request_id: Option<String>) -> Box<EventContext> {
        Box::new(EventContext {
            issuer: Some(self.issuers.name(session.provider())),
            subject: Some(session.subject().to_owned()),
            session: Some(session.digest()),
            request_id,
        })
    }

    /// Begins work that outlives the request ([`Env::spawn`]).
    #[inline(never)]
    pub(super) fn spawn_boxed(&mut self, begin: Begin) {
        let trace = self.trace.map_or_else(|| trace_of_request(self.platform), TraceContext::clone);
        self.spawned.push(Spawned { trace, begin });
    }
}

/// The trace of the current request. Only while the request is decided at once: later the host has no headers, and ends the VM
/// that asks for them.
#[inline(never)]
pub(super) fn trace_of_request(platform: &dyn Platform) -> TraceContext {
    trace_context(&|name| platform.request_header(name))
}
