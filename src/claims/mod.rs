//! What is claimed of a caller, by a session or a token, and the conditions that an operator puts on it.

mod condition;
mod expression;
mod shape;
mod template;

pub use condition::{CLAIM_NAMES, Condition, Conditions, Finding, LEFT_OUT, Outcome, is_left_out};
pub use expression::Expression;
pub use shape::Shape;
pub use template::{Encoding, Report, Template, TooLong, Unfit};

use serde_json::{Map, Value};

use crate::{
    digest::{HalfDigest, half_digest},
    time::UnixTime,
};

/// The longest name of a claim, or pointer to one.
pub const MAX_PATH: usize = 256;

/// Whose word it is: names an issuer, and who we are there, wherever that is written down. It stays the same when other
/// issuers are added, taken away or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerId(HalfDigest);

impl IssuerId {
    /// Of a provider that people sign in at.
    pub fn of_provider(issuer: &str, client_id: &str) -> Self {
        Self(half_digest("provider", &[issuer.as_bytes(), client_id.as_bytes()]))
    }

    /// Of an issuer that only programs bring tokens of.
    pub fn of_token_issuer(issuer: &str) -> Self {
        Self(half_digest("token issuer", &[issuer.as_bytes()]))
    }

    /// As it is written down.
    pub const fn as_bytes(&self) -> &HalfDigest {
        &self.0
    }

    /// As it was written down: perhaps of an issuer that is configured no more.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// Somebody of whom something is claimed, by whoever had the right to.
pub trait Claims {
    /// The claim of this name.
    fn claim(&self, name: &str) -> Option<Claim<'_>>;

    /// Whose word it is; `None` where it is the operator's own.
    fn issuer(&self) -> Option<IssuerId>;

    /// Whether it is known that this claim is there or absent. A token has all its claims; a session has those that were
    /// configured when it began.
    fn is_known(&self, _name: &str) -> bool {
        true
    }

    /// Where the claims are from, for the log.
    fn source(&self) -> &'static str {
        "the token"
    }
}

/// Claims by themselves, of whoever it is.
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
    /// As the token had it.
    Json(&'a Value),
}

impl Claim<'_> {
    /// Whether it says yes. Some providers write truth values as text.
    pub fn is_true(self) -> bool {
        matches!(self, Self::Json(value) if *value == true || *value == "true")
    }
}

/// A token of a program that the operator has listed, by its digest.
#[derive(Debug, Clone)]
pub struct StaticToken {
    /// Its name: the `sub` of whoever brings it.
    pub name: String,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// What is claimed of whoever brings it.
    pub claims: Map<String, Value>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixTime>,
}

/// Where a claim is found: its name, or a JSON Pointer (RFC 6901) to what stands in it, such as
/// `/realm_access/roles`. Names may hold dots and slashes (`https://example.com/groups`), so nothing else parts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    name: String,
    /// The rest of the pointer, empty or with its slash.
    below: String,
}

impl ClaimPath {
    /// Reads it; `None` where it names nothing, or is no pointer.
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

    /// The name of the claim in which it is found.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the claim itself, and nothing within it.
    pub const fn is_whole(&self) -> bool {
        self.below.is_empty()
    }

    /// As it was written.
    pub fn text(&self) -> String {
        if self.is_whole() {
            return self.name.clone();
        }
        format!("/{}{}", self.name.replace('~', "~0").replace('/', "~1"), self.below)
    }

    /// What stands there.
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
