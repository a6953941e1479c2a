//! Sessions kept outside the browser: in Redis, behind an HTTP gateway (Webdis). The cookie then holds a sealed
//! reference; what Redis holds is sealed as well, under the reference it was saved for, so that whoever can write
//! there can end sessions, take an end back or put an older state of one back, but neither read, make nor swap them.
//!
//! Each function is one request of the gateway, beside it the reader of its answer. Commands go in the path, where
//! everything that we put is a letter, a digit or one of `-_:`: the gateway would take what follows a dot for a
//! format. A value goes in the body, and so does a script with all that belongs to it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    SealError, Session, SessionId,
    chunks::SessionCookies,
    cookie::set_cookie,
    open::Marks,
    seal::{Purpose, Sealer},
};
use crate::{
    digest::HalfDigest,
    http::{CalloutError, CalloutRequest, CalloutResponse, Cluster, MAX_CALLOUT_BODY, Request, status_of},
    jose::json,
    platform::Platform,
    secret::StoreCredentials,
    time::UnixTime,
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

/// The largest sealed session that is saved: what fits into the largest answer that is read, beside its frame.
const MAX_SAVED: usize = MAX_CALLOUT_BODY - 1024;

/// What Redis runs to save a session again: over one that was renewed as often at most, and was not seen since. 0 says
/// that there is none any more.
const SAVE_AGAIN: &str = "local old = redis.call('GET', KEYS[1]) \
    if not old then return 0 end \
    local renewed, seen = string.match(old, '^(%d+)%.(%d+):') \
    local by, at = tonumber(renewed or '0') - tonumber(ARGV[1]), tonumber(seen or '0') - tonumber(ARGV[2]) \
    if by > 0 or by == 0 and at > 0 then return false end \
    return redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])";

/// The script by which Redis remembers an end: of two of the same mark, the later one, for as long as either is remembered.
/// With `ARGV[3] = 1` it is later than every end before it, whatever the clocks say.
const END: &str = "local old = tonumber(redis.call('GET', KEYS[1]) or '0') or 0 \
    local at = math.max(old + tonumber(ARGV[3]), tonumber(ARGV[1])) \
    local life = math.max(redis.call('TTL', KEYS[1]), tonumber(ARGV[2])) \
    return redis.call('SET', KEYS[1], string.format('%d', at), 'EX', life)";

/// A store, and how it is reached.
#[derive(Debug, Clone)]
pub struct Store {
    /// The Envoy cluster of the gateway.
    pub cluster: Cluster,
    /// The `:authority` of the requests.
    pub authority: String,
    /// The value of `Authorization`, where the gateway wants one.
    pub credentials: Option<StoreCredentials>,
    /// What our keys begin with.
    pub prefix: String,
    /// How long a call may take.
    pub timeout: Duration,
    /// How long a worker may go on with what it has read.
    pub cache: Duration,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// An answer that is not the gateway's.
    #[error("the gateway's answer is malformed; is it Webdis?")]
    Malformed,
    /// Redis did not do it.
    #[error("Redis did not take the command; is it full, a read-only replica, or does it want a password from Webdis?")]
    Refused,
    /// Another status than 200.
    #[error("{}", status(*.0))]
    Status(u16),
}

// Webdis answers 403 where its list of users or of commands says so, and 503 where it has no Redis.
fn status(status: u16) -> String {
    match status {
        401 | 403 => format!("the gateway answered {status}; its acl must allow MGET, SET, SETEX, EVAL and DEL"),
        503 => "the gateway has no Redis, or Envoy could not reach it; check the cluster's address".to_owned(),
        other => status_of("the gateway", other),
    }
}

/// The place of an end among those of the same mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It may be written more than once: a repetition ends no further session.
    Repeated = 0,
    /// It comes after all that were written before.
    Last = 1,
}

/// What came of saving a session again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedAgain {
    /// It is saved.
    Done,
    /// There is none any more: it has ended.
    Gone,
    /// There is a newer one.
    Newer,
}

/// What the cookie says, once opened: which session, and by which marks it can be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    id: SessionId,
    marks: Marks,
    ends: UnixTime,
    /// Whether another key than the first sealed it.
    pub is_of_old_key: bool,
}

impl Reference {
    /// The reference to this session.
    pub fn of(session: &Session) -> Self {
        Self { id: session.id, marks: Marks::of(session), ends: session.ends, is_of_old_key: false }
    }

    /// What the request brought, if we sealed it and its time is not over.
    pub fn read(request: &Request, cookies: &SessionCookies, sealer: &Sealer, now: UnixTime) -> Option<Self> {
        let brought = cookies.read(request)?;
        let bytes = sealer.open(Purpose::Reference, cookies.name(), &brought.text)?;
        let [id, subject, sid, ends] = wire::read(&bytes)?;
        let id = SessionId(id.bytes()?.try_into().ok()?);
        let subject = subject.bytes()?.try_into().ok()?;
        let sid = match sid.bytes()? {
            [] => Marks::of_nameless(&subject),
            sid => sid.try_into().ok()?,
        };
        let marks = Marks { session: id.digest(), subject, sid };
        let ends = UnixTime::from_secs(ends.number()?);
        let is_of_old_key = sealer.is_of_old_key(&brought.text);
        (now < ends).then_some(Self { id, marks, ends, is_of_old_key })
    }

    /// By what the session is known here and in the store.
    pub const fn mark(&self) -> &HalfDigest {
        &self.marks.session
    }

    /// The cookie that refers to this session.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn cookie(
        session: &Session,
        cookies: &SessionCookies,
        sealer: &Sealer,
        now: UnixTime,
        platform: &dyn Platform,
    ) -> Result<String, SealError> {
        let marks = Marks::of(session);
        let ends = Number(session.ends.as_secs());
        let bytes = wire::write(&[Bytes(&session.id.0), Bytes(&marks.subject), Bytes(&marks.sid), ends]);
        let text = sealer.seal(Purpose::Reference, cookies.name(), &bytes, platform)?;
        Ok(set_cookie(cookies.name(), &text, session.ends.since(now)))
    }
}

impl Store {
    /// Asks for a session, and for what may have ended it.
    pub fn load(&self, reference: &Reference) -> CalloutRequest {
        let Marks { session, subject, sid } = &reference.marks;
        let [ended, of_subject, of_sid] = [session, subject, sid].map(|mark| self.mark(mark));
        self.get(format!("/MGET/{}/{ended}/{of_subject}/{of_sid}", self.key(session)))
    }

    /// The session, if it is there and nothing has ended it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn loaded(
        response: Result<CalloutResponse, CalloutError>,
        reference: &Reference,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<Option<Session>, StoreError> {
        let answer = answer(response, "MGET")?;
        let Value::Array(values) = answer else { return Err(StoreError::Malformed) };
        // What is missing at the end could be what has ended it.
        let [session, ended, marks @ ..] = values.as_slice() else { return Err(StoreError::Malformed) };
        if *session == Value::Bool(false) {
            return Err(StoreError::Refused);
        }
        // What does not open was put there by somebody else: as if it were not there.
        let opened = session.as_str().and_then(|text| {
            let (_, sealed) = text.split_once(':')?;
            let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
            let bytes = sealer.open_bytes(Purpose::StoredSession, &label(reference.id), &sealed)?;
            Session::from_bytes(&bytes, platform)
        });
        let [subject, sid] = marks else { return Err(StoreError::Malformed) };
        // In doubt it has.
        let at = |mark: &Value| (!mark.is_null()).then(|| moment(mark).unwrap_or(UnixTime::from_secs(u64::MAX)));
        let has_ended = |session: &Session| !ended.is_null() || session.is_ended_in_store([at(subject), at(sid)]);
        Ok(opened.filter(|session| session.id == reference.id && !has_ended(session)))
    }

    /// When sessions of this reference's subject, and of its session at the provider, were last ended; zero where they
    /// were not.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn last_ends(response: Result<CalloutResponse, CalloutError>) -> Result<[UnixTime; 2], StoreError> {
        let Value::Array(values) = answer(response, "MGET")? else { return Err(StoreError::Malformed) };
        let [_, _, subject, sid] = values.as_slice() else { return Err(StoreError::Malformed) };
        Ok([subject, sid].map(|mark| moment(mark).unwrap_or_default()))
    }

    /// Saves a session until this end.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn save(
        &self,
        session: &Session,
        life: Duration,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<CalloutRequest, SealError> {
        Ok(self.set(&self.key(&session.digest()), life, value(session, sealer, platform)?))
    }

    /// Saves a session again, if it is still there: one that was ended meanwhile must not come back; nor may what comes
    /// late put back one from before a renewal, whose refresh token is used up.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn save_again(
        &self,
        session: &Session,
        life: Duration,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<CalloutRequest, SealError> {
        let (key, value) = (self.key(&session.digest()), value(session, sealer, platform)?);
        let (generation, seen, life) = (session.generation, session.seen.as_secs(), life.as_secs().max(1));
        Ok(self.eval(SAVE_AGAIN, format!("{key}/{generation}/{seen}/{value}/{life}")))
    }

    /// What came of a [`Self::save_again`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn saved_again(response: Result<CalloutResponse, CalloutError>) -> Result<SavedAgain, StoreError> {
        let answer = answer(response, "EVAL")?;
        if answer == 0 {
            return Ok(SavedAgain::Gone);
        }
        is_done(&answer).map(|is_done| if is_done { SavedAgain::Done } else { SavedAgain::Newer })
    }

    /// Remembers for this long that every session with this mark which has begun by now is over.
    pub fn end(&self, mark: &HalfDigest, life: Duration, now: UnixTime, order: Order) -> CalloutRequest {
        let (life, step) = (life.as_secs().max(1), order as u8);
        self.eval(END, format!("{}/{}/{life}/{step}", self.mark(mark), now.as_secs()))
    }

    /// Whether an [`Self::end`] was done.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn ended(response: Result<CalloutResponse, CalloutError>) -> Result<(), StoreError> {
        if is_done(&answer(response, "EVAL")?)? { Ok(()) } else { Err(StoreError::Refused) }
    }

    /// Whether a [`Self::save`] was done.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn done(response: Result<CalloutResponse, CalloutError>) -> Result<(), StoreError> {
        match answer(response, "SETEX")? {
            Value::Array(said) if said.first() == Some(&Value::Bool(true)) => Ok(()),
            _ => Err(StoreError::Refused),
        }
    }

    /// Forgets a session.
    pub fn forget(&self, session: &HalfDigest) -> CalloutRequest {
        self.get(format!("/DEL/{}", self.key(session)))
    }

    /// Whether a session is forgotten, whether or not it was there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn forgotten(response: Result<CalloutResponse, CalloutError>) -> Result<(), StoreError> {
        answer(response, "DEL")?.as_u64().map(drop).ok_or(StoreError::Refused)
    }

    /// Takes the right to renew a session, for all processes.
    pub fn lease(&self, grant: &HalfDigest, life: Duration) -> CalloutRequest {
        let life = life.as_secs().max(1);
        self.get(format!("/SET/{}l:{}/1/NX/EX/{life}", self.prefix, URL_SAFE_NO_PAD.encode(grant)))
    }

    /// Whether nobody else had it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn leased(response: Result<CalloutResponse, CalloutError>) -> Result<bool, StoreError> {
        is_done(&answer(response, "SET")?)
    }

    // Not the id itself: who can read Redis learns no more than that there is a session.
    fn key(&self, session: &HalfDigest) -> String {
        format!("{}s:{}", self.prefix, URL_SAFE_NO_PAD.encode(session))
    }

    fn mark(&self, mark: &HalfDigest) -> String {
        format!("{}e:{}", self.prefix, URL_SAFE_NO_PAD.encode(mark))
    }

    fn get(&self, path: String) -> CalloutRequest {
        self.request("GET", path, Vec::new())
    }

    fn set(&self, key: &str, life: Duration, value: String) -> CalloutRequest {
        self.request("PUT", format!("/SETEX/{key}/{}", life.as_secs().max(1)), value.into_bytes())
    }

    /// A script with one key.
    fn eval(&self, script: &str, key_and_arguments: String) -> CalloutRequest {
        let script = utf8_percent_encode(script, NON_ALPHANUMERIC);
        self.request("POST", "/".to_owned(), format!("EVAL/{script}/1/{key_and_arguments}").into_bytes())
    }

    fn request(&self, method: &'static str, path: String, body: Vec<u8>) -> CalloutRequest {
        let credentials = self.credentials.as_ref();
        CalloutRequest {
            cluster: self.cluster.clone(),
            method,
            authority: self.authority.clone(),
            path,
            headers: credentials.map(|said| ("authorization", said.expose().to_owned())).into_iter().collect(),
            body,
            timeout: self.timeout,
        }
    }
}

/// The session sealed, and before it how often it was renewed and when it was seen, for [`SAVE_AGAIN`].
fn value(session: &Session, sealer: &Sealer, platform: &dyn Platform) -> Result<String, SealError> {
    let sealed =
        sealer.seal_bytes(Purpose::StoredSession, &label(session.id), &session.to_bytes(platform), platform)?;
    let value = format!("{}.{}:{}", session.generation, session.seen.as_secs(), URL_SAFE_NO_PAD.encode(sealed));
    if value.len() > MAX_SAVED {
        return Err(SealError::TooLarge { size: value.len(), budget: MAX_SAVED });
    }
    Ok(value)
}

fn label(id: SessionId) -> String {
    URL_SAFE_NO_PAD.encode(id.0)
}

/// The moment that a mark names.
fn moment(mark: &Value) -> Option<UnixTime> {
    mark.as_str()?.parse().ok().map(UnixTime::from_secs)
}

/// Whether a command with a condition was done; null says that the condition did not hold.
fn is_done(answer: &Value) -> Result<bool, StoreError> {
    match answer {
        Value::Null => Ok(false),
        Value::Array(said) if said.first() == Some(&Value::Bool(true)) => Ok(true),
        _ => Err(StoreError::Refused),
    }
}

/// `{"COMMAND": answer}`
fn answer(response: Result<CalloutResponse, CalloutError>, command: &str) -> Result<Value, StoreError> {
    let response = response?;
    if response.status != 200 {
        return Err(StoreError::Status(response.status));
    }
    let body = json::parse_object(&response.body, MAX_CALLOUT_BODY).map_err(|_| StoreError::Malformed)?;
    // Not removed from it, with 4 KB of code that nothing else needs.
    body.into_iter().find_map(|(name, answer)| (name == command).then_some(answer)).ok_or(StoreError::Malformed)
}
