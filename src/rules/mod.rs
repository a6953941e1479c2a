//! Who gets what: rules in order, the first that matches decides, and what none matches needs a session.
//!
//! A request is public only if every reader would find it so. They see method, host, path and the headers that a rule
//! names, never the query, and no other header that a client may send (`x-envoy-original-path`: CVE-2023-27487).
//! Whatever two readers could take for different requests is held to every rule that it may fall under: see [`path`].

pub mod host;
pub mod path;

mod admission;
mod index;
mod matching;
mod pattern;
mod review;
mod route;
mod verdict;

pub use admission::{Admitted, Anyone, NotAdmitted, Preflight, Principal, RuledRequest};
pub use host::HostPattern;
pub use matching::HeaderCondition;
pub use pattern::PathPattern;
pub use route::RouteError;
pub use verdict::{Cause, Refusal, Verdict};

use std::rc::Rc;

use crate::{
    claims::{Conditions, IssuerId},
    http::Request,
};
use index::Index;
use matching::{Facts, Match};
use path::Path;

/// Who may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Programs that bring a token.
    Bearer,
    /// Nobody.
    Deny,
    /// Anybody; the app is told who it is where somebody is signed in.
    Optional,
    /// Anybody.
    Public,
    /// Whoever has signed in.
    Required,
}

/// How a request is answered that needs a session and has none; the later ones are sterner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// A page that a browser opens begins a sign-in; whoever could not follow one gets 401.
    #[default]
    Auto,
    /// Every GET begins a sign-in.
    Redirect,
    /// Nobody is sent to sign in: 401.
    Unauthorized,
}

/// What the app gets in `Authorization`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization {
    /// The access token of the session, or the one that a program brought.
    AccessToken,
    /// The header that the client sent, which is the app's own and no credential here.
    App,
    /// The ID token of the session.
    IdToken,
    /// What the client sent.
    #[default]
    Keep,
    /// Nothing.
    Strip,
}

/// Why a pattern cannot be used: what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub &'static str);

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, for people.
    pub name: Option<String>,
    /// Its paths; `None` means every path.
    pub path: Option<PathPattern>,
    /// Its methods, as [`parse_method`] gives them; empty means every method.
    pub methods: Vec<String>,
    /// Its hosts; empty means every host.
    pub hosts: Vec<HostPattern>,
    /// What it wants of headers, all of it.
    pub headers: Vec<HeaderCondition>,
    /// Whether it holds beside the policy that a route names.
    pub locked: bool,
    /// What it says.
    pub says: Policy,
}

/// What a rule says of the requests it matches, and a policy of those on the routes that name it.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Who may pass.
    pub access: Access,
    /// How a request without a session is answered.
    pub unauthenticated: Answer,
    /// Who may pass of those who have a session or bring a token; `None` means all.
    pub allow: Option<Conditions>,
    /// The scopes that a token must have.
    pub scopes: Vec<String>,
    /// Whose people, and tokens, may pass; empty means everybody's.
    pub providers: Vec<IssuerId>,
    /// What the app gets in `Authorization`.
    pub authorization: Authorization,
}

impl Policy {
    /// Whether everybody may pass.
    pub const fn is_open(&self) -> bool {
        matches!(self.access, Access::Optional | Access::Public)
    }
}

/// All rules in order.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The rules, then the policies.
    all: Rc<[Rule]>,
    /// Where the policies that routes may name begin: each is a rule for everything that has its name; none where routes are
    /// not asked.
    first_policy: usize,
    index: Index,
    own_port: Option<u16>,
}

impl Rules {
    /// The rules in the order given; the first that matches decides.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { index: Index::new(&rules), first_policy: rules.len(), all: rules.into(), own_port: None }
    }

    /// The same rules for an app that is reached at this port, where it is not the scheme's own.
    #[must_use]
    pub fn at_port(self, own_port: Option<u16>) -> Self {
        Self { own_port, ..self }
    }

    /// Calls `with` for each claim that a rule looks at.
    pub fn each_claim(&self, with: &mut dyn FnMut(&str)) {
        self.all.iter().filter_map(|rule| rule.says.allow.as_ref()).for_each(|conditions| conditions.each_claim(with));
    }

    /// Whether one of them takes nothing but tokens.
    pub fn want_tokens(&self) -> bool {
        self.all.iter().any(|rule| rule.says.access == Access::Bearer)
    }

    /// Whether one of them asks tokens for scopes.
    pub fn want_scopes(&self) -> bool {
        self.all.iter().any(|rule| !rule.says.scopes.is_empty())
    }

    /// Whether one of them has a name.
    pub fn have_names(&self) -> bool {
        self.all.iter().any(|rule| rule.name.is_some())
    }

    /// The rules without the policies.
    fn rules(&self) -> &[Rule] {
        self.all.get(..self.first_policy).unwrap_or_default()
    }

    /// The policies, with their places among all rules.
    fn policies(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.all.iter().enumerate().skip(self.first_policy)
    }

    /// Whether one of them says this of `Authorization`.
    pub fn hand_on(&self, what: Authorization) -> bool {
        self.all.iter().any(|rule| rule.says.authorization == what)
    }

    /// Whether every rule, and this default, leaves `Authorization` to the app.
    pub fn leave_authorization_to_app(&self, default: Authorization) -> bool {
        default == Authorization::App && self.all.iter().all(|rule| rule.says.authorization == Authorization::App)
    }

    /// The request with what they say of it.
    ///
    /// # Errors
    /// [`RouteError`] where its route does not name one policy; with the request.
    pub fn rule_on(&self, request: Request) -> Result<RuledRequest, (RouteError, Request)> {
        match self.decide(&request) {
            Ok(verdict) => Ok(RuledRequest::new(request, verdict)),
            Err(error) => Err((error, request)),
        }
    }

    fn decide(&self, request: &Request) -> Result<Verdict, RouteError> {
        let policy = self.policy_of(request.route())?;
        let mut verdict = Verdict::new(&self.all);
        if self.all.is_empty() {
            verdict.fall_through();
            return Ok(verdict);
        }
        let facts = Facts::read(request, self.own_port);
        let mut is_clear = facts.is_usual() && (!self.ask_routes() || facts.is_plain_host());
        match request.single(":path").map(Path::of_target) {
            Some(Ok(path)) => {
                for reading in path.readings() {
                    self.collect(&facts, Some(reading), &mut self.index.candidates(reading), &mut verdict);
                }
            }
            // Any of them may be meant, or none.
            _ => {
                self.collect(&facts, None, &mut (0..self.first_policy), &mut verdict);
                is_clear = false;
            }
        }
        match policy {
            Some(policy) if is_clear => verdict.give_way_to(policy),
            _ if is_clear => {}
            // Envoy found one route for it, in one virtual host; an app may find what stands behind another.
            _ => {
                verdict.fall_through();
                self.policies().for_each(|(number, _)| verdict.add(number));
            }
        }
        Ok(verdict)
    }

    /// The rules that decide, for a reader who takes the path for this one.
    fn collect(
        &self,
        facts: &Facts<'_>,
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

/// The longest method that is known to anybody has 17 letters.
const MAX_METHOD: usize = 32;

/// Reads the method of a rule: methods are case-sensitive, so `get` is none that a browser would send.
///
/// # Errors
/// [`PatternError`] says what was expected.
pub fn parse_method(text: &str) -> Result<String, PatternError> {
    if is_method(text) { Ok(text.to_owned()) } else { Err(PatternError("a method in upper case, such as GET")) }
}

/// An upper-case token. A request with another method is protected: an app may take `get` for `GET`.
fn is_method(text: &str) -> bool {
    (1..=MAX_METHOD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
