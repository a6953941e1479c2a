//! One worker of Envoy, and the contexts through which its flows use it.
//!
//! A flow that waits is an `async fn` over a [`RequestContext`]; work that outlives its request is spawned and runs over a
//! [`TaskContext`]. Neither dispatches, answers or resumes anything: calls go into an outbox, which the host empties after
//! each poll, and their answers come back the same way. State is reached by [`TaskContext::with`] only, so that no borrow
//! lives over an `.await`.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    ops::Deref,
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use crate::{
    claims::IssuerId,
    config::Config,
    http::{
        CalloutError, CalloutRequest, CalloutResponse,
        trace_context::{TraceContext, trace_context},
    },
    oidc::client::CallContext,
    origin::{Origin, Site},
    platform::{ClientAddress, Platform},
    session::{
        Session,
        open::{FreshSession, OpenSessions},
    },
    shared::renewals::Outcomes,
    time::{Deadline, UnixTime},
};

use super::{
    body::{BodyError, BodySlot},
    clock::Clock,
    event::{Event, EventContext, failure::Failure},
    limits::{Limits, Slot, hold_from},
    memory::{
        Memory,
        bearers::Bearers,
        issuers::{Issuers, Ready},
        omissions::Omissions,
        revocations::Revocations,
        stored::CachedSessions,
        upstream_tokens::UpstreamTokens,
        verified_bearer::VerifiedBearer,
    },
};

/// The result of a call.
pub type CalloutResult = Result<CalloutResponse, CalloutError>;

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
    /// Work that begins when the host drives the worker next, with the trace of its calls.
    spawned: RefCell<Vec<(TraceContext, Spawn)>>,
    pub(super) tasks: RefCell<Vec<Task>>,
    /// The calls of the tasks that the host has not made yet.
    pub(super) outbox: Outbox,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// A boxed future of a flow or task.
pub(super) type Flow<T> = Pin<Box<dyn Future<Output = T>>>;
/// Begins a task.
pub(super) type Spawn = Box<dyn FnOnce(TaskContext) -> Task>;
/// The work of the worker itself.
pub(super) type Task = Flow<Result<(), Failure>>;
pub(super) type Outbox = Rc<RefCell<Vec<Call>>>;

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

    /// The limits.
    pub(super) const fn limits(&self) -> &Limits {
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

    pub(super) fn now(&self) -> UnixTime {
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

    pub(super) fn take_spawned(&self) -> Vec<(TraceContext, Spawn)> {
        self.spawned.take()
    }

    /// Uses the state for one synchronous decision about no request.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] inside another such decision.
    pub(super) fn with<R>(&self, decision: impl FnOnce(&mut Env<'_>) -> R) -> Result<R, Failure> {
        self.with_site(self.config.origins.home(), Some(&self.untraced), decision)
    }

    /// Uses the state for one synchronous decision about a request to this site. `trace` is that of the flow or task that decides;
    /// `None` while a request is decided at once.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] inside another such decision.
    pub(super) fn with_site<R>(
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
    pub(super) fn reconfigured(&self, config: Config, platform: Box<dyn Platform>) -> Rc<Self> {
        let mut memory = Memory::new(&config, &*platform);
        std::mem::swap(&mut memory, &mut self.memory.borrow_mut());
        let worker = Self::new(config, platform);
        worker.memory.replace(memory);
        worker.spawned.replace(self.spawned.take());
        worker
    }
}

/// The state of a worker, borrowed for one synchronous decision.
pub(super) struct Env<'a> {
    pub(super) config: &'a Config,
    /// The site of the request; without a request the home.
    pub(super) site: &'a Rc<Site>,
    trace: Option<&'a TraceContext>,
    pub(super) issuers: &'a mut Issuers,
    pub(super) sessions: &'a mut OpenSessions,
    pub(super) renewals: &'a mut Outcomes,
    pub(super) revocations: &'a mut Revocations,
    pub(super) stored: &'a mut CachedSessions,
    pub(super) bearers: &'a mut Bearers,
    pub(super) omissions: &'a mut Omissions,
    pub(super) upstream_tokens: &'a mut UpstreamTokens,
    pub(super) limits: &'a Limits,
    pub(super) platform: &'a dyn Platform,
    pub(super) clock: &'a Clock,
    pub(super) events: &'a mut Vec<Event>,
    spawned: &'a mut Vec<(TraceContext, Spawn)>,
}

impl<'a> Env<'a> {
    /// The origin of the URLs in the answer.
    pub(super) fn origin(&self) -> &'a Origin {
        self.site.origin()
    }

    /// The name of the site at which a session of this request counts; `None` for a host that is none of ours.
    pub(super) fn session_site(&self) -> Option<&'a str> {
        let name = self.site.name()?;
        Some(if self.config.session.cookies.domain().is_some() { "" } else { name })
    }

    /// The time of this decision.
    pub(super) fn now(&self) -> UnixTime {
        self.clock.now(self.platform)
    }

    /// The time, to be compared with this moment and later ones.
    pub(super) fn now_near(&self, moment: UnixTime) -> UnixTime {
        self.clock.now_near(moment, self.platform)
    }

    /// Whether this bearer token has expired.
    pub(super) fn has_expired(&self, bearer: &VerifiedBearer) -> bool {
        bearer.expires(self.config.leeway).is_some_and(|end| end <= self.now_near(end))
    }

    /// Whether this session was ended before its time.
    pub(super) fn is_ended(&mut self, session: &FreshSession) -> bool {
        let marks = || *session.revocation_keys();
        self.revocations.is_ended(session.session(), &marks, &self.config.sign_out, self.platform)
    }

    /// The context of an event about this session, in the request with this id.
    #[inline(never)]
    pub(super) fn event_context(&self, session: &Session, request_id: Option<String>) -> Box<EventContext> {
        Box::new(EventContext {
            issuer: Some(self.issuers.name(session.provider())),
            subject: Some(session.subject().to_owned()),
            session: Some(session.digest()),
            request_id,
        })
    }

    /// Begins work that outlives the request: a client that leaves must not take its result along.
    pub(super) fn spawn<F>(&mut self, begin: impl FnOnce(TaskContext) -> F + 'static)
    where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        self.spawn_boxed(Box::new(move |cx| Box::pin(begin(cx))));
    }

    #[inline(never)]
    fn spawn_boxed(&mut self, begin: Spawn) {
        let trace = self.trace.map_or_else(|| trace_of_request(self.platform), TraceContext::clone);
        self.spawned.push((trace, begin));
    }
}

/// The trace of the current request. Only while the request is decided at once: later the host has no headers, and ends the VM
/// that asks for them.
#[inline(never)]
fn trace_of_request(platform: &dyn Platform) -> TraceContext {
    trace_context(&|name| platform.request_header(name))
}

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
    /// The call.
    pub const fn request(&self) -> &CalloutRequest {
        &self.request
    }

    /// Hands its result to the flow that made it, which goes on when it is polled next.
    pub fn answer(self, result: CalloutResult) {
        self.answer.set(Some(result));
    }
}

/// The worker, for work that belongs to no request.
#[derive(Debug, Clone)]
pub(super) struct TaskContext {
    worker: Rc<Worker>,
    outbox: Outbox,
    /// The site of the request; without a request the home.
    site: Rc<Site>,
    /// The headers that its calls carry.
    trace: TraceContext,
}

impl TaskContext {
    pub(super) fn new(worker: Rc<Worker>, outbox: Outbox, trace: TraceContext) -> Self {
        Self { site: Rc::clone(worker.config().origins.home()), worker, outbox, trace }
    }

    /// The origin of the URLs in the answer.
    pub(super) fn origin(&self) -> &Origin {
        self.site.origin()
    }

    pub(super) fn config(&self) -> &Config {
        self.worker.config()
    }

    pub(super) fn now(&self) -> UnixTime {
        self.worker.now()
    }

    pub(super) fn platform(&self) -> &dyn Platform {
        &*self.worker.platform
    }

    pub(super) fn limits(&self) -> &Limits {
        self.worker.limits()
    }

    /// Time, randomness and signatures for a call.
    pub(super) fn call_context(&self) -> CallContext<'_> {
        CallContext::new(self.now(), self.platform())
    }

    /// Uses the worker's state for one synchronous decision.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] inside another such decision.
    pub(super) fn with<R>(&self, decision: impl FnOnce(&mut Env<'_>) -> R) -> Result<R, Failure> {
        self.worker.with_site(&self.site, Some(&self.trace), decision)
    }

    /// Makes a call, as part of the request's trace.
    pub(super) fn call(&self, request: CalloutRequest) -> impl Future<Output = CalloutResult> + use<> {
        let answer = self.enqueue(request);
        poll_fn(move |_| answer.take().map_or(Poll::Pending, Poll::Ready))
    }

    #[inline(never)]
    fn enqueue(&self, mut request: CalloutRequest) -> Rc<Cell<Option<CalloutResult>>> {
        request.headers.extend_from_slice(&self.trace);
        let answer = Rc::new(Cell::new(None));
        self.outbox.borrow_mut().push(Call { request, answer: Rc::clone(&answer) });
        answer
    }

    /// Makes a call, and makes it again until the deadline while Envoy does not take it: Envoy takes no request with a body
    /// for a host name that it has yet to resolve. Nothing has left then.
    pub(super) async fn call_until(&self, deadline: Deadline, request: CalloutRequest) -> CalloutResult {
        loop {
            let result = self.call(request.clone()).await;
            if !result.as_ref().is_err_and(CalloutError::was_not_sent) || deadline.has_passed(self.now()) {
                return result;
            }
            self.pause().await;
        }
    }

    /// Waits until the host drives the worker again.
    pub(super) fn pause(&self) -> impl Future<Output = ()> + use<> {
        let mut has_paused = false;
        poll_fn(move |_| if std::mem::replace(&mut has_paused, true) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Waits until `ready` gives a value, which it returns. `None` when the deadline is over.
    ///
    /// # Errors
    /// [`Failure::Unreachable`]
    pub(super) async fn until<T>(
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
    pub(super) fn sleep(&self, deadline: Deadline) -> impl Future<Output = ()> + use<> {
        let worker = Rc::clone(&self.worker);
        poll_fn(move |_| if deadline.has_passed(worker.now()) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// A slot in which a request with an unverified token may wait; `None` if none is free for its address.
    pub(super) fn take_unauthenticated_slot(&self) -> Option<Slot> {
        self.limits().unauthenticated.take(ClientAddress::of(self.platform().client_address()), 0)
    }

    /// The provider, where enough is known of it for a sign-in.
    ///
    /// # Errors
    /// [`Failure::ProviderNotReady`]
    pub(super) fn ready(&self, provider: IssuerId) -> Result<Ready, Failure> {
        self.with(|env| env.issuers.ready(provider, env.now()))?.ok_or(Failure::ProviderNotReady)
    }
}

/// The worker and the body of one request, for its flow.
#[derive(Debug, Clone)]
pub(super) struct RequestContext {
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
    pub(super) fn new(worker: &Rc<Worker>, site: Rc<Site>) -> Self {
        let trace = trace_of_request(&*worker.platform);
        let task = TaskContext { worker: Rc::clone(worker), outbox: Outbox::default(), site, trace };
        Self { task, body: Rc::default() }
    }

    pub(super) fn take_calls(&self) -> Vec<Call> {
        self.task.outbox.take()
    }

    pub(super) fn body_slot(&self) -> &BodySlot {
        &self.body
    }

    /// Waits until the metadata and keys of this provider are known, up to `MAX_HOLD`.
    ///
    /// # Errors
    /// [`Failure::ProviderNotReady`]; also where this worker holds as many requests as it may.
    pub(super) async fn provider(&self, provider: IssuerId) -> Result<Ready, Failure> {
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
    pub(super) async fn body(&self) -> Result<Vec<u8>, BodyError> {
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
