//! What apps, and other filters, are told.

#[cfg(test)]
use super::super::resolve::limits;
use super::{
    super::shape::{Place, Shape, fields},
    Entries,
};

/// What the app gets in `Authorization`.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
pub(in crate::config) enum Authorization {
    /// What the client sent, if it may pass with that.
    Keep,
    /// Nothing.
    Strip,
    /// `Bearer` and the access token of the session, or the one that a program brought; nothing where there is none that is
    /// good.
    AccessToken,
    /// `Bearer` and the ID token of the session; nothing where there is none that is good.
    IdToken,
    /// What the client sent: the app reads the header itself. It is no credential here, only a session is.
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

/// What Envoy's other filters and its logs are told of a request that passes: RBAC, rate limits, access logs.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct FilterState {
    /// What stands under which key: `tenant` is read as `%FILTER_STATE(wasm.tenant:PLAIN)%`. Letters, digits, `-`, `_` and
    /// `.`; `vestibule_` begins our own.
    #[cfg_attr(test, schemars(
        with = "Option<std::collections::BTreeMap<String, ClaimText>>",
        extend("maxProperties" = limits::MAX_FILTER_STATE)
    ))]
    pub(in crate::config) claims: Option<Entries<ClaimText>>,
    /// Whether `wasm.vestibule_rule` is the name of the rule that decides, where it is one rule and has a name.
    #[cfg_attr(test, schemars(extend("default" = false)))]
    pub(in crate::config) rule: Option<bool>,
}

fields!(FilterState { claims, rule });

/// A text made of claims. Where one of them is missing there is none.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub(in crate::config) enum ClaimText {
    /// The name of a claim, or a JSON Pointer such as `/realm_access/roles`.
    Claim(String),
    /// More than that.
    Formatted(FormattedClaims),
}

/// A claim, or claims within a text, and how it is written.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(in crate::config) struct FormattedClaims {
    /// The name of a claim, or a JSON Pointer such as `/realm_access/roles`. Either this or `template`.
    pub(in crate::config) claim: Option<String>,
    /// A text in ASCII with claims in it, such as `{email}` or `{/realm_access/roles}`; `{{` is a brace.
    pub(in crate::config) template: Option<String>,
    /// The character that joins the items of lists. An item that has it is left out.
    #[cfg_attr(test, schemars(length(min = 1, max = 1), extend("default" = limits::SEPARATOR)))]
    pub(in crate::config) separator: Option<String>,
    /// How it is written.
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

/// How a text is written.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename_all = "lowercase"))]
pub(in crate::config) enum Encoding {
    /// As it is, in UTF-8.
    Utf8,
    /// Each claim, and each item of a list, with `%XX` for all but letters, digits, `-`, `.`, `_` and `~`.
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
