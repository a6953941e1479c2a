//! Parts that are left out or refused while the rest goes on: counted each time, and logged once with name, form and remedy.

use crate::{
    claims::{ClaimPath, Unfit},
    jose::jwks::LeftOutKey,
    oidc::{discovery::UnusableEndpoint, security_event::Ignored},
    quoted::Quoted,
    session::MIN_TOKEN_LIFE,
};

/// Part of a provider's answer, a request or an identity that is left out or refused while the rest goes on. Its text
/// names the part, the form that was found and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Omission {
    /// An access token that expires before it can be renewed.
    #[error(
        "the access tokens of {issuer} last {seconds} seconds: the app gets none from then on until the session is renewed; let the provider issue tokens of {} seconds or more",
        MIN_TOKEN_LIFE.as_secs()
    )]
    AccessToken {
        /// The issuer.
        issuer: String,
        /// Its `expires_in`.
        seconds: u64,
    },
    /// The values of a `step_up` that a provider does not list.
    #[error(
        "a rule asks {issuer} for {step_up}, and acr_values_supported in its metadata has none of these values: its users may never pass; compare them"
    )]
    AcrValues {
        /// The issuer.
        issuer: String,
        /// The demand.
        step_up: String,
    },
    /// A claim of a sign-in.
    #[error(
        "a sign-in at {issuer} brought no `{claim}`, which identity_headers, filter_state or conditions ask for; {remedy}"
    )]
    Claim {
        /// The issuer.
        issuer: String,
        /// The claim's name.
        claim: &'static str,
        /// The settings that may bring it.
        remedy: &'static str,
    },
    /// An endpoint in a provider's metadata.
    #[error("left an endpoint out of the metadata of {issuer}: {endpoint}")]
    Endpoint {
        /// The issuer.
        issuer: String,
        /// The endpoint, and why it is left out.
        endpoint: UnusableEndpoint,
    },
    /// A claim, or items of it, in a header or filter state.
    #[error("left {} out of {place} of {subject}: the claim {claim:?} {unfit}", part(.unfit))]
    Identity {
        /// The header or key of filter state.
        place: Place,
        /// The claim's name or pointer.
        claim: String,
        /// The user or program.
        subject: Quoted,
        /// The reason.
        unfit: Unfit,
    },
    /// The session and the token of a request, over an internal redirect of Envoy's.
    #[error(
        "a request without a session came from an internal redirect of Envoy's (x-envoy-original-url): its session and token \
         went no further than the first pass; set `internal_redirects: true` if routes have an internal_redirect_policy"
    )]
    InternalRedirect,
    /// A key of a provider's JWK set.
    #[error(
        "left {key} out of the keys of {issuer} at {url}: {}; tokens that it signs are refused until the provider publishes it as RFC 7518, 6 has it",
        .key.error
    )]
    Key {
        /// The issuer.
        issuer: String,
        /// URL of the key set.
        url: Quoted,
        /// The key, and why it is left out.
        key: LeftOutKey,
    },
    /// A security event that ends no session.
    #[error("the security event {event} of {issuer} ends no session: {reason}")]
    SecurityEvent {
        /// The issuer.
        issuer: String,
        /// Its URI.
        event: Quoted,
        /// The reason.
        reason: Ignored,
    },
}

/// The place that a claim is written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Place {
    /// This key of filter state.
    #[error("the filter state {0:?}")]
    FilterState(String),
    /// This header.
    #[error("the header {0:?}")]
    Header(String),
}

/// The part of a claim that is left out.
const fn part(unfit: &Unfit) -> &'static str {
    match unfit {
        Unfit::ItemsSeparator | Unfit::ItemsShape | Unfit::ItemsUnclean => "items",
        Unfit::Cut { .. } => "the last items",
        Unfit::Shape(_) | Unfit::TooLong { .. } | Unfit::Unclean | Unfit::Unverified => "the value",
    }
}

impl Omission {
    /// A claim of this subject that is left out or cut.
    pub fn identity(place: Place, claim: &ClaimPath, subject: &str, unfit: Unfit) -> Self {
        Self::Identity { place, claim: claim.text(), subject: Quoted::new(subject), unfit }
    }

    /// Its counter.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::AccessToken { .. } => "vestibule_short_access_tokens",
            Self::AcrValues { .. } => "vestibule_unknown_acr_values",
            Self::Claim { .. } => "vestibule_absent_claims",
            Self::Endpoint { .. } => "vestibule_left_out_endpoints",
            Self::Identity { .. } => "vestibule_left_out_identity",
            Self::InternalRedirect => "vestibule_left_out_redirects",
            Self::Key { .. } => "vestibule_left_out_keys",
            Self::SecurityEvent { .. } => "vestibule_left_out_security_events",
        }
    }
}
