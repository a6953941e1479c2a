//! The userinfo endpoint (OIDC Core 5.3): further claims about the subject of an ID token.
//!
//! The ID token is signed, for us and for this sign-in; the answer of this endpoint mostly is not. So it only adds claims about
//! the same subject, and changes none of the ID token.

use std::{fmt, slice};

use serde_json::{Map, Value};

use super::{
    Endpoint, RelyingParty,
    client::{AuthenticationError, CallContext},
    discovery,
    error::UnexpectedStatus,
};
use crate::{
    claims::{CLAIM_NAMES, is_left_out},
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{
        claims::{self, Audience, ClaimError},
        json::{self, JsonError},
        jws::JwsError,
        members::Members,
        verify::VerifiedJws,
    },
    secret::AccessToken,
    time::{Leeway, UnixTime},
};

/// Claims that only a signed token can make: about itself, and about the authentication.
pub const OF_THE_TOKEN: [&str; 16] = [
    "acr",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "c_hash",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "s_hash",
    "sid",
    "sub",
];

/// Claims that count together only: one source's `email_verified` says nothing about another source's `email`.
const TOGETHER: [[&str; 2]; 2] = [["email", "email_verified"], ["phone_number", "phone_number_verified"]];

/// The beginning of every compact JWS: `{"` in base64url.
const JWS: &[u8] = b"eyJ";

/// Claims about the user of an access token: the answer of the userinfo endpoint, or of a provider's API.
pub struct Userinfo {
    subject: String,
    claims: Map<String, Value>,
}

/// Why there are no further claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserinfoError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// A member is missing, or not as it must be.
    #[error("the userinfo response has no usable {0}")]
    Malformed(&'static str),
    /// No usable subject where the configuration says that it is.
    #[error(
        "the userinfo response has no text or whole number at {0}, which was to be the subject; say under `claims` where it is, such as sub: /id"
    )]
    NoSubject(String),
    /// Not JSON as it must be.
    #[error("the userinfo response is {0}")]
    NotJson(#[from] JsonError),
    /// Another subject than that of the ID token (5.3.2), or of the session.
    #[error("the userinfo response is about another sub than the ID token or the session")]
    OtherSubject,
    /// The claims of a signed answer are refused (5.3.2).
    #[error("the signed userinfo response is refused: {0}")]
    SignedClaims(ClaimError),
    /// A signed answer that cannot be read, or an encrypted one.
    #[error("the userinfo response is no JWT that can be read: {0}")]
    SignedMalformed(JwsError),
    /// The signed answer is a token of another kind.
    #[error("the userinfo response is a token of another kind, as its typ says")]
    SignedType,
    /// Not 200.
    #[error("{}", .0.at("the userinfo endpoint"))]
    Status(UnexpectedStatus),
}

/// Asks for the claims about the user of an access token (5.3.1; RFC 9449, 7.1).
///
/// # Errors
/// [`AuthenticationError`] where the token is bound to a key.
pub fn request(
    relying_party: &RelyingParty,
    endpoint: &Endpoint,
    token: &AccessToken,
    context: CallContext<'_>,
) -> Result<CalloutRequest, AuthenticationError> {
    let mut request = discovery::get(endpoint, &relying_party.clusters, relying_party.timeout);
    let scheme = relying_party.token_type().name();
    request.headers.push(("authorization", format!("{scheme} {}", token.expose())));
    if let Some(key) = &relying_party.proof_key {
        key.prove(&mut request, endpoint, Some(token), context)?;
    }
    Ok(request)
}

/// The JWT of a signed answer (5.3.2).
pub fn signed(response: &CalloutResponse) -> Option<&str> {
    let body = response.body.trim_ascii();
    (response.status == 200 && body.starts_with(JWS)).then(|| std::str::from_utf8(body).ok())?
}

/// The plain form of a signed answer with a right signature. It must be of this issuer and for this client.
///
/// # Errors
/// [`UserinfoError`]
pub fn opened(
    token: VerifiedJws,
    relying_party: &RelyingParty,
    trusted_audiences: &[String],
    now: UnixTime,
    leeway: Leeway,
) -> Result<CalloutResponse, UserinfoError> {
    if token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(UserinfoError::SignedType);
    }
    let expected = claims::Expected {
        issuer: relying_party.issuer.expected(),
        audience: Audience::Client(&relying_party.client_id, trusted_audiences),
        now,
        leeway,
    };
    let claims = claims::check_statement(token, &expected).map_err(UserinfoError::SignedClaims)?;
    Ok(CalloutResponse::new(200, Value::Object(claims).to_string().into_bytes()))
}

impl Userinfo {
    /// The answer of an API about this subject.
    pub const fn of_api(subject: String, claims: Map<String, Value>) -> Self {
        Self { subject, claims }
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The claims, while further answers of an API come.
    pub const fn claims_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.claims
    }

    /// Adds the claims of another answer. An address and its proof come from one answer.
    pub fn add(&mut self, more: Map<String, Value>) {
        for pair in TOGETHER.iter().filter(|pair| pair.iter().any(|name| more.contains_key(*name))) {
            pair.iter().for_each(|name| drop(self.claims.remove(*name)));
        }
        self.claims.extend(more);
    }

    /// The same claims, if they are about this subject.
    ///
    /// # Errors
    /// [`UserinfoError::OtherSubject`]
    pub fn about(self, subject: &str) -> Result<Self, UserinfoError> {
        if self.subject == subject { Ok(self) } else { Err(UserinfoError::OtherSubject) }
    }

    /// Reads the answer, which must be about this subject: with a substituted access token it would be about another user
    /// (5.3.4).
    ///
    /// # Errors
    /// [`UserinfoError`]
    pub fn read(response: Result<CalloutResponse, CalloutError>, subject: &str) -> Result<Self, UserinfoError> {
        let response = response?;
        if response.status != 200 {
            return Err(UserinfoError::Status(UnexpectedStatus::of(&response)));
        }
        let claims = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
        match claims.get("sub") {
            Some(Value::String(sub)) if sub == subject => Ok(Self { subject: subject.to_owned(), claims }),
            Some(Value::String(_)) => Err(UserinfoError::OtherSubject),
            _ => Err(UserinfoError::Malformed("sub")),
        }
    }

    /// This claim, where the ID token neither has it nor names it as left out: the endpoint may send fewer values than all,
    /// which a condition with `not` would count as a match.
    pub fn claim(&self, name: &str, id_token: &Map<String, Value>) -> Option<Value> {
        let value = Members::of(&self.claims).get(name)?;
        // Both sources may have left claims out.
        if let (CLAIM_NAMES, Some(Value::Object(known)), Value::Object(more)) = (name, id_token.get(name), value) {
            let mut all = known.clone();
            for (name, source) in more {
                all.entry(name.as_str()).or_insert_with(|| source.clone());
            }
            return Some(Value::Object(all));
        }
        let pair = TOGETHER.iter().find(|pair| pair.contains(&name));
        let names = pair.map_or_else(|| slice::from_ref(&name), |pair| &pair[..]);
        let is_said = |name: &&str| id_token.contains_key(*name) || is_left_out(name, id_token);
        (!OF_THE_TOKEN.contains(&name) && !names.iter().any(is_said)).then(|| value.clone())
    }
}

/// Shows no claim: they are personal data.
impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Userinfo").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &str) -> Result<Userinfo, UserinfoError> {
        Userinfo::read(Ok(CalloutResponse::new(status, body.as_bytes().to_vec())), "alice")
    }

    const TOKEN_REFUSED: &str = r#"{"error":"insufficient_scope","error_description":"openid scope required"}"#;

    fn status(status: u16, body: &str) -> UserinfoError {
        let response = CalloutResponse::new(status, body.as_bytes().to_vec());
        UserinfoError::Status(UnexpectedStatus::of(&response))
    }

    fn twice(name: &str) -> JsonError {
        JsonError::DuplicateMember(crate::quoted::Quoted::new(name))
    }

    #[test]
    fn a_userinfo_response_must_have_the_subject_of_the_id_token() {
        for (status, body, expected) in [
            (200, r#"{"sub":"alice"}"#, None),
            (200, r#"{"sub":"Alice"}"#, Some(UserinfoError::OtherSubject)),
            (200, r#"{"sub":"alice "}"#, Some(UserinfoError::OtherSubject)),
            (200, r#"{"sub":""}"#, Some(UserinfoError::OtherSubject)),
            (200, r#"{"sub":["alice"]}"#, Some(UserinfoError::Malformed("sub"))),
            (200, r#"{"sub":null}"#, Some(UserinfoError::Malformed("sub"))),
            (200, r#"{"email":"alice@example.com"}"#, Some(UserinfoError::Malformed("sub"))),
            (200, r#"{"sub":"alice","sub":"bob"}"#, Some(UserinfoError::NotJson(twice("sub")))),
            (200, "\u{feff}{\"sub\":\"alice\"}", None),
            (200, r#"[{"sub":"alice"}]"#, Some(UserinfoError::NotJson(JsonError::NotAnObject))),
            (200, "<html>", Some(UserinfoError::NotJson(JsonError::Malformed))),
            (200, "", Some(UserinfoError::NotJson(JsonError::Malformed))),
            (200, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", Some(UserinfoError::NotJson(JsonError::Malformed))),
            (201, r#"{"sub":"alice"}"#, Some(status(201, ""))),
            (401, r#"{"sub":"alice"}"#, Some(status(401, ""))),
            (403, TOKEN_REFUSED, Some(status(403, TOKEN_REFUSED))),
        ] {
            assert_eq!(read(status, body).err(), expected, "{status} {body}");
        }
        assert_eq!(
            read(403, TOKEN_REFUSED).unwrap_err().to_string(),
            r#"the userinfo endpoint answered 403, and says insufficient_scope ("openid scope required")"#
        );
        assert_eq!(
            Userinfo::read(Err(CalloutError::NoResponse), "alice").err(),
            Some(UserinfoError::Callout(CalloutError::NoResponse))
        );
    }

    #[test]
    fn userinfo_claims_never_replace_id_token_claims() {
        let userinfo = |claims: Value| {
            let Value::Object(mut claims) = claims else { panic!() };
            claims.insert("sub".to_owned(), json!("alice"));
            read(200, &Value::Object(claims).to_string()).unwrap()
        };
        let email = || json!({ "email": "a@userinfo.example", "email_verified": true });
        let names = |names: Value| json!({ "_claim_names": names });
        let cases = [
            ("a claim more", json!({ "groups": ["a"] }), json!({}), "groups", Some(json!(["a"]))),
            ("none", json!({}), json!({ "groups": ["a"] }), "groups", None),
            ("an empty one", json!({ "nickname": "" }), json!({}), "nickname", None),
            ("null", json!({ "groups": null }), json!({}), "groups", None),
            ("an empty list", json!({ "groups": [] }), json!({}), "groups", Some(json!([]))),
            ("the ID token wins", json!({ "groups": ["a"] }), json!({ "groups": [] }), "groups", None),
            ("also with null", json!({ "groups": ["a"] }), json!({ "groups": null }), "groups", None),
            ("an address", email(), json!({}), "email", Some(json!("a@userinfo.example"))),
            ("and its proof", email(), json!({}), "email_verified", Some(json!(true))),
            ("no proof for another", email(), json!({ "email": "b@token.example" }), "email_verified", None),
            ("no address for a proof", email(), json!({ "email_verified": true }), "email", None),
            ("a doubt stays", email(), json!({ "email_verified": false }), "email", None),
            (
                "a phone alike",
                json!({ "phone_number": "+1", "phone_number_verified": true }),
                json!({ "phone_number": "+2" }),
                "phone_number_verified",
                None,
            ),
            ("left out", json!({ "groups": ["a"] }), names(json!({ "groups": "s" })), "groups", None),
            ("left out, as said otherwise", json!({ "groups": ["a"] }), json!({ "hasgroups": true }), "groups", None),
            (
                "another left out",
                json!({ "groups": ["a"] }),
                names(json!({ "roles": "s" })),
                "groups",
                Some(json!(["a"])),
            ),
            (
                "here left out",
                names(json!({ "groups": "s" })),
                json!({}),
                "_claim_names",
                Some(json!({ "groups": "s" })),
            ),
            (
                "both left out",
                names(json!({ "groups": "s", "roles": "s" })),
                names(json!({ "roles": "t", "teams": "t" })),
                "_claim_names",
                Some(json!({ "groups": "s", "roles": "t", "teams": "t" })),
            ),
            ("nothing that hides it", names(json!(null)), names(json!({ "groups": "s" })), "_claim_names", None),
        ];
        for (what, said, id_token, name, expected) in cases {
            assert_eq!(userinfo(said).claim(name, id_token.as_object().unwrap()), expected, "{what}");
        }
        for name in OF_THE_TOKEN {
            assert_eq!(userinfo(json!({ (name): "alice" })).claim(name, &Map::new()), None, "{name}");
        }
    }
}
