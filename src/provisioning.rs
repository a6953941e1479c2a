//! Provisioning: the app is asked about a verified user before the session begins, and again at renewals. It may create the
//! user, give attributes or refuse. One request and its response; the request never has a token in it.

use std::{fmt, rc::Rc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    claims::{Claim, Claims},
    http::{CalloutError, CalloutRequest, CalloutResponse, Cluster},
    jose::json::{self, JsonError},
    oidc::{Endpoint, error::UnexpectedStatus},
    quoted::Quoted,
    secret::ProvisioningSecret,
};

/// The claim of a session that holds the attributes of the app.
pub const ATTRIBUTES: &str = "attributes";

/// The most bytes of JSON of the claims in a request. Those that do not fit are named in `left_out`.
const MAX_CLAIMS: usize = 32 * 1024;
/// The longest response, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;
/// The longest message of a refusal, in characters.
const MAX_MESSAGE: usize = 500;

/// The endpoint of the app.
#[derive(Debug)]
pub struct ProvisioningEndpoint {
    /// Its URL.
    pub url: Endpoint,
    /// The cluster that reaches it.
    pub cluster: Cluster,
    /// The bearer token by which the app knows our requests.
    pub secret: Option<ProvisioningSecret>,
    /// The timeout of a call.
    pub timeout: Duration,
    /// Whether it is asked at renewals too.
    pub at_renewal: bool,
    /// The names of the claims that it is sent.
    pub claims: Vec<String>,
}

/// The provisioning of the users of one provider.
#[derive(Debug, Clone)]
pub struct Provisioning {
    /// The endpoint.
    pub endpoint: Rc<ProvisioningEndpoint>,
    /// Whether it is asked about users of this provider.
    pub is_asked: bool,
    /// Whether the app may create users of this provider.
    pub registration: Registration,
}

/// Whether the app may create unknown users. It is passed to the app, which decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// It may.
    Allowed,
    /// The user must exist.
    Refused,
}

/// When the app is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Before a session begins.
    SignIn,
    /// Before a session goes on with new tokens.
    Renewal,
}

/// A user, as the provider has vouched for.
#[derive(Clone, Copy)]
pub struct User<'a> {
    /// The name of the provider in the configuration.
    pub provider: &'a str,
    /// The issuer, which makes `subject` unique.
    pub issuer: &'a str,
    /// `sub`
    pub subject: &'a str,
    /// The claims.
    pub claims: &'a dyn Claims,
}

/// Why a user may not sign in, or not now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisioningError {
    /// No response.
    #[error("{0}")]
    Callout(#[from] CalloutError),
    /// An object without attributes that are an object.
    #[error(
        "the response of the provisioning endpoint has no object `attributes`; a response without attributes has no body"
    )]
    Malformed,
    /// 403 without the message that makes it a refusal by the app.
    #[error(
        "the provisioning endpoint answered 403 without a JSON object with the text `message`; has something before the app refused the call?"
    )]
    NoMessage,
    /// Not a JSON object.
    #[error("the response of the provisioning endpoint is {0}")]
    NotJson(#[from] JsonError),
    /// The app refuses the user.
    #[error("the app refuses the user, and says {0}")]
    Refused(Message),
    /// Another status.
    #[error("{}", .0.at("the provisioning endpoint"))]
    Status(UnexpectedStatus),
}

/// The message of a refusal, for the page: one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    fn of(text: &str) -> Self {
        let shown = |c: char| if is_invisible(c) { ' ' } else { c };
        let text: String = text.chars().map(shown).take(MAX_MESSAGE).collect();
        Self(text.trim().to_owned())
    }

    /// The text; empty where the app says nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted::new(&self.0).fmt(f)
    }
}

/// Control characters, and those that turn the direction of the text after them.
fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Provisioning {
    /// Whether the app is asked on this occasion.
    pub fn is_asked_at(&self, occasion: Occasion) -> bool {
        self.is_asked && (occasion == Occasion::SignIn || self.endpoint.at_renewal)
    }

    /// The time that a renewal waits for the app at most.
    pub fn time_to_renew(&self) -> Duration {
        if self.is_asked_at(Occasion::Renewal) { self.endpoint.timeout } else { Duration::ZERO }
    }

    /// Asks about a user.
    pub fn request(&self, occasion: Occasion, user: User<'_>) -> CalloutRequest {
        let ProvisioningEndpoint { url, cluster, secret, timeout, .. } = &*self.endpoint;
        let mut headers =
            vec![("accept", "application/json".to_owned()), ("content-type", "application/json".to_owned())];
        headers.extend(secret.iter().map(|secret| ("authorization", format!("Bearer {}", secret.expose()))));
        CalloutRequest {
            cluster: cluster.clone(),
            method: "POST",
            authority: url.authority(),
            path: url.path_and_query(),
            headers,
            body: self.body(occasion, user).to_string().into_bytes(),
            timeout: *timeout,
        }
    }

    fn body(&self, occasion: Occasion, user: User<'_>) -> Value {
        let event = match occasion {
            Occasion::SignIn => "sign_in",
            Occasion::Renewal => "renewal",
        };
        let registration = match self.registration {
            Registration::Allowed => "allowed",
            Registration::Refused => "refused",
        };
        let mut body = Map::new();
        let texts = [
            ("event", event),
            ("provider", user.provider),
            ("iss", user.issuer),
            ("sub", user.subject),
            ("registration", registration),
        ];
        for (name, text) in texts {
            body.insert(name.to_owned(), text.into());
        }
        let (claims, left_out) = self.claims(user.claims);
        body.insert("claims".to_owned(), Value::Object(claims));
        if !left_out.is_empty() {
            body.insert("left_out".to_owned(), Value::Array(left_out));
        }
        Value::Object(body)
    }

    /// The claims, and the names of those that are too large.
    fn claims(&self, all: &dyn Claims) -> (Map<String, Value>, Vec<Value>) {
        let (mut claims, mut left_out, mut room) = (Map::new(), Vec::new(), MAX_CLAIMS);
        for name in &self.endpoint.claims {
            let value = match all.claim(name) {
                None => continue,
                Some(Claim::Text(text)) => Value::from(text),
                Some(Claim::Json(value)) => value.clone(),
            };
            match room.checked_sub(value.to_string().len()) {
                Some(rest) => {
                    room = rest;
                    claims.insert(name.clone(), value);
                }
                None => left_out.push(name.as_str().into()),
            }
        }
        (claims, left_out)
    }
}

/// Reads the answer: the attributes of a user who may sign in.
///
/// # Errors
/// [`ProvisioningError`]
pub fn read(response: Result<CalloutResponse, CalloutError>) -> Result<Map<String, Value>, ProvisioningError> {
    let response = response?;
    match (response.status, response.body.as_slice()) {
        (204, _) | (200 | 201, []) => Ok(Map::new()),
        (200 | 201, body) => match json::response_object(body, MAX_RESPONSE)?.remove(ATTRIBUTES) {
            Some(Value::Object(attributes)) => Ok(attributes),
            _ => Err(ProvisioningError::Malformed),
        },
        // Gateways answer 403 too. Taken for a refusal, that would end every session at its renewal.
        (403, body) => match json::response_object(body, MAX_RESPONSE).unwrap_or_default().get("message") {
            Some(Value::String(message)) => Err(ProvisioningError::Refused(Message::of(message))),
            _ => Err(ProvisioningError::NoMessage),
        },
        _ => Err(ProvisioningError::Status(UnexpectedStatus::of(&response))),
    }
}

#[cfg(test)]
mod tests;
