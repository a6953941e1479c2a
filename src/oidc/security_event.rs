//! Security event tokens (RFC 8417), by which a provider ends sessions: those of CAEP 1.0, of RISC 1.0 and of Google's Cross-Account
//! Protection. Subjects are those of RFC 9493, and those of the drafts before it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Clusters, Endpoint};
use crate::{
    claims::IssuerId,
    digest::{HalfDigest, half_digest},
    jose::{
        Algorithm,
        claims::{self, Audience, ClaimError, ExpectedIssuer},
        verify::VerifiedJws,
    },
    quoted::Quoted,
    time::{Leeway, UnixTime},
};

/// The age at which a token is refused. A transmitter tries again for as long as it likes.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest identifier, or `jti`, that is looked at.
const MAX_NAME: usize = 255;
/// The most events of a token, and identifiers of a subject, that are looked at.
const MAX_ITEMS: usize = 16;
/// The common beginning of all names of events.
const SECEVENT: &str = "https://schemas.openid.net/secevent/";
/// The event that may name one session; each other one is about its user.
const SESSION_REVOKED: &str = "caep/event-type/session-revoked";
/// The events that end sessions.
const ENDING: [&str; 8] = [
    SESSION_REVOKED,
    "caep/event-type/credential-change",
    "risc/event-type/account-credential-change-required",
    "risc/event-type/account-disabled",
    "risc/event-type/account-purged",
    "risc/event-type/credential-compromise",
    "risc/event-type/sessions-revoked",
    "oauth/event-type/tokens-revoked",
];

/// The sender of a provider's security events (SSF 1.0, "transmitter").
#[derive(Debug, Clone)]
pub struct Transmitter {
    /// Its identifier: that of the provider, where it signs with the provider's keys.
    pub id: IssuerId,
    /// Its `iss`; `None` for that of the provider.
    pub issuer: Option<String>,
    /// The accepted audiences: a token names one of them.
    pub audiences: Vec<String>,
    /// The URL of its keys; `None` for those of the provider.
    pub jwks_uri: Option<Endpoint>,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The Envoy clusters that reach its keys.
    pub clusters: Clusters,
    /// The timeout of a call.
    pub timeout: Duration,
}

impl Transmitter {
    /// Its issuer, or the URL of its keys.
    pub fn name(&self) -> &str {
        self.issuer.as_deref().unwrap_or_else(|| self.keys_url())
    }

    /// A digest of its id and the URL of its keys, which names the documents that workers share.
    pub fn fingerprint(&self) -> HalfDigest {
        half_digest("transmitter", &[self.id.as_bytes(), self.keys_url().as_bytes()])
    }

    fn keys_url(&self) -> &str {
        self.jwks_uri.as_ref().map(|endpoint| endpoint.url().as_str()).unwrap_or_default()
    }
}

/// A security event token that passed every check; only [`check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEventToken {
    /// `jti`
    pub id: String,
    /// From this moment on the token is refused for its age.
    pub expires: UnixTime,
    /// The subjects whose sessions end.
    pub subjects: Vec<Subject>,
    /// The names of the events that end no session.
    pub ignored: Vec<(Quoted, Ignored)>,
}

/// Why an event ends no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It is about something else.
    #[error("it is about something else")]
    OtherEvent,
    /// Its subject has no identifier of the provider's own.
    #[error("its subject is known by something else than its sub (iss_sub or opaque); let the transmitter name it so")]
    OtherSubject,
}

/// The sessions that an event ends: at least one of both is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The provider's `sub`.
    pub user: Option<String>,
    /// The provider's name of one session.
    pub session: Option<String>,
}

/// Why a token with a good signature is no security event token for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecurityEventError {
    /// A claim every signed token must get right.
    #[error("{0}")]
    Claim(#[from] ClaimError),
    /// No `events`, or none in it, or not objects.
    #[error("its events are missing or malformed")]
    Events,
    /// No `jti`.
    #[error("its jti is missing or unusable")]
    Id,
    /// A token of another kind, by its `typ`.
    #[error("its typ says that it is something else")]
    Type,
}

/// Checks a token with a good signature. `provider` is the `iss` of the provider whose users the events are about.
///
/// # Errors
/// [`SecurityEventError`] names the first check that failed.
pub fn check(
    token: VerifiedJws,
    transmitter: &Transmitter,
    provider: ExpectedIssuer<'_>,
    now: UnixTime,
    leeway: Leeway,
) -> Result<SecurityEventToken, SecurityEventError> {
    // RFC 8417, 2.3: `secevent+jwt` is recommended. A token under any other name but the general one is of another kind.
    let is_one = |typ: &str| {
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        typ.eq_ignore_ascii_case("secevent+jwt") || typ.eq_ignore_ascii_case("JWT")
    };
    if token.typ().is_some_and(|typ| !is_one(typ)) {
        return Err(SecurityEventError::Type);
    }
    let issuer = transmitter.issuer.as_deref().map_or(provider, ExpectedIssuer::Exactly);
    let expected = claims::Expected { issuer, audience: Audience::OneOf(&transmitter.audiences), now, leeway };
    let claims = claims::check_event(token, &expected, MAX_AGE)?;
    let id = claims.get("jti").and_then(name).ok_or(SecurityEventError::Id)?;
    let events = claims.get("events").and_then(Value::as_object).ok_or(SecurityEventError::Events)?;
    if !(1..=MAX_ITEMS).contains(&events.len()) || !events.values().all(Value::is_object) {
        return Err(SecurityEventError::Events);
    }
    let reader = SubjectReader { provider, transmitter: issuer, claims: claims.all() };
    let (mut subjects, mut ignored) = (Vec::new(), Vec::new());
    for (uri, event) in events {
        match uri.strip_prefix(SECEVENT).filter(|known| ENDING.contains(known)) {
            None => ignored.push((Quoted::new(uri), Ignored::OtherEvent)),
            Some(known) => match reader.of_event(known, event) {
                None => ignored.push((Quoted::new(uri), Ignored::OtherSubject)),
                Some(subject) if subjects.contains(&subject) => {}
                Some(subject) => subjects.push(subject),
            },
        }
    }
    Ok(SecurityEventToken { id, expires: claims.expires_at(), subjects, ignored })
}

/// Reads the subjects of events.
struct SubjectReader<'a> {
    provider: ExpectedIssuer<'a>,
    transmitter: ExpectedIssuer<'a>,
    /// The claims of the token.
    claims: &'a Map<String, Value>,
}

impl SubjectReader<'_> {
    /// The subject of this event: its own member, as the drafts have it, or `sub_id` (RFC 9493, 4.1), or `sub`.
    fn of_event(&self, event: &str, content: &Value) -> Option<Subject> {
        let subject = match content.get("subject").or_else(|| self.claims.get("sub_id")) {
            Some(subject) => self.subject(subject),
            None => Subject { user: self.claims.get("sub").and_then(name), session: None },
        };
        let session = subject.session.filter(|_| event == SESSION_REVOKED);
        (subject.user.is_some() || session.is_some()).then_some(Subject { user: subject.user, session })
    }

    /// A simple subject is a user; a complex one may name a user, a session, or both (SSF 1.0, "complex subject").
    fn subject(&self, subject: &Value) -> Subject {
        if let Some(user) = self.identifier(subject) {
            return Subject { user: Some(user), session: None };
        }
        let member = |name: &str| subject.get(name).and_then(|member| self.identifier(member));
        Subject { user: member("user"), session: member("session") }
    }

    /// The identifier, where it is one of the provider's own (RFC 9493, 3.2): an address or a telephone number is not, since
    /// sessions are known by `sub` alone.
    fn identifier(&self, identifier: &Value) -> Option<String> {
        let format = identifier.get("format").or_else(|| identifier.get("subject_type"))?.as_str()?;
        match format {
            "opaque" => identifier.get("id").and_then(name),
            "iss_sub" | "iss-sub" => {
                let iss = identifier.get("iss")?.as_str()?;
                let is_own = self.provider.may_be(iss) || self.transmitter.may_be(iss);
                is_own.then(|| identifier.get("sub").and_then(name)).flatten()
            }
            "aliases" => {
                let identifiers = identifier.get("identifiers")?.as_array()?;
                // Aliases do not nest (RFC 9493, 3.2.8).
                let simple = |one: &&Value| one.get("format").and_then(Value::as_str) != Some("aliases");
                identifiers.iter().take(MAX_ITEMS).filter(simple).find_map(|one| self.identifier(one))
            }
            _ => None,
        }
    }
}

fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|name| (1..=MAX_NAME).contains(&name.len())).map(str::to_owned)
}
