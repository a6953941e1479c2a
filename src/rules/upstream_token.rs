//! The token that a request carries to the app, for the services behind it: the access token of a user or client, or one that the
//! provider gives in exchange.

use crate::oidc::token_exchange::Exchange;

/// A token for the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamToken {
    /// The header that carries it, in lower case.
    pub header: String,
    /// The text before the token in that header.
    pub before: String,
    /// The text behind it.
    pub after: String,
    /// The exchange; `None` means that the access token itself goes to the app.
    pub exchange: Option<Exchange>,
}

impl UpstreamToken {
    /// Whether it takes the place of the client's credentials.
    pub fn is_authorization(&self) -> bool {
        self.header == "authorization"
    }

    /// The header's value with this token.
    pub fn value(&self, token: &str) -> Vec<u8> {
        [&self.before, token, &self.after].concat().into_bytes()
    }
}
