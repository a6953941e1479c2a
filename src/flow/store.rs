//! Sessions in a store (`session.store`): a request that brings a reference waits for the session it refers to, and is
//! decided with that. Where the store does not answer nobody is let in and nobody is sent to sign in: 503, until it does.

use std::{collections::HashMap, time::Duration};

use crate::{
    claims::IssuerId,
    digest::HalfDigest,
    http::{CalloutRequest, LocalReply, Request},
    secret::RefreshToken,
    session::{
        Session,
        open::FreshSession,
        store::{Order, Reference, SavedAgain, Store, StoreError},
    },
    shared::denylist::Entry,
    time::UnixTime,
};

use super::{
    CalloutResult, Env, Expect, Step,
    caller::Caller,
    event::Event,
    failure::Failure,
    logout::{self, Ending},
    reply::{self, Offer},
    request,
    revocation::Revocation,
    sign_out::Goodbye,
};

/// How many sessions a worker remembers, where it may at all.
const REMEMBERED: usize = 512;

/// How soon it is tried again to write what the store did not take.
const PAUSE: Duration = Duration::from_secs(5);
/// And for how long. By then the others have found the session as it was before.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much is tried again at a time.
const MAX_FAILED: usize = 256;

/// Something that is written into the store without anybody waiting for it.
#[derive(Debug, Clone)]
pub struct Write {
    /// The call.
    pub(super) request: CalloutRequest,
    /// Until when it is tried again.
    until: UnixTime,
    is_again: bool,
    then: Then,
}

/// What a write leads to.
#[derive(Debug, Clone)]
enum Then {
    /// An end that the provider has asked for by this token counts everywhere.
    Heard(Option<Entry>),
    /// Where the session is gone, so is the use of its refresh token.
    Revoke(IssuerId, Option<RefreshToken>),
}

impl Write {
    fn new(request: CalloutRequest, then: Then, now: UnixTime) -> Self {
        Self { request, until: now.plus(PATIENCE), is_again: false, then }
    }

    /// It was done, or not. Without it others go on with what is over: with a refresh token that is used up, or a
    /// session that has ended.
    pub(super) fn settle(self, result: CalloutResult, env: &mut Env<'_>) {
        let error = match self.then.done(result) {
            Ok(is_gone) => return self.then.follow(is_gone, env),
            Err(error) => error,
        };
        let is_left = self.until.is_over(PATIENCE, env.now) || env.store.failed.len() >= MAX_FAILED;
        if is_left || !self.is_again {
            env.events.push(Event::NotStored(error));
        }
        if !is_left {
            env.store.failed.push((env.now.plus(PAUSE), Self { is_again: true, ..self }));
        }
    }
}

impl Then {
    /// Whether it was done, and the session is gone.
    fn done(&self, result: CalloutResult) -> Result<bool, StoreError> {
        match self {
            Self::Heard(_) => Store::ended(result).map(|()| false),
            Self::Revoke(..) => Store::saved_again(result).map(|saved| saved == SavedAgain::Gone),
        }
    }

    fn follow(self, is_gone: bool, env: &mut Env<'_>) {
        match self {
            Self::Heard(heard) => logout::remember(heard, env),
            Self::Revoke(provider, token) if is_gone => env.renewals.revoke(provider, token),
            Self::Revoke(..) => {}
        }
    }
}

/// What a worker knows of the store.
#[derive(Debug, Default)]
pub struct StoreState {
    remembered: HashMap<HalfDigest, (FreshSession, UnixTime)>,
    /// What is written without anybody waiting for it.
    writes: Vec<Write>,
    /// What the store did not take, to be written once more at its time.
    failed: Vec<(UnixTime, Write)>,
}

impl StoreState {
    /// Forgets what is remembered of this session.
    pub(super) fn forget(&mut self, session: &Session) {
        self.remembered.remove(&session.digest());
    }

    /// Whether something is to be written.
    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// What is to be written now.
    pub(super) fn take_writes(&mut self, now: UnixTime) -> Vec<Write> {
        // What is to be written again goes first, and so keeps its place where there is room for so many only.
        let mut writes = Vec::new();
        for (at, write) in std::mem::take(&mut self.failed) {
            if at <= now || at > now.plus(PAUSE) { writes.push(write) } else { self.failed.push((at, write)) }
        }
        writes.append(&mut self.writes);
        writes
    }
}

/// What the store said of the session of the request that is being decided.
#[derive(Debug, Default)]
pub enum Loaded {
    /// Nobody has asked.
    #[default]
    NotAsked,
    /// There is none.
    Nothing,
    /// This one.
    Session(FreshSession),
}

/// Sees to it that the session of a request is loaded before it is decided. `Err` gives the request back: it is.
pub(super) fn load(request: Request, env: &mut Env<'_>) -> Result<Step, Request> {
    let settings = &env.config.session;
    let Some(store) = settings.store.as_ref().filter(|_| matches!(env.loaded, Loaded::NotAsked)) else {
        return Err(request);
    };
    let Some(reference) = Reference::read(&request, &settings.cookies, &settings.sealer, env.now) else {
        env.loaded = Loaded::Nothing;
        return Err(request);
    };
    let remembered = env.store.remembered.get(reference.mark());
    if let Some((session, until)) = remembered
        && env.now < *until
        && *until <= env.now.plus(store.cache)
    {
        env.loaded = Loaded::Session(session.clone());
        return Err(request);
    }
    let call = store.load(&reference);
    Ok(Step::Call { request: call, expect: Expect::Stored(Box::new(ExpectStored { request, reference })) })
}

/// The session of the request, as the store has it.
pub(super) fn session(env: &Env<'_>) -> Option<FreshSession> {
    match &env.loaded {
        Loaded::Session(session) => Some(session.clone()),
        Loaded::Nothing | Loaded::NotAsked => None,
    }
}

/// A request waits for its session.
#[derive(Debug)]
pub struct ExpectStored {
    request: Request,
    reference: Reference,
}

impl ExpectStored {
    /// Decides the request with its session.
    pub(super) fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        let settings = &env.config.session;
        match Store::loaded(result, &self.reference, &settings.sealer, env.platform) {
            Ok(session) => {
                let fresh = session.and_then(|session| {
                    FreshSession::stored(session, self.reference.is_of_old_key, &settings.lifetimes, env.now)
                });
                if let (Some(fresh), Some(store)) =
                    (&fresh, settings.store.as_ref().filter(|store| !store.cache.is_zero()))
                {
                    if env.store.remembered.len() >= REMEMBERED {
                        env.store.remembered.clear();
                    }
                    let until = env.now.plus(store.cache);
                    env.store.remembered.insert(*self.reference.mark(), (fresh.clone(), until));
                }
                env.loaded = fresh.map_or(Loaded::Nothing, Loaded::Session);
                request::start(self.request, env)
            }
            Err(error) => unavailable(error, &Caller::of(&self.request), Offer::default(), env),
        }
    }
}

fn unavailable(error: StoreError, caller: &Caller, offer: Offer, env: &mut Env<'_>) -> Step {
    reply::refuse(Failure::Store(error), caller, offer, env)
}

/// A new session waits to be saved until it is known what it begins after.
#[derive(Debug)]
pub struct ExpectLastEnd {
    session: Session,
    saving: Saving,
}

/// Saves a new session, then goes on.
pub(super) fn save_then(store: &Store, session: Session, saving: Saving) -> Step {
    let request = store.load(&Reference::of(&session));
    Step::Call { request, expect: Expect::LastEnd(Box::new(ExpectLastEnd { session, saving })) }
}

impl ExpectLastEnd {
    /// Saves it, as one that has begun after what another process has ended.
    pub(super) fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        let Self { mut session, saving } = self;
        match Store::last_ends(result) {
            Ok(ends) => session.begin_after_stored(ends),
            Err(error) => return unavailable(error, &saving.caller, saving.offer, env),
        }
        let settings = &env.config.session;
        let life = session.ends(&settings.lifetimes).since(env.now);
        let Some(store) = &settings.store else { return saving.go_on(env) };
        match store.save(&session, life, &settings.sealer, env.platform) {
            Ok(request) => Step::Call { request, expect: Expect::Saved(Box::new(saving)) },
            Err(error) => reply::refuse(error.into(), &saving.caller, saving.offer, env),
        }
    }
}

/// Writes a session without anybody waiting for it; what is lost is written again with the next request.
pub(super) fn save_soon(session: &Session, env: &mut Env<'_>) {
    let settings = &env.config.session;
    let Some(store) = &settings.store else { return };
    let life = session.ends(&settings.lifetimes).since(env.now);
    match store.save_again(session, life, &settings.sealer, env.platform) {
        Ok(request) => {
            env.store.forget(session);
            let then = Then::Revoke(session.provider(), session.refresh_token().cloned());
            env.store.writes.push(Write::new(request, then, env.now));
        }
        Err(error) => env.events.push(Event::NotWritten(error)),
    }
}

/// Writes down that sessions are over, without anybody waiting for it.
/// The token that asked for it counts as heard once it is done.
pub(super) fn end_soon(revocation: &Revocation, heard: Option<Entry>, env: &mut Env<'_>) {
    env.store.remembered.clear();
    let Some(store) = &env.config.session.store else { return };
    let end = store.end(&revocation.mark, revocation.until.since(env.now), env.now, Order::Repeated);
    env.store.writes.push(Write::new(end, Then::Heard(heard), env.now));
}

/// Forgets what this worker remembers of a session that is over.
pub(super) fn forget(env: &mut Env<'_>) {
    env.store.remembered.clear();
}

/// The store is being told something that must be there before the answer.
#[derive(Debug)]
pub struct Saving {
    /// Whom to answer.
    pub(super) caller: Caller,
    /// What to offer where it fails.
    pub(super) offer: Offer,
    /// What then.
    pub(super) next: Next,
    /// Which command it is.
    pub(super) command: Command,
}

/// What comes after the store has done it.
#[derive(Debug)]
pub(super) enum Next {
    /// The rest of what the provider ended.
    Ended(Box<Ending>),
    /// This answer.
    Reply(LocalReply),
    /// The rest of a sign-out.
    SignOut(Box<Goodbye>),
}

/// What the store was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// [`Store::forget`]
    Forget,
    /// [`Store::end`]
    End,
    /// [`Store::save`]
    Save,
}

impl Command {
    fn done(self, result: CalloutResult) -> Result<(), StoreError> {
        match self {
            Self::Forget => Store::forgotten(result),
            Self::End => Store::ended(result),
            Self::Save => Store::done(result),
        }
    }
}

impl Saving {
    /// It is done, or not.
    pub(super) fn resume(self, result: CalloutResult, env: &mut Env<'_>) -> Step {
        match self.command.done(result) {
            Ok(()) => self.go_on(env),
            Err(error) => unavailable(error, &self.caller, self.offer, env),
        }
    }

    fn go_on(self, env: &mut Env<'_>) -> Step {
        match self.next {
            Next::Ended(ending) => ending.go_on(env),
            Next::Reply(reply) => Step::Reply(reply),
            Next::SignOut(goodbye) => goodbye.leave(env),
        }
    }
}
