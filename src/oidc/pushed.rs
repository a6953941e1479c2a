//! Pushed authorization requests (RFC 9126): the parameters go to the provider first, and the browser carries a reference to
//! them.

use super::{
    Endpoint, RelyingParty,
    client::{AuthenticationError, CallContext},
    error::{self, ErrorResponse, UnexpectedStatus},
    provider_metadata::ProviderMetadata,
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{
        json::{self, JsonError},
        members::Members,
    },
};

/// The longest `request_uri` that is sent to a browser.
const MAX_REQUEST_URI: usize = 512;

/// Why a request could not be pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// No usable `request_uri`.
    #[error("the answer to the pushed authorization request has no usable request_uri")]
    Malformed,
    /// Not a JSON object as it must be.
    #[error("the answer to the pushed authorization request is {0}")]
    NotJson(#[from] JsonError),
    /// The provider refused with an error of OAuth.
    #[error("the provider refused the pushed authorization request: {0}")]
    Refused(ErrorResponse),
    /// A status without an error of OAuth.
    #[error("{}", .0.at("the endpoint of pushed authorization requests"))]
    Status(UnexpectedStatus),
}

/// Pushes these parameters (2.1).
///
/// # Errors
/// [`AuthenticationError`]
pub fn request(
    relying_party: &RelyingParty,
    metadata: &ProviderMetadata,
    endpoint: &Endpoint,
    parameters: &[(String, String)],
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    metadata.post(endpoint, &pairs, relying_party, context)
}

/// Reads the answer: the `request_uri` (2.2).
///
/// # Errors
/// [`PushError`]
pub fn read(response: Result<CalloutResponse, CalloutError>) -> Result<String, PushError> {
    let response = response?;
    // 201, by the specification; some answer with 200.
    if !matches!(response.status, 200 | 201) {
        return Err(error::refusal(&response).map_or_else(PushError::Status, PushError::Refused));
    }
    let body = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
    let request_uri = Members::of(&body).required("request_uri").map_err(|_| PushError::Malformed)?;
    let is_plain = request_uri.len() <= MAX_REQUEST_URI && request_uri.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then(|| request_uri.to_owned()).ok_or(PushError::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(status: u16, body: &serde_json::Value) -> Result<String, PushError> {
        read(Ok(CalloutResponse::new(status, body.to_string().into_bytes())))
    }

    #[test]
    fn a_malformed_request_uri_of_a_pushed_request_is_refused() {
        let good = json!({ "request_uri": "urn:ietf:params:oauth:request_uri:x", "expires_in": 60 });
        assert_eq!(read_json(201, &good).as_deref(), Ok("urn:ietf:params:oauth:request_uri:x"));
        assert_eq!(read_json(200, &good).as_deref(), Ok("urn:ietf:params:oauth:request_uri:x"));
        for odd in [json!(1), json!(""), json!("a b"), json!("a\r\nset-cookie: x"), json!("x".repeat(600)), json!(null)]
        {
            assert_eq!(read_json(201, &json!({ "request_uri": odd })), Err(PushError::Malformed), "{odd}");
        }
        assert!(matches!(read_json(201, &json!([])), Err(PushError::NotJson(_))));
        assert!(matches!(read_json(500, &good), Err(PushError::Status(_))));
        assert!(matches!(read_json(302, &good), Err(PushError::Status(_))));
        assert!(matches!(read_json(400, &json!({ "error": "invalid_request" })), Err(PushError::Refused(_))));
        assert!(matches!(read_json(503, &json!({ "error": "server_error" })), Err(PushError::Status(_))));
        let none = read(Err(CalloutError::NoResponse));
        assert_eq!(none, Err(PushError::Callout(CalloutError::NoResponse)));
    }
}
