//! Access rules: the first rule that matches decides, and a request that no rule matches needs a session.
//!
//! A request is public only if every parser of it would agree. Rules consider method, host, path, the headers that they
//! name and the client's address as Envoy knows it, never the query or another client header (`x-envoy-original-path`: CVE-2023-27487). A request that two
//! parsers could take for different ones is held to every rule that may apply: see [`path`].

pub mod host;
pub mod path;

mod admission;
mod index;
mod matching;
mod network;
mod pattern;
mod review;
mod route;
mod upstream_token;
mod verdict;

pub use admission::{Admitted, Anyone, NotAdmitted, Preflight, Principal, RuledRequest};
pub use host::HostPattern;
pub use matching::HeaderCondition;
pub use network::{Network, NetworkError};
pub use pattern::PathPattern;
pub use route::RouteError;
pub use upstream_token::UpstreamToken;
pub use verdict::{Cause, Refusal, TokensDiffer, Verdict};

use std::{net::IpAddr, rc::Rc};

use serde_json::Value;

use crate::{
    claims::{ClaimPath, Conditions, IssuerId, StepUp, StepUpId},
    http::Request,
};
use index::Index;
use matching::{Match, RequestFacts};
use path::Path;

/// The access that a rule grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// API clients with a bearer token.
    Bearer,
    /// No request.
    Deny,
    /// All requests; the app receives the identity of a valid session.
    Optional,
    /// All requests.
    Public,
    /// Signed-in users, and API clients with a bearer token.
    Required,
}

/// The answer to a request that needs a session and has none; later variants are stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unauthenticated {
    /// Page loads begin a sign-in; all other requests get 401.
    #[default]
    Auto,
    /// Every GET begins a sign-in, others get 401.
    Redirect,
    /// No redirect: 401.
    Unauthorized,
}

/// The `Authorization` header that the app receives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization {
    /// The access token of the session, or the client's bearer token.
    AccessToken,
    /// The client's header, which is no credential here.
    App,
    /// The ID token of the session.
    IdToken,
    /// The client's header.
    #[default]
    Keep,
    /// No header.
    Strip,
}

/// The syntax expected of an invalid pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub &'static str);

/// A rule: conditions on requests, and a policy.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The name for logs and filter state.
    pub name: Option<String>,
    /// Paths; `None` matches every path.
    pub path: Option<PathPattern>,
    /// Methods of [`parse_method`]; empty matches every method.
    pub methods: Vec<String>,
    /// Hosts; empty matches every host.
    pub hosts: Vec<HostPattern>,
    /// Conditions on headers, which must all hold.
    pub headers: Vec<HeaderCondition>,
    /// Networks of clients; empty matches every client.
    pub networks: Vec<Network>,
    /// Whether it applies in addition to the policy that a route names.
    pub locked: bool,
    /// The policy for matching requests.
    pub policy: Policy,
}

/// The requirements for the requests that a rule matches, or for a route that names the policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The access that it grants.
    pub access: Access,
    /// The answer to a request without a session.
    pub unauthenticated: Unauthenticated,
    /// Conditions on sessions and tokens; `None` admits all.
    pub allow: Option<Conditions>,
    /// Scopes that a token must have.
    pub scopes: Vec<String>,
    /// Accepted issuers of sessions and tokens; empty accepts all.
    pub providers: Vec<IssuerId>,
    /// The `Authorization` header that the app receives.
    pub authorization: Authorization,
    /// The demand on the authentication of users.
    pub step_up: Option<Rc<StepUp>>,
    /// The token that requests carry to the app.
    pub upstream_token: Option<Rc<UpstreamToken>>,
}

impl Policy {
    /// Whether every request may pass.
    pub const fn is_open(&self) -> bool {
        matches!(self.access, Access::Optional | Access::Public)
    }
}

/// All rules, in order, and named policies.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The rules, then the named policies.
    all: Rc<[Rule]>,
    /// The index of the first policy that routes may name; the length without route metadata.
    first_policy: usize,
    index: Index,
    own_port: Option<u16>,
}

impl Rules {
    /// Rules in their order; the first that matches decides.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { index: Index::new(&rules), first_policy: rules.len(), all: rules.into(), own_port: None }
    }

    /// The same rules for an app at this port; `None` for the scheme's default.
    #[must_use]
    pub fn with_own_port(self, own_port: Option<u16>) -> Self {
        Self { own_port, ..self }
    }

    /// Calls `with` for the name of each claim that decides: in conditions and in `step_up`.
    pub fn each_claim(&self, with: &mut dyn FnMut(&str)) {
        for Policy { allow, step_up, .. } in self.all.iter().map(|rule| &rule.policy) {
            allow.iter().for_each(|conditions| conditions.each_claim(with));
            step_up.iter().for_each(|step_up| step_up.each_claim(with));
        }
    }

    /// Calls `with` for the path of each claim in conditions.
    pub fn each_path(&self, with: &mut dyn FnMut(&ClaimPath)) {
        self.all.iter().flat_map(|rule| &rule.policy.allow).for_each(|conditions| conditions.each_path(with));
    }

    /// The demand with this name.
    pub fn step_up(&self, id: StepUpId) -> Option<&Rc<StepUp>> {
        self.step_ups().find(|step_up| step_up.id() == id)
    }

    /// The demands of all rules and policies.
    pub fn step_ups(&self) -> impl Iterator<Item = &Rc<StepUp>> {
        self.all.iter().filter_map(|rule| rule.policy.step_up.as_ref())
    }

    /// The demands that no user of this provider can meet, where it has these classes alone (`acr_values_supported`).
    #[inline(never)]
    pub fn step_ups_beyond(&self, provider: IssuerId, listed: &Value) -> Vec<String> {
        let mut beyond = Vec::new();
        let Value::Array(listed) = listed else { return beyond };
        for Policy { step_up, providers, .. } in self.all.iter().map(|rule| &rule.policy) {
            let applies = providers.is_empty() || providers.contains(&provider);
            if let Some(step_up) = step_up.as_ref().filter(|_| applies)
                && !step_up.acr_values.is_empty()
                && !listed.iter().any(|known| known.as_str().is_some_and(|known| step_up.accepts(known)))
            {
                beyond.push(step_up.to_string());
            }
        }
        beyond
    }

    /// Whether a rule or policy requires a bearer token.
    pub fn have_bearer_rules(&self) -> bool {
        self.all.iter().any(|rule| rule.policy.access == Access::Bearer)
    }

    /// Whether a rule or policy requires scopes.
    pub fn have_scopes(&self) -> bool {
        self.all.iter().any(|rule| !rule.policy.scopes.is_empty())
    }

    /// The tokens for the app of all rules and policies.
    pub fn upstream_tokens(&self) -> impl Iterator<Item = &UpstreamToken> {
        self.all.iter().filter_map(|rule| rule.policy.upstream_token.as_deref())
    }

    /// Whether a rule or policy has a name.
    pub fn have_names(&self) -> bool {
        self.all.iter().any(|rule| rule.name.is_some())
    }

    /// The rules, without the named policies.
    pub fn rules(&self) -> &[Rule] {
        self.all.get(..self.first_policy).unwrap_or_default()
    }

    /// The named policies, with their indices among all rules.
    pub fn policies(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.all.iter().enumerate().skip(self.first_policy)
    }

    /// Whether a rule or policy sends this `Authorization`.
    pub fn have_authorization(&self, what: Authorization) -> bool {
        self.all.iter().any(|rule| rule.policy.authorization == what)
    }

    /// Whether this default and every rule leave `Authorization` to the app.
    pub fn leave_authorization_to_app(&self, default: Authorization) -> bool {
        default == Authorization::App && self.all.iter().all(|rule| rule.policy.authorization == Authorization::App)
    }

    /// The request with the verdict of the rules. `client` looks up the address of its client, which only rules with networks need.
    ///
    /// # Errors
    /// [`RouteError`] if its route names no policy, with the request.
    pub fn evaluate(
        &self,
        request: Request,
        client: &dyn Fn() -> Option<IpAddr>,
    ) -> Result<RuledRequest, (RouteError, Request)> {
        match self.decide(&request, client) {
            Ok(verdict) => Ok(RuledRequest::new(request, verdict)),
            Err(error) => Err((error, request)),
        }
    }

    fn decide(&self, request: &Request, client: &dyn Fn() -> Option<IpAddr>) -> Result<Verdict, RouteError> {
        let policy = self.policy_of(request.route())?;
        let mut verdict = Verdict::new(&self.all);
        if self.all.is_empty() {
            verdict.fall_through();
            return Ok(verdict);
        }
        let facts = RequestFacts::read(request, self.own_port, client);
        let mut is_clear = facts.is_usual() && (!self.have_policies() || facts.is_plain_host());
        match request.single(":path").map(Path::of_target) {
            Some(Ok(path)) => {
                for reading in path.readings() {
                    self.collect(&facts, Some(reading), &mut self.index.candidates(reading), &mut verdict);
                }
            }
            // Any rule may be meant, or none.
            _ => {
                self.collect(&facts, None, &mut (0..self.first_policy), &mut verdict);
                is_clear = false;
            }
        }
        match policy {
            Some(policy) if is_clear => verdict.replace_unlocked_with(policy),
            _ if is_clear => {}
            // Envoy chose one route in one virtual host; an app may serve another one.
            _ => {
                verdict.fall_through();
                self.policies().for_each(|(number, _)| verdict.add(number));
            }
        }
        Ok(verdict)
    }

    /// Collects the rules that decide for a parser that reads this path.
    fn collect(
        &self,
        facts: &RequestFacts<'_>,
        path: Option<&str>,
        numbers: &mut dyn Iterator<Item = usize>,
        verdict: &mut Verdict,
    ) {
        for number in numbers {
            match self.rules().get(number).map_or(Match::No, |rule| rule.matches(facts, path)) {
                Match::No => {}
                Match::Perhaps => verdict.add(number),
                Match::Yes => return verdict.add(number),
            }
        }
        verdict.fall_through();
    }
}

/// The longest accepted method; the longest registered one has 17 letters.
const MAX_METHOD: usize = 32;

/// Parses the method of a rule: methods are case-sensitive, and browsers never send `get`.
///
/// # Errors
/// [`PatternError`] names the expected syntax.
pub fn parse_method(text: &str) -> Result<String, PatternError> {
    if is_method(text) { Ok(text.to_owned()) } else { Err(PatternError("a method in upper case, such as GET")) }
}

/// Whether a method is an upper-case token. Other methods never make a request public: an app may take `get` for `GET`.
fn is_method(text: &str) -> bool {
    (1..=MAX_METHOD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
