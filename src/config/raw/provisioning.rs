//! Provisioning.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Secret,
};

/// An endpoint of the app that the filter calls for each user.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct Provisioning {
    /// The URL of the endpoint. `http` is accepted on any host: the cluster configures TLS, as for requests to the app.
    #[cfg_attr(test, schemars(required, extend("examples" = ["http://app.internal/provisioning"])))]
    pub(in crate::config) endpoint: Option<String>,
    /// The Envoy cluster of the endpoint. By default the cluster of its host in `clusters`, or `cluster`.
    #[cfg_attr(test, schemars(length(min = 1), extend("examples" = ["app"])))]
    pub(in crate::config) cluster: Option<String>,
    /// A secret that the filter and the app share, sent as `Authorization: Bearer`. Without it, anyone who reaches the
    /// endpoint can create users there.
    #[cfg_attr(test, schemars(extend("examples" = [{"env": "PROVISIONING_SECRET"}])))]
    pub(in crate::config) secret: Option<Secret>,
    /// The timeout of a request, in milliseconds.
    #[cfg_attr(test, schemars(transform = limits::TIMEOUT_MS.shown(), extend("examples" = [2000])))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// Whether the filter calls the endpoint at each renewal of a session too. A refusal ends the session.
    #[cfg_attr(test, schemars(extend("default" = true)))]
    pub(in crate::config) at_renewal: Option<bool>,
    /// The claims that the filter sends to the endpoint in addition to `iss` and `sub`. The session keeps them.
    #[cfg_attr(test, schemars(
        length(max = limits::MAX_ENTRIES), extend("default" = limits::PROVISIONING_CLAIMS),
        extend("examples" = [["email", "email_verified", "department"]])
    ))]
    pub(in crate::config) claims: Option<Vec<String>>,
    /// Whether the app may create unknown users, unless a provider sets its own `registration`. The app receives this value
    /// and must follow it.
    #[cfg_attr(test, schemars(extend("default" = "allowed")))]
    pub(in crate::config) registration: Option<Registration>,
}

fields!(Provisioning { endpoint, cluster, secret, timeout_ms, at_renewal, claims, registration });

/// Whether users may be created.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum Registration {
    /// The app may create users.
    Allowed,
    /// A user must exist.
    Refused,
}

impl Shape for Registration {
    fn read(place: Place<'_>) -> Self {
        if place.word(&["allowed", "refused"]) == "refused" { Self::Refused } else { Self::Allowed }
    }
}
