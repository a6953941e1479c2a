//! GitHub, and GitHub Enterprise Server: OAuth 2.0 alone. There is no ID token, no metadata and no key, so who has signed
//! in is what the API says with the access token of this very sign-in.
//!
//! <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>, and `/user`, `/user/emails`,
//! `/user/orgs` and `/user/teams` of the REST API.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Endpoint, EndpointError, PlainHttp, Provider,
    discovery::{self, ProviderMetadata},
    error::UnexpectedStatus,
    identity::Identity,
    userinfo::UserinfoError,
};
use crate::{
    claims::CLAIM_NAMES,
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{json, members::Members},
    secret::AccessToken,
};

/// How many pages of one list are read. What has more counts as left out, as a part of a list proves no absence.
const MAX_PAGES: usize = 5;

/// Where it is, and what it is asked.
#[derive(Debug, Clone)]
pub struct Github {
    /// Where its pages are, which stands for the issuer.
    web: String,
    /// What the paths of the API stand below.
    pub api: Endpoint,
    /// Its endpoints, which are not discovered.
    pub metadata: ProviderMetadata,
    /// What is asked beside `/user`.
    questions: Vec<Question>,
}

/// What is asked of the API beside who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Which email address is verified.
    Emails,
    /// In which organisations.
    Organizations,
    /// In which teams of them.
    Teams,
}

impl Question {
    const ALL: [Self; 3] = [Self::Emails, Self::Organizations, Self::Teams];

    /// The claim that it answers.
    const fn claim(self) -> &'static str {
        match self {
            Self::Emails => "email",
            Self::Organizations => "orgs",
            Self::Teams => "teams",
        }
    }

    /// Where, and the scope that it takes.
    const fn path_and_scope(self) -> (&'static str, &'static str) {
        match self {
            Self::Emails => ("/user/emails", "user:email"),
            Self::Organizations => ("/user/orgs", "read:org"),
            Self::Teams => ("/user/teams", "read:org"),
        }
    }

    /// How much a page holds: a team comes with all of its organisation.
    const fn per_page(self) -> usize {
        if matches!(self, Self::Teams) { 50 } else { 100 }
    }

    /// What an element of the list says; `None` where it is not as it must be.
    fn read(self, element: &Value) -> Option<Value> {
        match self {
            Self::Emails => {
                let is_good = element.get("primary") == Some(&Value::Bool(true))
                    && element.get("verified") == Some(&Value::Bool(true));
                if !is_good {
                    return Some(Value::Null);
                }
                let email = Members::of(element.as_object()?).optional("email").ok()?;
                Some(email.map_or(Value::Null, Value::from))
            }
            Self::Organizations => element.get("login").filter(|login| login.is_string()).cloned(),
            Self::Teams => {
                let organization = element.pointer("/organization/login")?.as_str()?;
                Some(format!("{organization}/{}", element.get("slug")?.as_str()?).into())
            }
        }
    }
}

impl Github {
    /// The one whose pages and whose API are below these.
    ///
    /// # Errors
    /// [`EndpointError`]
    pub fn new(web: &str, api: Endpoint, plain_http: PlainHttp) -> Result<Self, EndpointError> {
        let endpoint = |path: &str| Endpoint::parse(&format!("{}{path}", web.trim_end_matches('/')), plain_http);
        let metadata = ProviderMetadata {
            authorization_endpoint: endpoint("/login/oauth/authorize")?,
            token_endpoint: endpoint("/login/oauth/access_token")?,
            jwks_uri: None,
            end_session_endpoint: None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            iss_parameter: false,
            account_prompt: "select_account",
            post_only: true,
            left_out: Vec::new(),
        };
        Ok(Self { web: web.to_owned(), api, metadata, questions: Vec::new() })
    }

    /// Has it asked for these claims alone. What comes out are the scopes that takes.
    pub fn ask_for(&mut self, claims: &[String]) -> Vec<String> {
        let is_wanted = |question: &Question| claims.iter().any(|claim| claim == question.claim());
        self.questions = Question::ALL.into_iter().filter(is_wanted).collect();
        let mut scopes = Vec::new();
        for (_, scope) in self.questions.iter().map(|question| question.path_and_scope()) {
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }
}

/// What is being asked of whoever the access token is for.
pub struct Inquiry {
    token: AccessToken,
    stage: Stage,
}

enum Stage {
    /// Who it is.
    User,
    /// What else is to be said of them.
    Further(Box<Identity>, List),
}

/// A list that is being read, page by page.
struct List {
    /// The place of its question.
    place: usize,
    /// How many pages have come.
    pages: usize,
    found: Vec<Value>,
}

impl List {
    const fn of(place: usize) -> Self {
        Self { place, pages: 0, found: Vec::new() }
    }
}

/// Shows no claim: they are about a person.
impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquiry").finish_non_exhaustive()
    }
}

/// What an answer has led to.
#[derive(Debug)]
pub enum Progress {
    /// There is more to ask.
    Ask(Inquiry),
    /// All is known.
    Known(Box<Identity>),
}

impl Inquiry {
    /// Begins with who it is.
    pub const fn of(token: AccessToken) -> Self {
        Self { token, stage: Stage::User }
    }

    /// What it asks with.
    pub const fn access_token(&self) -> &AccessToken {
        &self.token
    }

    /// The next call.
    pub fn request(&self, provider: &Provider, github: &Github) -> CalloutRequest {
        let mut request = discovery::get(&github.api, &provider.clusters, provider.timeout);
        request.path = format!("{}{}", request.path.trim_end_matches('/'), self.path(github));
        request.headers = vec![
            ("accept", "application/vnd.github+json".to_owned()),
            ("authorization", format!("Bearer {}", self.token.expose())),
        ];
        request
    }

    fn path(&self, github: &Github) -> String {
        let Stage::Further(_, list) = &self.stage else { return "/user".to_owned() };
        let Some(question) = github.questions.get(list.place) else { return String::new() };
        format!(
            "{}?per_page={}&page={}",
            question.path_and_scope().0,
            question.per_page(),
            list.pages.saturating_add(1)
        )
    }

    /// Takes the answer in.
    ///
    /// # Errors
    /// [`UserinfoError`]
    pub fn read(
        self,
        response: Result<CalloutResponse, CalloutError>,
        github: &Github,
    ) -> Result<Progress, UserinfoError> {
        let response = response?;
        match self.stage {
            Stage::User => Ok(Self::next(self.token, user(&response, github)?, 0, github)),
            Stage::Further(identity, list) => further(self.token, identity, list, &response, github),
        }
    }

    fn next(token: AccessToken, identity: Box<Identity>, place: usize, github: &Github) -> Progress {
        if place < github.questions.len() {
            Progress::Ask(Self { token, stage: Stage::Further(identity, List::of(place)) })
        } else {
            Progress::Known(identity)
        }
    }
}

/// Who it is, by a number: a login can be given up, and taken by somebody else. An address in here is what they show of
/// themselves, and proves nothing. Others number their people too, so it is said whose number it is.
fn user(response: &CalloutResponse, github: &Github) -> Result<Box<Identity>, UserinfoError> {
    if response.status != 200 {
        return Err(UserinfoError::Status(UnexpectedStatus::of(response)));
    }
    let body = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
    let members = Members::of(&body);
    let id = members.get("id").and_then(Value::as_u64).filter(|id| *id > 0).ok_or(UserinfoError::Malformed("id"))?;
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), github.web.as_str().into());
    for (claim, member) in [("login", "login"), ("preferred_username", "login"), ("name", "name")] {
        if let Some(text @ Value::String(_)) = members.get(member) {
            claims.insert(claim.to_owned(), text.clone());
        }
    }
    Ok(Box::new(Identity::fetched(id.to_string(), claims)))
}

fn further(
    token: AccessToken,
    mut identity: Box<Identity>,
    mut list: List,
    response: &CalloutResponse,
    github: &Github,
) -> Result<Progress, UserinfoError> {
    let place = list.place;
    let Some(question) = github.questions.get(place) else { return Ok(Progress::Known(identity)) };
    let is_known = match response.status {
        200 => {
            let page = json::response_array(&response.body, MAX_CALLOUT_BODY)?;
            let is_full = page.len() >= question.per_page();
            for element in page {
                list.found.push(question.read(&element).ok_or(UserinfoError::Malformed(question.claim()))?);
            }
            list.pages = list.pages.saturating_add(1);
            if is_full && list.pages < MAX_PAGES {
                return Ok(Progress::Ask(Inquiry { token, stage: Stage::Further(identity, list) }));
            }
            !is_full
        }
        // The person has granted fewer scopes than were asked for, or the API has had enough.
        403 | 404 => false,
        _ => return Err(UserinfoError::Status(UnexpectedStatus::of(response))),
    };
    say(&mut identity, *question, list.found, is_known);
    Ok(Inquiry::next(token, identity, place.saturating_add(1), github))
}

/// Writes down what came of a question.
fn say(identity: &mut Identity, question: Question, found: Vec<Value>, is_known: bool) {
    let claims = identity.claims_mut();
    let claim = question.claim().to_owned();
    match question {
        Question::Emails => {
            if let Some(email) = found.into_iter().find(Value::is_string) {
                claims.insert(claim, email);
                claims.insert("email_verified".to_owned(), true.into());
            }
        }
        Question::Organizations | Question::Teams if is_known => {
            claims.insert(claim, found.into());
        }
        Question::Organizations | Question::Teams => {
            if let Some(names) = claims.entry(CLAIM_NAMES).or_insert_with(|| Map::new().into()).as_object_mut() {
                names.insert(claim, "github".into());
            }
        }
    }
}
