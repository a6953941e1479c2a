//! GitHub, and GitHub Enterprise Server: OAuth 2.0 alone. There is no ID token, no metadata and no key: the identity is the
//! answer of the API to the access token of this very sign-in.
//!
//! <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>, and `/user`, `/user/emails`,
//! `/user/orgs` and `/user/teams` of the REST API.

use std::{fmt, rc::Rc};

use serde_json::{Map, Value};

use super::inquiry::{Inquiry, Progress};
use crate::{
    claims::CLAIM_NAMES,
    http::{CalloutError, CalloutRequest, CalloutResponse, MAX_CALLOUT_BODY},
    jose::{json, members::Members},
    oidc::{
        Endpoint, EndpointError, PlainHttp, RelyingParty,
        client::{AuthenticationError, CallContext},
        discovery,
        error::UnexpectedStatus,
        provider_metadata::ProviderMetadata,
        userinfo::{Userinfo, UserinfoError},
    },
    secret::AccessToken,
};

/// Pages of one list that are read. A longer list counts as left out: a part of a list proves no absence.
const MAX_PAGES: usize = 5;

/// The addresses of GitHub, and the questions its API is asked.
#[derive(Debug, Clone)]
pub struct GitHub {
    /// The base URL of the API.
    pub api: Endpoint,
    /// Its endpoints, which are not discovered.
    pub metadata: Rc<ProviderMetadata>,
    /// The questions beside `/user`.
    questions: Vec<Question>,
}

/// A question to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// The verified email address.
    Emails,
    /// The organisations of the user.
    Organizations,
    /// The teams of the user.
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

    /// Its path, and the scope that it takes.
    const fn path_and_scope(self) -> (&'static str, &'static str) {
        match self {
            Self::Emails => ("/user/emails", "user:email"),
            Self::Organizations => ("/user/orgs", "read:org"),
            Self::Teams => ("/user/teams", "read:org"),
        }
    }

    /// Elements of a page: a team comes with all of its organisation.
    const fn per_page(self) -> usize {
        if matches!(self, Self::Teams) { 50 } else { 100 }
    }

    /// The value of an element of the list; `None` where the element is malformed.
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

impl GitHub {
    /// The instance with these URLs of its pages and its API.
    ///
    /// # Errors
    /// [`EndpointError`]
    pub fn new(web: &str, api: Endpoint, plain_http: PlainHttp) -> Result<Self, EndpointError> {
        let endpoint = |path: &str| Endpoint::parse(&format!("{}{path}", web.trim_end_matches('/')), plain_http);
        let (authorization, token) = (endpoint("/login/oauth/authorize")?, endpoint("/login/oauth/access_token")?);
        let metadata = ProviderMetadata { post_only: true, ..ProviderMetadata::of(authorization, token) };
        Ok(Self { api, metadata: Rc::new(metadata), questions: Vec::new() })
    }

    /// Asks for these claims alone, and returns the scopes that this takes.
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

/// The questions about the user of an access token.
pub(super) struct UserInquiry {
    github: GitHub,
    token: AccessToken,
    stage: Stage,
}

enum Stage {
    /// The user itself.
    User,
    /// A question about the user.
    Question(Box<Userinfo>, List),
}

/// A list that is being read, page by page.
struct List {
    /// The place of its question.
    place: usize,
    /// Pages that have come.
    pages: usize,
    found: Vec<Value>,
}

impl List {
    const fn of(place: usize) -> Self {
        Self { place, pages: 0, found: Vec::new() }
    }
}

/// Shows no claim: they are about a person.
impl fmt::Debug for UserInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserInquiry").finish_non_exhaustive()
    }
}

impl Inquiry for UserInquiry {
    fn request(&self, relying_party: &RelyingParty, _: CallContext<'_>) -> Result<CalloutRequest, AuthenticationError> {
        let mut request = discovery::get(&self.github.api, &relying_party.clusters, relying_party.timeout);
        request.path = format!("{}{}", request.path.trim_end_matches('/'), self.path());
        request.headers = vec![
            ("accept", "application/vnd.github+json".to_owned()),
            ("authorization", format!("Bearer {}", self.token.expose())),
        ];
        Ok(request)
    }

    fn read(self: Box<Self>, response: Result<CalloutResponse, CalloutError>) -> Result<Progress, UserinfoError> {
        let response = response?;
        let Self { github, token, stage } = *self;
        match stage {
            Stage::User => {
                let userinfo = user(&response)?;
                Ok(Self::question(github, token, userinfo, 0))
            }
            Stage::Question(userinfo, list) => Self::list(github, token, userinfo, list, &response),
        }
    }
}

impl UserInquiry {
    /// The first question: the user of this access token.
    pub(super) const fn of(token: AccessToken, github: GitHub) -> Self {
        Self { github, token, stage: Stage::User }
    }

    fn path(&self) -> String {
        let Stage::Question(_, list) = &self.stage else { return "/user".to_owned() };
        let Some(question) = self.github.questions.get(list.place) else { return String::new() };
        format!(
            "{}?per_page={}&page={}",
            question.path_and_scope().0,
            question.per_page(),
            list.pages.saturating_add(1)
        )
    }

    /// Goes on with the question at this place.
    fn question(github: GitHub, token: AccessToken, userinfo: Box<Userinfo>, place: usize) -> Progress {
        if place < github.questions.len() {
            Progress::Ask(Box::new(Self { github, token, stage: Stage::Question(userinfo, List::of(place)) }))
        } else {
            Progress::Known(userinfo)
        }
    }

    /// Reads a page of a list.
    fn list(
        github: GitHub,
        token: AccessToken,
        mut userinfo: Box<Userinfo>,
        mut list: List,
        response: &CalloutResponse,
    ) -> Result<Progress, UserinfoError> {
        let place = list.place;
        let Some(question) = github.questions.get(place).copied() else { return Ok(Progress::Known(userinfo)) };
        let is_known = match response.status {
            200 => {
                let page = json::response_array(&response.body, MAX_CALLOUT_BODY)?;
                let is_full = page.len() >= question.per_page();
                for element in page {
                    list.found.push(question.read(&element).ok_or(UserinfoError::Malformed(question.claim()))?);
                }
                list.pages = list.pages.saturating_add(1);
                if is_full && list.pages < MAX_PAGES {
                    let stage = Stage::Question(userinfo, list);
                    return Ok(Progress::Ask(Box::new(Self { github, token, stage })));
                }
                !is_full
            }
            // The user has granted fewer scopes than were asked for, or the rate limit of the API is reached.
            403 | 404 => false,
            _ => return Err(UserinfoError::Status(UnexpectedStatus::of(response))),
        };
        add_claims(&mut userinfo, question, list.found, is_known);
        Ok(Self::question(github, token, userinfo, place.saturating_add(1)))
    }
}

/// The user, by number: a login can be given up, and taken by another user. An email address in this answer is not
/// verified, and is not read.
fn user(response: &CalloutResponse) -> Result<Box<Userinfo>, UserinfoError> {
    if response.status != 200 {
        return Err(UserinfoError::Status(UnexpectedStatus::of(response)));
    }
    let body = json::response_object(&response.body, MAX_CALLOUT_BODY)?;
    let members = Members::of(&body);
    let id = members.get("id").and_then(Value::as_u64).filter(|id| *id > 0).ok_or(UserinfoError::Malformed("id"))?;
    let mut claims = Map::new();
    for (claim, member) in [("login", "login"), ("preferred_username", "login"), ("name", "name")] {
        if let Some(text @ Value::String(_)) = members.get(member) {
            claims.insert(claim.to_owned(), text.clone());
        }
    }
    Ok(Box::new(Userinfo::of_api(id.to_string(), claims)))
}

/// Adds the answer to a question.
fn add_claims(userinfo: &mut Userinfo, question: Question, found: Vec<Value>, is_known: bool) {
    let claims = userinfo.claims_mut();
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
