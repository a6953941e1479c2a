//! How the identity reaches the app, other filters and logs.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::{
        document::Node,
        shape::{Place, Shape, fields},
    },
    Entries,
};

/// The `Authorization` header that the app receives.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum Authorization {
    /// The client's header, if it is an accepted credential.
    Keep,
    /// No header.
    Strip,
    /// `Bearer` with the access token of the session, or with the client's own bearer token; no header if there is no
    /// valid one.
    AccessToken,
    /// `Bearer` with the ID token of the session; no header if there is no valid one.
    IdToken,
    /// The client's header, which the app reads itself. This filter does not accept it as a credential; only a session is
    /// accepted.
    App,
}

impl Shape for Authorization {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["keep", "strip", "access_token", "id_token", "app"]) {
            "strip" => Self::Strip,
            "access_token" => Self::AccessToken,
            "id_token" => Self::IdToken,
            "app" => Self::App,
            _ => Self::Keep,
        }
    }
}

/// The lines of the audit log.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum AuditLog {
    /// No lines.
    None,
    /// Lines without the subject.
    WithoutSubject,
    /// Lines with the subject, which is personal data.
    WithSubject,
}

impl Shape for AuditLog {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["none", "without_subject", "with_subject"]) {
            "without_subject" => Self::WithoutSubject,
            "with_subject" => Self::WithSubject,
            _ => Self::None,
        }
    }
}

/// Values of admitted requests for other Envoy filters and logs: RBAC, rate limits, access logs.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct FilterState {
    /// Claims by filter state key: `tenant` is read as `%FILTER_STATE(wasm.tenant:PLAIN)%`. Keys consist of letters,
    /// digits, `-`, `_` and `.`; the prefix `vestibule_` is reserved.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, ClaimText>>",
        extend("maxProperties" = limits::MAX_FILTER_STATE),
        extend("examples" = [{"tenant": "/org/id"}])
    ))]
    pub(in crate::config) claims: Option<Entries<ClaimText>>,
    /// Whether `wasm.vestibule_rule` contains the name of the deciding rule, if a single named rule decides.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) rule: Option<bool>,
    /// Whether `wasm.vestibule_user` contains the subject of the session or token: `sub`, or the name of a static token.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) user: Option<bool>,
}

fields!(FilterState { claims, rule, user });

/// A text made of claims. It is left out if one of them is missing.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub(in crate::config) enum ClaimText {
    /// The name of a claim, or a JSON Pointer such as `/realm_access/roles`.
    Claim(String),
    /// Claims with a format.
    Formatted(FormattedClaims),
}

impl Shape for ClaimText {
    fn read(mut place: Place<'_>) -> Self {
        match place.node() {
            Node::Object(_) => Self::Formatted(FormattedClaims::read(place)),
            Node::Text(text) => Self::Claim(text.to_string()),
            _ => {
                place.misfit("a string or an object");
                Self::Claim(String::new())
            }
        }
    }
}

/// A claim, or a template with claims, and its format.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct FormattedClaims {
    /// The name of a claim, or a JSON Pointer such as `/realm_access/roles`. Either this or `template`.
    #[cfg_attr(test, schemars(extend("examples" = ["/realm_access/roles"])))]
    pub(in crate::config) claim: Option<String>,
    /// ASCII text with claims, such as `{email}` or `{/realm_access/roles}`; `{{` means a brace.
    #[cfg_attr(test, schemars(extend("examples" = ["{name} <{email}>"])))]
    pub(in crate::config) template: Option<String>,
    /// The character that joins the items of a list. Items that contain it are left out.
    #[cfg_attr(test, schemars(
        length(min = 1, max = 1), extend("default" = limits::SEPARATOR),
        extend("examples" = ["|"])
    ))]
    pub(in crate::config) separator: Option<String>,
    /// The encoding of non-ASCII characters.
    #[cfg_attr(test, schemars(extend("default" = "utf8")))]
    pub(in crate::config) encoding: Option<Encoding>,
    /// The handling of a text that is too long for a header (7 KiB) or for filter state (4 KiB).
    #[cfg_attr(test, schemars(extend("default" = "leave_out")))]
    pub(in crate::config) too_long: Option<TooLong>,
}

fields!(FormattedClaims { claim, template, separator, encoding, too_long });

/// The handling of a text that is too long.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum TooLong {
    /// The whole text is left out.
    LeaveOut,
    /// Items at the end of a list are left out. Only for apps to which fewer groups never mean more rights.
    Cut,
    /// The request is refused.
    Refuse,
}

impl Shape for TooLong {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["leave_out", "cut", "refuse"]) {
            "cut" => Self::Cut,
            "refuse" => Self::Refuse,
            _ => Self::LeaveOut,
        }
    }
}

/// The encoding of a text.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "lowercase"))]
pub(in crate::config) enum Encoding {
    /// Unchanged UTF-8.
    Utf8,
    /// Each claim, and each item of a list, percent-encoded except letters, digits, `-`, `.`, `_` and `~`.
    Percent,
    /// The whole text as base64url.
    Base64Url,
}

impl Shape for Encoding {
    fn read(place: Place<'_>) -> Self {
        match place.word(&["utf8", "percent", "base64url"]) {
            "percent" => Self::Percent,
            "base64url" => Self::Base64Url,
            _ => Self::Utf8,
        }
    }
}
