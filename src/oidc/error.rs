//! Error responses of providers: the codes of OAuth 2.0 and OpenID Connect, and descriptions, which are for the log alone.

use std::fmt;

use serde_json::Value;

use super::RelyingParty;
use crate::{
    http::{CalloutResponse, MAX_CALLOUT_BODY, Unreachable, describe_status},
    jose::{json, members::Members},
    quoted::Quoted,
};

macro_rules! codes {
    ($($variant:ident = $code:literal,)*) => {
        /// An error code that a provider answered with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the codes")]
        pub enum OAuthError {
            $($variant,)*
            /// A code of no specification above.
            Unknown,
        }

        impl OAuthError {
            /// Reads a code.
            pub fn from_code(code: &str) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// The settings that an operator compares, if the code alone tells which.
            const fn remedy(self) -> Option<&'static str> {
                match self {
                    Self::InvalidScope => Some("compare `scopes` with those that the client may ask for"),
                    Self::InvalidTarget => Some("compare `audience` and `resource` with what the provider knows"),
                    Self::RedirectUriMismatch => Some("register the redirect URI at the provider; `vestibule check` prints it"),
                    _ => None,
                }
            }

            /// The code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown => "unknown_error",
                }
            }
        }
    };
}

codes! {
    // RFC 6749, 4.1.2.1 and 5.2
    AccessDenied = "access_denied",
    InvalidClient = "invalid_client",
    InvalidGrant = "invalid_grant",
    InvalidRequest = "invalid_request",
    InvalidScope = "invalid_scope",
    ServerError = "server_error",
    TemporarilyUnavailable = "temporarily_unavailable",
    UnauthorizedClient = "unauthorized_client",
    UnsupportedGrantType = "unsupported_grant_type",
    UnsupportedResponseType = "unsupported_response_type",
    // OIDC Core 3.1.2.6
    AccountSelectionRequired = "account_selection_required",
    ConsentRequired = "consent_required",
    InteractionRequired = "interaction_required",
    LoginRequired = "login_required",
    // Ory Hydra
    RequestUnauthorized = "request_unauthorized",
    // RFC 6750, 3.1, and RFC 7009, 2.2.1
    InsufficientScope = "insufficient_scope",
    InvalidToken = "invalid_token",
    UnsupportedTokenType = "unsupported_token_type",
    // RFC 8693, 2.2.2
    InvalidTarget = "invalid_target",
    // RFC 9449, 12.2
    InvalidDpopProof = "invalid_dpop_proof",
    UseDpopNonce = "use_dpop_nonce",
    // GitHub
    ApplicationSuspended = "application_suspended",
    BadVerificationCode = "bad_verification_code",
    IncorrectClientCredentials = "incorrect_client_credentials",
    RedirectUriMismatch = "redirect_uri_mismatch",
}

/// An error response (RFC 6749, 4.1.2.1 and 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// `error`
    pub error: OAuthError,
    /// `error`, where it is an unknown code.
    unknown: Option<Quoted>,
    /// `error_description`
    description: Option<Quoted>,
    /// The settings that an operator compares, if the client is refused.
    remedy: Option<&'static str>,
}

impl ErrorResponse {
    /// The response with this code and this description.
    pub fn new(code: &str, description: Option<&str>) -> Self {
        let error = OAuthError::from_code(code);
        let unknown = (error == OAuthError::Unknown).then(|| Quoted::without_secrets(code));
        Self { error, unknown, description: description.map(Quoted::without_secrets), remedy: error.remedy() }
    }

    /// The same response to a client that authenticates so. Where it refuses the client itself (RFC 6749, 5.2) or its proof
    /// (RFC 9449, 5), its text says what to compare.
    #[must_use]
    pub fn for_client(self, relying_party: &RelyingParty) -> Self {
        let remedy = match self.error {
            // Keycloak and Glewlwyd say of a wrong secret that the client is unauthorized.
            OAuthError::IncorrectClientCredentials | OAuthError::InvalidClient | OAuthError::UnauthorizedClient => {
                relying_party.authentication.remedy()
            }
            OAuthError::InvalidDpopProof | OAuthError::UseDpopNonce if relying_party.proof_key.is_some() => {
                "compare the algorithm of dpop_key with dpop_signing_alg_values_supported in the metadata, and the clocks"
            }
            OAuthError::InvalidDpopProof | OAuthError::UseDpopNonce => {
                "the provider requires DPoP for this client: set dpop_key"
            }
            _ => return self,
        };
        Self { remedy: Some(remedy), ..self }
    }

    /// Reads an error response; `None` where it has no code. Facebook and others have an object with a type and a message in
    /// place of the code.
    pub fn read(members: Members<'_>) -> Option<Self> {
        let text = |members: Members<'_>, name| members.optional(name).ok().flatten().map(str::to_owned);
        match members.get("error")? {
            Value::String(code) => Some(Self::new(code, text(members, "error_description").as_deref())),
            Value::Object(error) => {
                let error = Members::of(error);
                let code = text(error, "type").or_else(|| text(error, "status"));
                Some(Self::new(&code.unwrap_or_else(|| "error".to_owned()), text(error, "message").as_deref()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.as_str())?;
        self.unknown.iter().try_for_each(|code| write!(f, " {code}"))?;
        self.description.iter().try_for_each(|description| write!(f, " ({description})"))?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

/// The status of a response that is not a success, with its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnexpectedStatus {
    /// The status.
    pub status: u16,
    /// Whether the same request may succeed later.
    pub is_temporary: bool,
    /// Why Envoy itself has answered, if it has.
    unreachable: Option<Unreachable>,
    /// The error in the body, if there is one.
    error: Option<ErrorResponse>,
}

/// The error of OAuth that refuses a call, or the unexpected status (RFC 6749, 5.2): 400 or 401 with an error code. A 5xx is a
/// failure of the provider, whatever its body.
///
/// # Errors
/// [`UnexpectedStatus`]
pub fn refusal(response: &CalloutResponse) -> Result<ErrorResponse, UnexpectedStatus> {
    let body = json::response_object(&response.body, MAX_CALLOUT_BODY).unwrap_or_default();
    let members = Members::of(&body);
    // Gateways and frameworks write "Bad Request", which is no code of OAuth.
    let is_code = members.optional("error").ok().flatten().is_some_and(|code| !code.contains(' '));
    let is_refusal = is_code && (400..500).contains(&response.status);
    // Some frameworks write `not_found` where nothing is at the URL.
    let is_absent = |error: &ErrorResponse| matches!(response.status, 404 | 410) && error.error == OAuthError::Unknown;
    ErrorResponse::read(members)
        .filter(|error| is_refusal && !is_absent(error))
        .ok_or_else(|| UnexpectedStatus::of(response))
}

impl UnexpectedStatus {
    /// The kind of the trouble, in a word for programs.
    pub const fn word(&self) -> &'static str {
        match (self.unreachable, self.status) {
            (Some(Unreachable::Closed), _) => "connection_closed",
            (Some(Unreachable::NoAddress), _) => "no_address",
            (Some(Unreachable::NoConnection), _) => "no_connection",
            (Some(Unreachable::NotInTime), _) => "no_connection_in_time",
            (Some(Unreachable::Refused), _) => "refused",
            (Some(Unreachable::Tls(_)), _) => "no_tls",
            (None, 504) => "no_answer_in_time",
            (None, _) => "other_status",
        }
    }

    /// Whether a document may be missing there: 404 and 410, or Microsoft's 400 for an unknown tenant.
    pub const fn may_mean_no_document(&self) -> bool {
        matches!(self.status, 400 | 404 | 410)
    }

    /// The status and error of this response.
    pub fn of(response: &CalloutResponse) -> Self {
        let body = json::response_object(&response.body, MAX_CALLOUT_BODY).unwrap_or_default();
        let is_temporary = matches!(response.status, 429 | 500..=599);
        let (unreachable, error) = (Unreachable::of(response), ErrorResponse::read(Members::of(&body)));
        Self { status: response.status, is_temporary, unreachable, error }
    }

    /// A sentence for the log about the endpoint with this name.
    pub fn at(&self, endpoint: &str) -> String {
        describe_status(endpoint, self.status, self.unreachable) + &self.said()
    }

    /// The error, as the end of a sentence.
    pub(super) fn said(&self) -> String {
        self.error.as_ref().map(|error| format!(", and says {error}")).unwrap_or_default()
    }
}
