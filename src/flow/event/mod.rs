//! Events as values: the host logs and counts each. No event carries a secret; text from outside is escaped.

pub mod audit;
pub mod failure;
mod level;
pub mod omission;

use std::fmt;

use crate::{
    digest::HalfDigest,
    oidc::{
        discovery::DiscoveryError,
        error::{ErrorResponse, OAuthError},
        revocation::RevocationError,
        token::TokenEndpointError,
    },
    provisioning::ProvisioningError,
    session::{OptionalToken, SealError, store::StoreError},
};

pub use level::Level;

use crate::shared::document::DocumentKind;
use failure::Failure;
use omission::Omission;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A document of this issuer was read. Its metadata has none of these endpoints, which sign-out could use.
    Fetched(DocumentKind, String, Vec<&'static str>),
    /// A document could not be read.
    NotFetched {
        /// The kind of document.
        kind: DocumentKind,
        /// The issuer.
        issuer: String,
        /// The cluster that reaches it.
        cluster: String,
        /// The reason.
        error: DiscoveryError,
        /// Whether an earlier document stays in use.
        has_good: bool,
    },
    /// A browser was signed out here, and not at this provider, which was not known yet.
    LeftAtProvider(String),
    /// A session was written without this part, so that it fits into its cookies.
    LeftOut(OptionalToken),
    /// An issuer ended sessions, with the `jti` of its logout token; `None` for a front-channel logout.
    LoggedOut(Box<EventContext>, Option<String>),
    /// A session was not renewed.
    NotRenewed(Box<EventContext>, Failure),
    /// A write to the session store failed.
    NotStored(StoreError),
    /// A session could not be written into its cookies; the request passed all the same.
    NotWritten(SealError),
    /// This issuer accepted the client secret by this method, after it refused the method that its metadata suggest.
    OtherMethod(String, &'static str),
    /// A part was left out while the rest went on.
    Omitted {
        /// The part, and the reason.
        omission: Omission,
        /// Whether this worker logs it for the first time.
        is_news: bool,
    },
    /// A request may pass.
    Permitted(Reason),
    /// A request was answered with a failure.
    Refused {
        /// The failure.
        failure: Failure,
        /// The purpose of the request.
        operation: Operation,
        /// The identity of the request, as far as it is known.
        context: Box<EventContext>,
    },
    /// A session was renewed.
    Renewed(Box<EventContext>),
    /// This issuer did not revoke a refresh token, for this reason.
    NotRevoked(String, RevocationError),
    /// An issuer ended sessions, with the `jti` of its security event token.
    SecurityEvent(Box<EventContext>, String),
    /// A session ended because its issuer refused to renew it.
    SessionRefused(Box<EventContext>),
    /// A sign-in was begun again.
    SignInRestarted(Restart),
    /// A browser was sent to the provider.
    SignInStarted,
    /// A user signed in.
    SignedIn(Box<EventContext>),
    /// A browser was signed out.
    SignedOut(Box<EventContext>),
    /// Work of the worker's own ended without a result.
    TaskFailed(Failure),
    /// Keys that no document has are asked for too often.
    UnknownKeyThrottled,
}

/// The identity and the request that an event is about, as far as they are known. Boxed: most events have none, and are small.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventContext {
    /// The issuer.
    pub issuer: Option<String>,
    /// The subject of the session.
    pub subject: Option<String>,
    /// The digest of the session's id, the same from its sign-in to its end.
    pub session: Option<HalfDigest>,
    /// `x-request-id`.
    pub request_id: Option<String>,
}

impl EventContext {
    fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or_default()
    }

    fn subject(&self) -> &str {
        self.subject.as_deref().unwrap_or_default()
    }
}

/// The purpose of a refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Access to the app, or to one of our own paths.
    Access,
    /// To begin or complete a sign-in.
    SignIn,
    /// To end sessions.
    SignOut,
}

/// The reason why a sign-in was begun again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// The pending sign-in is gone, has expired or was used.
    NotPending,
    /// This issuer answered with this error.
    Refused(String, ErrorResponse),
}

/// The reason that a request goes upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A bearer token.
    Bearer,
    /// It is a CORS preflight.
    Preflight,
    /// The rules admit all, with an identity or without.
    Public,
    /// A session.
    Session,
}

impl Event {
    /// Its level in the log.
    pub const fn level(&self) -> Level {
        match self {
            Self::Permitted(_) | Self::Renewed(_) | Self::SignInStarted => Level::Count,
            Self::NotRenewed(_, failure) => match failure {
                // `SessionRefused` reports the end of the session.
                Failure::TokenEndpoint(TokenEndpointError::Refused(ErrorResponse {
                    error: OAuthError::InvalidGrant,
                    ..
                }))
                | Failure::Provisioning(ProvisioningError::Refused(_)) => Level::Info,
                _ => Level::Warn,
            },
            Self::NotStored(_) | Self::NotWritten(_) | Self::TaskFailed(_) => Level::Error,
            Self::LeftAtProvider(_) | Self::LeftOut(_) | Self::NotRevoked(..) | Self::OtherMethod(..) => Level::Warn,
            Self::LoggedOut(..) | Self::SecurityEvent(..) | Self::SessionRefused(..) => Level::Info,
            Self::Fetched(..) | Self::SignInRestarted(_) | Self::SignedIn(_) | Self::SignedOut(_) => Level::Info,
            Self::NotFetched { .. } | Self::UnknownKeyThrottled => Level::Warn,
            Self::Omitted { is_news, .. } => {
                if *is_news {
                    Level::Warn
                } else {
                    Level::Count
                }
            }
            Self::Refused { failure, .. } => failure.level(),
        }
    }

    /// Its counter.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::Fetched(DocumentKind::Metadata, ..) => "vestibule_metadata_fetched",
            Self::Fetched(DocumentKind::Keys, ..) => "vestibule_keys_fetched",
            Self::NotFetched { kind: DocumentKind::Metadata, .. } => "vestibule_metadata_failed",
            Self::NotFetched { kind: DocumentKind::Keys, .. } => "vestibule_keys_failed",
            Self::LeftAtProvider(_) => "vestibule_provider_session_left",
            Self::LeftOut(_) => "vestibule_session_cut",
            Self::LoggedOut(..) => "vestibule_logged_out",
            Self::NotRenewed(..) => "vestibule_renewal_failed",
            Self::NotRevoked(..) => "vestibule_revocation_failed",
            Self::NotStored(_) => "vestibule_store_failed",
            Self::NotWritten(_) => "vestibule_session_not_written",
            Self::OtherMethod(..) => "vestibule_secret_method_changed",
            Self::Omitted { omission, .. } => omission.counter(),
            Self::Renewed(_) => "vestibule_renewed",
            Self::SecurityEvent(..) => "vestibule_security_events",
            Self::SessionRefused(..) => "vestibule_session_refused",
            Self::Permitted(Reason::Bearer) => "vestibule_permitted_bearer",
            Self::Permitted(Reason::Preflight) => "vestibule_permitted_preflight",
            Self::Permitted(Reason::Public) => "vestibule_permitted_public",
            Self::Permitted(Reason::Session) => "vestibule_permitted_session",
            Self::Refused { failure, .. } => failure.counter(),
            Self::SignInRestarted(_) => "vestibule_sign_in_restarted",
            Self::SignInStarted => "vestibule_sign_in_started",
            Self::SignedIn(..) => "vestibule_signed_in",
            Self::SignedOut(_) => "vestibule_signed_out",
            Self::TaskFailed(_) => "vestibule_task_failed",
            Self::UnknownKeyThrottled => "vestibule_unknown_key_throttled",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetched(kind, issuer, lacks) => {
                write!(f, "read the {kind} of {issuer}")?;
                lacks.iter().try_for_each(|name| write!(f, "; no usable {name}"))
            }
            Self::NotFetched { kind, issuer, cluster, error, has_good } => {
                let then = if *has_good {
                    "what was last good stays in use"
                } else {
                    "no user or token of this issuer can pass without it"
                };
                write!(f, "cannot use the {kind} of {issuer} (cluster {cluster:?}): {error}; {then}")
            }
            Self::LeftAtProvider(issuer) => {
                write!(f, "signed a browser out here, and not at {issuer}, which is not known yet")
            }
            Self::LeftOut(what) => {
                let what = match what {
                    OptionalToken::AccessToken => "access token: the app does not get it",
                    OptionalToken::IdToken => {
                        "ID token: the app does not get it, and the provider's sign-out may ask the person"
                    }
                    OptionalToken::RefreshToken => "refresh token: it is not renewed",
                };
                write!(f, "left a session that is too large for its cookies without its {what}")
            }
            Self::LoggedOut(context, Some(id)) => {
                write!(f, "{} ended sessions by its logout token {id:?}", context.issuer())
            }
            Self::LoggedOut(context, None) => write!(f, "{} ended a session through a browser", context.issuer()),
            Self::NotRenewed(context, failure) => {
                write!(f, "did not renew a session of {}: {failure}", context.issuer())
            }
            Self::NotRevoked(issuer, error) => write!(f, "could not revoke a refresh token of {issuer}: {error}"),
            Self::NotStored(error) => write!(f, "could not write into session.store: {error}"),
            Self::NotWritten(error) => write!(f, "could not write a session: {error}"),
            Self::OtherMethod(issuer, method) => {
                write!(
                    f,
                    "sends the client secret of {issuer} as {method}, because it refused the other method; set token_endpoint_auth_method to {method}"
                )
            }
            Self::Omitted { omission, .. } => omission.fmt(f),
            Self::Renewed(_) => f.write_str("renewed a session"),
            Self::SecurityEvent(context, id) => {
                write!(f, "{} ended sessions by its security event token {id:?}", context.issuer())
            }
            Self::SessionRefused(context) => {
                write!(f, "ended the session of {:?}: {} refused to renew it", context.subject(), context.issuer())
            }
            Self::Permitted(reason) => write!(f, "let a request pass: {reason:?}"),
            Self::Refused { failure, context, .. } => {
                write!(f, "refused a request ({}): {failure}", failure.code())?;
                if let Some(issuer) = &context.issuer {
                    write!(f, "; issuer {issuer}")?;
                }
                write!(f, "; request {}", context.request_id.as_deref().unwrap_or("-"))
            }
            Self::SignInRestarted(Restart::NotPending) => {
                f.write_str("began a sign-in again: its cookie was gone, expired or used")
            }
            Self::SignInRestarted(Restart::Refused(issuer, error)) => {
                write!(f, "began a sign-in again: {issuer} answered {error}")
            }
            Self::SignInStarted => f.write_str("sent a browser to sign in"),
            Self::SignedIn(context) => write!(f, "{:?} signed in at {}", context.subject(), context.issuer()),
            Self::SignedOut(_) => f.write_str("signed a browser out"),
            Self::TaskFailed(failure) => write!(f, "could not finish work in the background: {failure}"),
            Self::UnknownKeyThrottled => {
                f.write_str("did not fetch the keys again: tokens with unknown keys come too often")
            }
        }
    }
}
