//! The error codes of OAuth 2.0 and OpenID Connect. Only these words are ever logged or shown: a provider's
//! `error_description` is a stranger's text.

macro_rules! codes {
    ($($variant:ident = $code:literal,)*) => {
        /// An error code that a provider answered with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the codes")]
        pub enum OAuthError {
            $($variant,)*
            /// One that no specification we follow knows.
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
    // GitHub
    ApplicationSuspended = "application_suspended",
    BadVerificationCode = "bad_verification_code",
    IncorrectClientCredentials = "incorrect_client_credentials",
    RedirectUriMismatch = "redirect_uri_mismatch",
}
