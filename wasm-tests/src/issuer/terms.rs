//! The settings of an issuer that works as specified: tokens, lifetimes, endpoints.

use serde_json::{Value, json};

/// Which sign-ins get a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshTokens {
    /// All.
    Always,
    /// None.
    Never,
    /// Those that ask for the scope `offline_access`.
    OfflineAccess,
}

/// The fate of a refresh token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It stays good, and the answer holds none.
    Kept,
    /// It stays good, and the answer holds it again.
    Repeated,
    /// The answer holds a new one, and a second use of the old one is refused.
    Rotating,
    /// As before, and a second use of the old one ends the whole sign-in (RFC 9700, 4.14.2).
    RotatingOrEnding,
}

/// Which `state` the browser comes back with from `end_session_endpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogoutState {
    /// The one it came with.
    AsGiven,
    /// None.
    Missing,
    /// This one.
    Other(String),
}

/// The terms of an issuer.
#[derive(Debug, Clone)]
pub struct Terms {
    /// `expires_in` for a code; left out if there is none.
    pub expires_in: Option<Value>,
    /// `expires_in` of a refresh; left out if there is none.
    pub refresh_expires_in: Option<Value>,
    /// The audiences for which tokens are exchanged.
    pub exchange_audiences: Vec<&'static str>,
    /// `expires_in` of an exchange; left out if there is none.
    pub exchange_expires_in: Option<Value>,
    /// Seconds from `iat` to `exp` of every ID token.
    pub id_token_seconds: i64,
    /// Whether `sub` is the only claim of the user in the ID token, and the userinfo endpoint has all others.
    pub claims_at_userinfo: bool,
    /// Whether `email` is there for the scope of that name alone (OIDC Core 5.4).
    pub email_by_scope: bool,
    /// Whether clients without a secret are taken.
    pub public_clients: bool,
    /// Which sign-ins get a refresh token.
    pub refresh_tokens: RefreshTokens,
    /// The fate of a used one.
    pub rotation: Rotation,
    /// Whether a refresh answers with an ID token.
    pub refresh_id_token: bool,
    /// Whether that ID token has the nonce of the sign-in (OIDC Core 12.2 allows both).
    pub refresh_nonce: bool,
    /// Whether the metadata names `end_session_endpoint`.
    pub advertises_end_session: bool,
    /// Whether the metadata names `revocation_endpoint`.
    pub advertises_revocation: bool,
    /// Whether the metadata says that it sends logout tokens, with `sid`.
    pub advertises_back_channel_logout: bool,
    /// Where a browser may go after a logout; anywhere under the app's origin if there is no list.
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// The `state` that is sent to the post-logout redirect URI.
    pub logout_state: LogoutState,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            expires_in: Some(json!(3600)),
            refresh_expires_in: Some(json!(3600)),
            exchange_audiences: vec!["orders", "stock"],
            exchange_expires_in: Some(json!(300)),
            id_token_seconds: 3600,
            claims_at_userinfo: false,
            email_by_scope: false,
            public_clients: true,
            refresh_tokens: RefreshTokens::OfflineAccess,
            rotation: Rotation::Rotating,
            refresh_id_token: true,
            refresh_nonce: false,
            advertises_end_session: true,
            advertises_revocation: true,
            advertises_back_channel_logout: true,
            post_logout_redirect_uris: None,
            logout_state: LogoutState::AsGiven,
        }
    }
}
