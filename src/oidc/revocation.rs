//! The revocation endpoint: a refresh token that nobody needs any more is given back (RFC 7009).

use super::{Endpoint, Provider, discovery::ProviderMetadata, token};
use crate::{http::CalloutRequest, secret::RefreshToken};

/// Asks the provider to forget the token (section 2.1), and with it, as most do, the access tokens it gave.
pub fn request(
    provider: &Provider,
    metadata: &ProviderMetadata,
    endpoint: &Endpoint,
    token: &RefreshToken,
) -> CalloutRequest {
    let form = [("token", token.expose()), ("token_type_hint", "refresh_token")];
    token::post(provider, metadata, endpoint, &form)
}
