//! Sign-ins: those that wait for their code, and those whose code was redeemed.

use serde_json::{Map, Value};

/// The sign-in that a code was issued for.
pub(super) struct Grant {
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    /// The user who was named at the authorization endpoint.
    pub(super) user: Option<Map<String, Value>>,
    pub(super) redeemed: bool,
}

/// A sign-in: the code that was redeemed, and every refresh since.
pub(super) struct SignedIn {
    pub(super) sid: String,
    pub(super) auth_time: i64,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) user: Map<String, Value>,
    /// Whether its refresh tokens are no longer valid.
    pub(super) over: bool,
    /// Whether a refresh token of it came twice.
    pub(super) reused: bool,
}

impl SignedIn {
    pub(super) fn sub(&self) -> Option<&str> {
        self.user.get("sub").and_then(Value::as_str)
    }
}

/// A refresh token that was given out.
pub(super) struct RefreshToken {
    pub(super) sign_in: usize,
    pub(super) used: bool,
    pub(super) revoked: bool,
}

/// The grant of a token request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Code,
    Refresh,
}
