//! Sessions in Redis, behind an HTTP gateway (Webdis). The cookie then holds a sealed reference. The stored session is
//! sealed as well, bound to its reference. An attacker who can write to Redis can end sessions, undo an end or restore
//! an older state of a session, but cannot read, forge or swap sessions.
//!
//! Each request to the gateway has a reader of its answer. Commands go in the path, in which all our text consists of
//! letters, digits and `-_:`, because the gateway takes a dot for the beginning of a format. Values and scripts go in
//! the body.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    SealError, Session, SessionId,
    chunks::SessionCookies,
    open::RevocationKeys,
    seal::{Purpose, Sealer},
};
use crate::{
    digest::HalfDigest,
    http::{CalloutError, CalloutRequest, CalloutResponse, Cluster, MAX_CALLOUT_BODY, Request, describe_status},
    jose::json,
    platform::Platform,
    secret::StoreCredentials,
    time::UnixTime,
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

/// The largest sealed session that is saved, in bytes: it must fit into the largest answer, with its frame.
const MAX_SAVED: usize = MAX_CALLOUT_BODY - 1024;

/// The script that updates a session, unless the stored one has more refreshes, or as many and a later use. 0 means
/// that the session no longer exists.
const UPDATE: &str = "local old = redis.call('GET', KEYS[1]) \
    if not old then return 0 end \
    local renewed, seen = string.match(old, '^(%d+)%.(%d+):') \
    local by, at = tonumber(renewed or '0') - tonumber(ARGV[1]), tonumber(seen or '0') - tonumber(ARGV[2]) \
    if by > 0 or by == 0 and at > 0 then return false end \
    return redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])";

/// The script that records an end: of two ends under the same key, the later one, for the longer of their lifetimes.
/// With `ARGV[3] = 1` it is later than every recorded end, regardless of the clocks.
const END: &str = "local old = tonumber(redis.call('GET', KEYS[1]) or '0') or 0 \
    local at = math.max(old + tonumber(ARGV[3]), tonumber(ARGV[1])) \
    local life = math.max(redis.call('TTL', KEYS[1]), tonumber(ARGV[2])) \
    return redis.call('SET', KEYS[1], string.format('%d', at), 'EX', life)";

/// A session store and its gateway.
#[derive(Debug, Clone)]
pub struct Store {
    /// The Envoy cluster of the gateway.
    pub cluster: Cluster,
    /// The `:authority` of the requests.
    pub authority: String,
    /// The `Authorization` header, if the gateway requires one.
    pub credentials: Option<StoreCredentials>,
    /// The prefix of our keys.
    pub prefix: String,
    /// The timeout of a request.
    pub timeout: Duration,
    /// How long a worker may use a session without reading it again.
    pub cache: Duration,
}

/// Why a request to the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No usable response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// The answer is not in the gateway's format.
    #[error("the gateway's answer is malformed; is it Webdis?")]
    Malformed,
    /// Redis refused the command.
    #[error("Redis refused the command; is it full, a read-only replica, or does it require a password from Webdis?")]
    Refused,
    /// The status is not 200.
    #[error("{}", status(*.0))]
    Status(u16),
}

// Webdis answers 403 if its list of users or commands forbids the request, and 503 without a Redis.
fn status(status: u16) -> String {
    match status {
        401 | 403 => format!("the gateway answered {status}; its acl must allow MGET, SET, SETEX, EVAL and DEL"),
        503 => "the gateway has no Redis, or Envoy could not reach it; check the cluster's address".to_owned(),
        other => describe_status("the gateway", other, None),
    }
}

/// The order of an end among those under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It may be repeated: a repetition ends no further session.
    Repeated = 0,
    /// It is later than every recorded end.
    Last = 1,
}

/// The outcome of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// The session is saved.
    Done,
    /// The session has ended.
    Gone,
    /// The store has a newer state of the session.
    Newer,
}

/// An opened reference: the session, and the keys under which it can be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    id: SessionId,
    revocation_keys: RevocationKeys,
    ends: UnixTime,
    /// Whether a retired key sealed it.
    pub has_retired_key: bool,
}

impl Reference {
    /// The reference to this session.
    pub fn of(session: &Session) -> Self {
        Self {
            id: session.id,
            revocation_keys: RevocationKeys::of(session),
            ends: session.ends,
            has_retired_key: false,
        }
    }

    /// The reference in the request, if it is authentic and not expired.
    pub fn read(request: &Request, cookies: &SessionCookies, sealer: &Sealer, now: UnixTime) -> Option<Self> {
        let joined = cookies.read(request)?;
        let bytes = sealer.open(Purpose::Reference, cookies.name(), &joined.text)?;
        let [id, subject, sid, ends] = wire::read(&bytes)?;
        let id = SessionId(id.bytes()?.try_into().ok()?);
        let subject = subject.bytes()?.try_into().ok()?;
        let sid = match sid.bytes()? {
            [] => RevocationKeys::of_subject_without_sid(&subject),
            sid => sid.try_into().ok()?,
        };
        let revocation_keys = RevocationKeys { session: id.digest(), subject, sid };
        let ends = UnixTime::from_secs(ends.number()?);
        let has_retired_key = sealer.has_retired_key(&joined.text);
        (now < ends).then_some(Self { id, revocation_keys, ends, has_retired_key })
    }

    /// The digest of the session's id, its key in the store.
    pub const fn session_digest(&self) -> &HalfDigest {
        &self.revocation_keys.session
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
        let revocation_keys = RevocationKeys::of(session);
        let ends = Number(session.ends.as_secs());
        let bytes =
            wire::write(&[Bytes(&session.id.0), Bytes(&revocation_keys.subject), Bytes(&revocation_keys.sid), ends]);
        let text = sealer.seal(Purpose::Reference, cookies.name(), &bytes, platform)?;
        Ok(cookies.line(cookies.name(), &text, session.ends.since(now)))
    }
}

impl Store {
    /// Loads a session and the ends that may apply to it.
    pub fn load(&self, reference: &Reference) -> CalloutRequest {
        let RevocationKeys { session, subject, sid } = &reference.revocation_keys;
        let [ended, of_subject, of_sid] = [session, subject, sid].map(|mark| self.end_key(mark));
        self.get(format!("/MGET/{}/{ended}/{of_subject}/{of_sid}", self.key(session)))
    }

    /// The session, if it is stored and has not ended.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn load_answer(
        response: Result<CalloutResponse, CalloutError>,
        reference: &Reference,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<Option<Session>, StoreError> {
        let answer = answer(response, "MGET")?;
        let Value::Array(values) = answer else { return Err(StoreError::Malformed) };
        // A missing value could be an end.
        let [session, ended, revocation_keys @ ..] = values.as_slice() else { return Err(StoreError::Malformed) };
        if *session == Value::Bool(false) {
            return Err(StoreError::Refused);
        }
        // A value that does not open was not written by us, and counts as absent.
        let opened = session.as_str().and_then(|text| {
            let (_, sealed) = text.split_once(':')?;
            let sealed = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(sealed).ok()?;
            let bytes = sealer.open_bytes(Purpose::StoredSession, &label(reference.id), &sealed)?;
            Session::from_bytes(&bytes, platform)
        });
        let [subject, sid] = revocation_keys else { return Err(StoreError::Malformed) };
        // An unreadable end counts as one.
        let at = |mark: &Value| (!mark.is_null()).then(|| time_of_end(mark).unwrap_or(UnixTime::from_secs(u64::MAX)));
        let has_ended = |session: &Session| !ended.is_null() || session.is_ended_in_store([at(subject), at(sid)]);
        Ok(opened.filter(|session| session.id == reference.id && !has_ended(session)))
    }

    /// The last ends of the reference's subject and `sid`; zero if none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn last_ends_answer(response: Result<CalloutResponse, CalloutError>) -> Result<[UnixTime; 2], StoreError> {
        let Value::Array(values) = answer(response, "MGET")? else { return Err(StoreError::Malformed) };
        let [_, _, subject, sid] = values.as_slice() else { return Err(StoreError::Malformed) };
        Ok([subject, sid].map(|mark| time_of_end(mark).unwrap_or_default()))
    }

    /// Saves a session for this long.
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

    /// Updates a session that is still stored: an ended session must not come back, nor the state before a renewal,
    /// with its used refresh token.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn update(
        &self,
        session: &Session,
        life: Duration,
        sealer: &Sealer,
        platform: &dyn Platform,
    ) -> Result<CalloutRequest, SealError> {
        let (key, value) = (self.key(&session.digest()), value(session, sealer, platform)?);
        let (generation, seen, life) = (session.generation, session.seen.as_secs(), life.as_secs().max(1));
        Ok(self.eval(UPDATE, format!("{key}/{generation}/{seen}/{value}/{life}")))
    }

    /// The outcome of an [`Self::update`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn update_answer(response: Result<CalloutResponse, CalloutError>) -> Result<Updated, StoreError> {
        let answer = answer(response, "EVAL")?;
        if answer == 0 {
            return Ok(Updated::Gone);
        }
        is_done(&answer).map(|is_done| if is_done { Updated::Done } else { Updated::Newer })
    }

    /// Records for this long that every session with this key that has begun by now is ended.
    pub fn end(&self, mark: &HalfDigest, life: Duration, now: UnixTime, order: Order) -> CalloutRequest {
        let (life, step) = (life.as_secs().max(1), order as u8);
        self.eval(END, format!("{}/{}/{life}/{step}", self.end_key(mark), now.as_secs()))
    }

    /// Reads the answer to [`Self::end`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn end_answer(response: Result<CalloutResponse, CalloutError>) -> Result<(), StoreError> {
        if is_done(&answer(response, "EVAL")?)? { Ok(()) } else { Err(StoreError::Refused) }
    }

    /// Reads the answer to [`Self::save`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn save_answer(response: Result<CalloutResponse, CalloutError>) -> Result<(), StoreError> {
        match answer(response, "SETEX")? {
            Value::Array(said) if said.first() == Some(&Value::Bool(true)) => Ok(()),
            _ => Err(StoreError::Refused),
        }
    }

    /// Deletes a session.
    pub fn delete(&self, session: &HalfDigest) -> CalloutRequest {
        self.get(format!("/DEL/{}", self.key(session)))
    }

    /// Reads the answer to [`Self::delete`]; a missing session is no error.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn delete_answer(response: Result<CalloutResponse, CalloutError>) -> Result<(), StoreError> {
        answer(response, "DEL")?.as_u64().map(drop).ok_or(StoreError::Refused)
    }

    /// Takes the lease to renew a session, among all processes.
    pub fn lease(&self, grant: &HalfDigest, life: Duration) -> CalloutRequest {
        let life = life.as_secs().max(1);
        self.get(format!("/SET/{}l:{}/1/NX/EX/{life}", self.prefix, URL_SAFE_NO_PAD.encode(grant)))
    }

    /// Whether the lease was free.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn lease_answer(response: Result<CalloutResponse, CalloutError>) -> Result<bool, StoreError> {
        is_done(&answer(response, "SET")?)
    }

    // A digest of the id: the id itself would be readable in Redis.
    fn key(&self, session: &HalfDigest) -> String {
        format!("{}s:{}", self.prefix, URL_SAFE_NO_PAD.encode(session))
    }

    fn end_key(&self, mark: &HalfDigest) -> String {
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

/// The sealed session, after its generation and last use, for [`UPDATE`].
fn value(session: &Session, sealer: &Sealer, platform: &dyn Platform) -> Result<String, SealError> {
    let sealed =
        sealer.seal_bytes(Purpose::StoredSession, &label(session.id), &session.to_bytes(platform), platform)?;
    let value = format!(
        "{}.{}:{}",
        session.generation,
        session.seen.as_secs(),
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(sealed)
    );
    if value.len() > MAX_SAVED {
        return Err(SealError::TooLarge { size: value.len(), budget: MAX_SAVED });
    }
    Ok(value)
}

fn label(id: SessionId) -> String {
    URL_SAFE_NO_PAD.encode(id.0)
}

fn time_of_end(mark: &Value) -> Option<UnixTime> {
    mark.as_str()?.parse().ok().map(UnixTime::from_secs)
}

/// Whether a conditional command ran; null means that its condition did not hold.
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
    // Not `Map::remove`, which adds 4 KB of code.
    body.into_iter().find_map(|(name, answer)| (name == command).then_some(answer)).ok_or(StoreError::Malformed)
}
