//! Claims of a session or token, and the operator's conditions on them.

mod condition;
mod expression;
mod object_keys;
mod shape;
mod step_up;
mod template;

pub use condition::{CLAIM_NAMES, Condition, Conditions, Finding, LEFT_OUT, Outcome, Unmet, email_domain, is_left_out};
pub use expression::Expression;
pub use object_keys::ObjectKeys;
pub use shape::Shape;
pub use step_up::{AuthenticationClaims, StepUp, StepUpId};
pub use template::{Encoding, Report, Template, TooLong, Unfit};

use serde_json::{Map, Value};

use crate::{
    digest::{HalfDigest, half_digest},
    time::UnixTime,
};

/// The longest name of a claim or JSON Pointer, in bytes.
pub const MAX_PATH: usize = 256;

/// The id of an issuer and its client registration, as sealed into sessions. It stays the same if other issuers are
/// added, removed or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerId(HalfDigest);

impl IssuerId {
    /// The id of a provider for sign-in.
    pub fn of_provider(issuer: &str, client_id: &str) -> Self {
        Self(half_digest("provider", &[issuer.as_bytes(), client_id.as_bytes()]))
    }

    /// The id of an issuer of bearer tokens only.
    pub fn of_token_issuer(issuer: &str) -> Self {
        Self(half_digest("token issuer", &[issuer.as_bytes()]))
    }

    /// The id of a provider's transmitter of security events, where it has keys of its own.
    pub fn of_transmitter(self) -> Self {
        Self(half_digest("transmitter", &[&self.0]))
    }

    /// The bytes in sealed values.
    pub const fn as_bytes(&self) -> &HalfDigest {
        &self.0
    }

    /// The id from these bytes; its issuer may no longer be configured.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A source of claims about a caller.
pub trait Claims {
    /// The claim of this name.
    fn claim(&self, name: &str) -> Option<Claim<'_>>;

    /// The issuer of the claims; `None` if the operator configured them.
    fn issuer(&self) -> Option<IssuerId>;

    /// Whether the presence or absence of this claim is known. A token has all its claims; a session has those
    /// configured at its sign-in.
    fn is_known(&self, _name: &str) -> bool {
        true
    }

    /// The source of the claims, for the log.
    fn source(&self) -> &'static str {
        "the token"
    }
}

/// Claims without an issuer.
impl Claims for Map<String, Value> {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        self.get(name).map(Claim::Json)
    }

    fn issuer(&self) -> Option<IssuerId> {
        None
    }
}

/// A claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim<'a> {
    /// Plain text.
    Text(&'a str),
    /// A JSON value.
    Json(&'a Value),
}

impl Claim<'_> {
    /// Whether it is true. Some providers write booleans as text.
    pub fn is_true(self) -> bool {
        matches!(self, Self::Json(value) if *value == true || *value == "true")
    }
}

/// The seconds of `auth_time` (OIDC Core 2). Some providers write it with a fraction; zero means unknown.
pub fn auth_time(value: &Value) -> Option<u64> {
    value.as_f64().map(|seconds| seconds as u64).filter(|seconds| *seconds > 0)
}

/// A static bearer token from the configuration.
#[derive(Debug, Clone)]
pub struct StaticToken {
    /// Its name, the claim `sub`.
    pub name: String,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Its other claims.
    pub claims: Map<String, Value>,
    /// Its expiry, if any.
    pub expires_at: Option<UnixTime>,
}

/// The path of a claim: its name, or a JSON Pointer (RFC 6901) such as `/realm_access/roles`. Names may contain dots
/// and slashes (`https://example.com/groups`), so no other syntax separates segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    name: String,
    /// The rest of the pointer, empty or with its slash.
    below: String,
}

impl ClaimPath {
    /// Parses a path; `None` if it is empty, too long or not a JSON Pointer.
    pub fn parse(text: &str) -> Option<Self> {
        if !(1..=MAX_PATH).contains(&text.len()) {
            return None;
        }
        let Some(pointer) = text.strip_prefix('/') else {
            return Some(Self { name: text.to_owned(), below: String::new() });
        };
        let (name, below) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
        let is_escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let path = Self { name: name.replace("~1", "/").replace("~0", "~"), below: below.to_owned() };
        (is_escaped && !path.name.is_empty()).then_some(path)
    }

    /// The name of the top-level claim.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it selects the whole top-level claim.
    pub const fn is_whole(&self) -> bool {
        self.below.is_empty()
    }

    /// The path as configured.
    pub fn text(&self) -> String {
        if self.is_whole() {
            return self.name.clone();
        }
        format!("/{}{}", self.name.replace('~', "~0").replace('/', "~1"), self.below)
    }

    /// The value at this path.
    pub fn find<'a>(&self, claims: &'a dyn Claims) -> Option<Claim<'a>> {
        match claims.claim(&self.name)? {
            claim if self.below.is_empty() => Some(claim),
            Claim::Json(value) => value.pointer(&self.below).map(Claim::Json),
            Claim::Text(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A token as plain claims.
    pub(super) struct Token(pub(super) Value);

    impl Claims for Token {
        fn claim(&self, name: &str) -> Option<Claim<'_>> {
            self.0.get(name).map(Claim::Json)
        }

        fn issuer(&self) -> Option<IssuerId> {
            None
        }
    }

    #[test]
    fn a_path_is_a_name_or_a_json_pointer() {
        let token = Token(json!({
            "groups": ["a"],
            "a.b": 1,
            "https://example.com/roles": ["r"],
            "realm_access": { "roles": ["admin"], "a/b": { "~": true } },
            "list": [{ "x": "y" }],
            "": "nameless",
        }));
        let cases = [
            ("groups", Some(json!(["a"]))),
            ("/groups", Some(json!(["a"]))),
            ("/groups/0", Some(json!("a"))),
            ("a.b", Some(json!(1))),
            ("https://example.com/roles", Some(json!(["r"]))),
            ("/https:~1~1example.com~1roles", Some(json!(["r"]))),
            ("/realm_access/roles", Some(json!(["admin"]))),
            ("/realm_access/a~1b/~0", Some(json!(true))),
            ("/list/0/x", Some(json!("y"))),
            ("/list/00/x", None),
            ("/list/-/x", None),
            ("realm_access.roles", None),
            ("realm_access/roles", None),
            ("/groups/a", None),
            ("absent", None),
        ];
        for (text, expected) in cases {
            let path = ClaimPath::parse(text).unwrap();
            assert_eq!(path.find(&token), expected.as_ref().map(Claim::Json), "{text}");
        }
        for text in ["", "/", "//", "//a", "/a~", "/a~2", "/~/a", &"a".repeat(257)] {
            assert_eq!(ClaimPath::parse(text), None, "{text}");
        }
    }
}
