//! The kinds of provider that oauth2-proxy treats apart.

/// The kind of the provider: it decides which options count, and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Entra,
    GitHub,
    GitLab,
    Google,
    Keycloak,
    OAuth2,
    Oidc,
    /// OpenID Connect, with rules of its own about addresses or groups.
    OtherOidc,
}
