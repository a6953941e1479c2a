//! The registration of a client at a provider or an introspection endpoint.

use super::{
    super::{
        fault::{At, Faults, Faulty, Problem},
        raw::{self, AuthMethod},
    },
    Environment, limit_entries, limits, text,
};
use crate::{
    oidc::{authorization::OWN_PARAMETERS, client::ClientAuthentication},
    secret::ClientSecret,
};

pub(super) fn client_id(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let value = faults.required(at, value, "the client ID that the provider gave you")?;
    if text::is_vschar(&value) && !value.starts_with("${") && (1..=limits::MAX_TEXT).contains(&value.len()) {
        return Ok(value);
    }
    // Not shown: it may be the secret in the wrong field.
    Err(faults.wrong(at, format!("1 to {} characters of printable ASCII, and no `${{NAME}}`", limits::MAX_TEXT)))
}

/// Validates method and secret together: no method without its secret, and no unused secret.
pub(super) fn authentication(
    method: Option<AuthMethod>,
    secret: Option<raw::Secret>,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientAuthentication, Faulty> {
    let at_secret = at.key("client_secret");
    let secret = secret.map(|secret| client_secret(secret, &at_secret, env, faults)).transpose();
    match (method, secret) {
        (_, Err(faulty)) => Err(faulty),
        (Some(AuthMethod::ClientSecretBasic), Ok(Some(secret))) => Ok(ClientAuthentication::Basic(secret)),
        (Some(AuthMethod::ClientSecretPost), Ok(Some(secret))) => Ok(ClientAuthentication::Post(secret)),
        (None, Ok(Some(secret))) => Ok(ClientAuthentication::Unspecified(secret)),
        (None | Some(AuthMethod::None), Ok(None)) => Ok(ClientAuthentication::None),
        (Some(AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost), Ok(None)) => {
            let expected = "a secret, because token_endpoint_auth_method sends one";
            Err(faults.add(&at_secret, Problem::Missing { expected: expected.into() }))
        }
        (Some(AuthMethod::None), Ok(Some(_))) => {
            Err(faults.wrong(&at_secret, "no secret, because token_endpoint_auth_method is none"))
        }
    }
}

fn client_secret(
    secret: raw::Secret,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ClientSecret, Faulty> {
    let text = text::secret(secret, at, env, faults)?;
    if !text::is_vschar(&text) {
        // RFC 6749, Appendix A.2. A line break at the end comes from a file or `echo`, and providers refuse it.
        return Err(faults.wrong(at, "printable ASCII, and no line break at the end"));
    }
    Ok(ClientSecret::new(text.as_str()))
}

pub(super) fn authorization_params(
    entries: raw::Entries,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<(String, String)>, Faulty> {
    let entries = entries.0;
    limit_entries(entries.len(), at, faults)?;
    let mut fault = None;
    for (name, value) in &entries {
        let at = at.key(name);
        // Parameters that this filter sets, and the client secret, which would reach every browser.
        if OWN_PARAMETERS.contains(&name.as_str()) || name == "client_secret" {
            fault = Some(faults.wrong(&at, "another parameter: this one is set by the filter"));
        } else if name.is_empty() || name.len() > limits::MAX_TEXT || !text::is_vschar(name) {
            fault = Some(faults.wrong(&at, "the name of a parameter, printable ASCII, as the name of this field"));
        } else if value.len() > limits::MAX_TEXT {
            fault = Some(faults.wrong(&at, format!("at most {} bytes", limits::MAX_TEXT)));
        }
    }
    fault.map_or(Ok(entries), Err)
}
