//! The tokens that a provider signs, and what they are checked against.

use crate::{
    http::CalloutResponse,
    jose::{Algorithm, verify::VerifiedJws},
    oidc::{
        id_token::{Expected, Occasion},
        logout_token::{self, LogoutToken, LogoutTokenError},
        userinfo::{self, UserinfoError},
    },
    secret::AccessToken,
    time::{Leeway, UnixTime},
};

use super::Provider;

impl Provider {
    /// The algorithms that it may sign with: none where it signs nothing.
    pub fn algorithms(&self) -> &[Algorithm] {
        self.openid().map_or(&[], |settings| &settings.algorithms)
    }

    /// The values that an ID token is checked against (OIDC Core 3.1.3.7).
    pub fn expected_id_token<'a>(
        &'a self,
        occasion: Occasion<'a>,
        access_token: &'a AccessToken,
        now: UnixTime,
        leeway: Leeway,
    ) -> Expected<'a> {
        let (relying_party, trusted_audiences) = (&self.relying_party, self.trusted_audiences());
        Expected { relying_party, trusted_audiences, occasion, access_token, now, leeway }
    }

    /// Checks a logout token with a good signature (Back-Channel Logout 1.0, 2.6).
    ///
    /// # Errors
    /// [`LogoutTokenError`]
    pub fn check_logout_token(
        &self,
        token: VerifiedJws,
        now: UnixTime,
        leeway: Leeway,
    ) -> Result<LogoutToken, LogoutTokenError> {
        logout_token::check(token, &self.relying_party, self.trusted_audiences(), now, leeway)
    }

    /// The plain form of a signed answer of the userinfo endpoint, with a good signature (OIDC Core 5.3.2).
    ///
    /// # Errors
    /// [`UserinfoError`]
    pub fn open_userinfo(
        &self,
        token: VerifiedJws,
        now: UnixTime,
        leeway: Leeway,
    ) -> Result<CalloutResponse, UserinfoError> {
        userinfo::opened(token, &self.relying_party, self.trusted_audiences(), now, leeway)
    }

    fn trusted_audiences(&self) -> &[String] {
        self.openid().map_or(&[], |settings| &settings.trusted_audiences)
    }
}
