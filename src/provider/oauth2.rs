//! OAuth 2.0 alone (RFC 6749): endpoints that the operator names, no metadata, no ID token and no key. The identity is what the
//! userinfo endpoint, and others where they are named, answer to the access token of this very sign-in.

use std::{fmt, rc::Rc};

use serde_json::{Map, Value};

use super::inquiry::{Inquiry, Progress};
use crate::{
    claims::{Claim, ClaimPath},
    digest::{HalfDigest, half_digest},
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{json, members::Members},
    oidc::{
        Endpoint, RelyingParty,
        client::{AuthenticationError, CallContext},
        discovery,
        error::{ErrorResponse, UnexpectedStatus},
        id_token::is_usable_subject,
        provider_metadata::ProviderMetadata,
        userinfo::{self, Userinfo, UserinfoError},
    },
    secret::AccessToken,
};

/// A server that speaks OAuth 2.0, and the claims that are read from its answers.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// Its endpoints.
    pub metadata: Rc<ProviderMetadata>,
    /// How it is asked about the user.
    pub questions: Rc<Questions>,
    digest: HalfDigest,
}

/// How a server is asked about the user of an access token.
#[derive(Debug, Clone)]
pub struct Questions {
    /// The userinfo endpoint. Its answer names the subject, and its members are claims under their own names.
    pub userinfo: Question,
    /// The endpoints that are asked afterwards; each adds the claims that are read from it.
    pub further: Vec<Question>,
    /// Where the access token is sent.
    pub token_place: TokenPlace,
    /// Whether the server verifies each address before it shows it, although it does not say so.
    pub email_is_verified: bool,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// The URL that is asked.
    pub endpoint: Endpoint,
    /// Of a list, the first element with these members is read.
    pub select: Vec<(String, Value)>,
    /// The claims that are read, and where each is in the answer.
    pub claims: Vec<(String, ClaimPath)>,
}

/// Where a server takes the access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlace {
    /// The header `Authorization` (RFC 6750, 2.1).
    Header,
    /// The parameter `access_token` (RFC 6750, 2.3).
    Query,
}

impl OAuth2 {
    /// A server with these endpoints, which is asked these questions.
    pub fn new(metadata: ProviderMetadata, questions: Questions) -> Self {
        let digest = questions.digest();
        Self { metadata: Rc::new(metadata), questions: Rc::new(questions), digest }
    }

    /// A digest of all that decides which claims are read from the answers.
    pub const fn questions_digest(&self) -> &HalfDigest {
        &self.digest
    }
}

impl Questions {
    fn digest(&self) -> HalfDigest {
        let mut parts = vec![self.email_is_verified.to_string()];
        for Question { endpoint, select, claims } in [&self.userinfo].into_iter().chain(&self.further) {
            parts.push(endpoint.url().as_str().to_owned());
            parts.extend(select.iter().flat_map(|(name, value)| [name.clone(), text(value)]));
            parts.push(String::new());
            parts.extend(claims.iter().flat_map(|(name, path)| [name.clone(), path.text()]));
        }
        half_digest("questions", &parts.iter().map(String::as_bytes).collect::<Vec<_>>())
    }

    /// The number of calls.
    pub const fn count(&self) -> usize {
        self.further.len().saturating_add(1)
    }

    /// Begins to ask about the user of this access token.
    pub(super) fn about(self: &Rc<Self>, token: AccessToken) -> Box<dyn Inquiry> {
        Box::new(UserInquiry { questions: Rc::clone(self), token, known: None })
    }

    fn at(&self, place: usize) -> &Question {
        place.checked_sub(1).and_then(|place| self.further.get(place)).unwrap_or(&self.userinfo)
    }

    /// The user that the first answer names.
    fn user(&self, response: &CalloutResponse) -> Result<Userinfo, UserinfoError> {
        let mut claims = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
        if ErrorResponse::read(Members::of(&claims)).is_some() {
            return Err(UserinfoError::Status(UnexpectedStatus::of(response)));
        }
        let path = self.userinfo.claims.iter().find_map(|(name, path)| (name == "sub").then_some(path));
        let subject = path.map_or_else(|| claims.get("sub").and_then(text_of), |path| subject(path, &claims));
        let Some(subject) = subject else {
            return Err(UserinfoError::NoSubject(path.map_or_else(|| "sub".to_owned(), ClaimPath::text)));
        };
        let mapped = self.userinfo.read(&claims);
        // A member of the name of a mapped claim is not that claim.
        self.userinfo.claims.iter().for_each(|(name, _)| drop(claims.remove(name)));
        let mut userinfo = Userinfo::of_api(subject, claims);
        userinfo.add(mapped);
        Ok(userinfo)
    }

    /// Adds `email_verified` where the operator vouches for addresses, and the server says nothing of them.
    fn complete(&self, userinfo: &mut Userinfo) {
        let claims = userinfo.claims_mut();
        let has = |name: &str| Members::of(claims).get(name).is_some();
        if self.email_is_verified && has("email") && !has("email_verified") {
            claims.insert("email_verified".to_owned(), true.into());
        }
    }
}

impl Question {
    /// The claims in this answer.
    fn read(&self, answer: &Map<String, Value>) -> Map<String, Value> {
        let mut found = Map::new();
        for (name, path) in &self.claims {
            if let Some(Claim::Json(value)) = path.find(answer) {
                found.insert(name.clone(), value.clone());
            }
        }
        found
    }

    /// The claims in the answer to a further question, which is an object or a list of them.
    fn read_further(&self, response: &CalloutResponse) -> Result<Map<String, Value>, UserinfoError> {
        let is_selected =
            |element: &&Map<String, Value>| self.select.iter().all(|(name, value)| element.get(name) == Some(value));
        let is_list = response.body.trim_ascii_start().starts_with(b"[");
        if !is_list {
            let object = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
            return Ok(Some(&object).filter(is_selected).map(|object| self.read(object)).unwrap_or_default());
        }
        let list = json::response_array(&response.body, MAX_CALLOUT_BODY)?;
        let selected = list.iter().filter_map(Value::as_object).find(is_selected);
        Ok(selected.map(|element| self.read(element)).unwrap_or_default())
    }
}

/// A value of [`Question::select`] as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().unwrap_or_default().to_bits().to_string(),
        other => (*other == true).to_string(),
    }
}

/// The subject at this path. A number is as good as text: many servers number their users.
fn subject(path: &ClaimPath, answer: &Map<String, Value>) -> Option<String> {
    match path.find(answer)? {
        Claim::Json(value) => text_of(value),
        Claim::Text(text) => Some(text.to_owned()),
    }
}

fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    is_usable_subject(&text).then_some(text)
}

/// The questions about the user of an access token, and the answers so far.
struct UserInquiry {
    questions: Rc<Questions>,
    token: AccessToken,
    /// The claims so far, and the number of answered questions.
    known: Option<(Box<Userinfo>, usize)>,
}

/// Shows no claim: they are about a person.
impl fmt::Debug for UserInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserInquiry").finish_non_exhaustive()
    }
}

impl UserInquiry {
    fn question(&self) -> &Question {
        self.questions.at(self.known.as_ref().map_or(0, |(_, answered)| *answered))
    }
}

impl Inquiry for UserInquiry {
    fn request(
        &self,
        relying_party: &RelyingParty,
        context: CallContext<'_>,
    ) -> Result<CalloutRequest, AuthenticationError> {
        let endpoint = &self.question().endpoint;
        match self.questions.token_place {
            TokenPlace::Header => userinfo::request(relying_party, endpoint, &self.token, context),
            TokenPlace::Query => {
                let endpoint = endpoint.with_parameter("access_token", self.token.expose());
                Ok(discovery::get(&endpoint, &relying_party.clusters, relying_party.timeout))
            }
        }
    }

    fn read(self: Box<Self>, response: Result<CalloutResponse, CalloutError>) -> Result<Progress, UserinfoError> {
        let response = response?;
        if response.status != 200 {
            return Err(UserinfoError::Status(UnexpectedStatus::of(&response)));
        }
        let (mut userinfo, answered) = if self.known.is_none() {
            (Box::new(self.questions.user(&response)?), 1)
        } else {
            let more = self.question().read_further(&response)?;
            let Some((mut userinfo, answered)) = self.known else { return Err(UserinfoError::Malformed("sub")) };
            userinfo.add(more);
            (userinfo, answered.saturating_add(1))
        };
        if answered >= self.questions.count() {
            self.questions.complete(&mut userinfo);
            return Ok(Progress::Known(userinfo));
        }
        let Self { questions, token, .. } = *self;
        Ok(Progress::Ask(Box::new(Self { questions, token, known: Some((userinfo, answered)) })))
    }
}

#[cfg(test)]
mod tests;
