//! The settings that depend on the `type` of a provider.

use super::super::fault::{At, Faults};
use crate::{jose::Algorithm, oidc::Issuer, provider::Protocol};

/// The resolved settings of a provider that depend on its `type`.
pub(super) struct ProtocolSettings {
    pub(super) issuer: Issuer,
    pub(super) scopes: Vec<String>,
    /// The access tokens that API clients may bring.
    pub(super) access_tokens: Option<AccessTokens>,
    pub(super) protocol: Protocol,
}

/// The access tokens of a provider that API clients may bring.
pub(super) struct AccessTokens {
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
}

/// Reports settings that this `type` does not have.
pub(super) fn refuse(settings: &[(bool, &str)], r#type: &str, at: &At<'_>, faults: &mut Faults) {
    for (_, field) in settings.iter().filter(|(is_given, _)| *is_given) {
        faults.wrong(&at.key(field), format!("nothing; `type: {type}` has no such setting"));
    }
}
