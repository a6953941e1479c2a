//! Rules.

use crate::http::Request;

/// What a rule says of the requests it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever has signed in.
    Required,
}

/// Which paths a rule matches.
#[derive(Debug, Clone)]
pub struct PathPattern {}

/// Which hosts a rule matches.
#[derive(Debug, Clone)]
pub struct HostPattern {}

/// Why a pattern cannot be used: what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub &'static str);

impl PathPattern {
    /// `path`: exact without wildcards; a glob with them.
    ///
    /// # Errors
    /// [`PatternError`]
    pub fn glob(_text: &str) -> Result<Self, PatternError> {
        Ok(Self {})
    }
    /// `prefix`: this path and everything below it, by whole segments.
    ///
    /// # Errors
    /// [`PatternError`]
    pub fn prefix(_text: &str) -> Result<Self, PatternError> {
        Ok(Self {})
    }
    /// `regex`: the whole path.
    ///
    /// # Errors
    /// [`PatternError`]
    pub fn regex(_text: &str) -> Result<Self, PatternError> {
        Ok(Self {})
    }
}

impl HostPattern {
    /// A host name, or `*.` and a domain.
    ///
    /// # Errors
    /// [`PatternError`]
    pub fn parse(_text: &str) -> Result<Self, PatternError> {
        Ok(Self {})
    }
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its paths; `None` means every path.
    pub path: Option<PathPattern>,
    /// Its methods; empty means every method.
    pub methods: Vec<String>,
    /// Its hosts; empty means every host.
    pub hosts: Vec<HostPattern>,
    /// What it says.
    pub access: Access,
}

/// Proof that a public rule matched; only [`Rules::decide`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct PublicRoute(());

/// What the rules say of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may pass as it is.
    Public(PublicRoute),
    /// It needs a session.
    Required,
}

/// All rules in order.
#[derive(Debug, Clone)]
pub struct Rules {}

impl Rules {
    /// The rules in the order given; the first that matches decides.
    pub fn new(_rules: Vec<Rule>) -> Self {
        Self {}
    }
    /// What they say of this request.
    pub fn decide(&self, _request: &Request) -> Decision {
        Decision::Required
    }
}
