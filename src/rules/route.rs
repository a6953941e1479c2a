//! The policy that a request's route names, beside the rules.
//!
//! Whoever owns a route says in its metadata which of the configured policies counts there. It takes the place of what
//! the rules say, and of the default where none matches; a locked rule that decides holds as well. A name that is none
//! is no way out: such a request does not pass.

use super::{Policy, Rule, Rules};
use crate::http::RouteMetadata;

/// How much of a name is told.
const MAX_QUOTED_NAME: usize = 100;

/// Why a route does not say which policy counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Envoy has chosen another route since it was asked.
    #[error("was chosen after the request had passed on another, whose metadata says something else")]
    Changed,
    /// There is no policy of this name.
    #[error("names {0:?} in its metadata, which is no policy")]
    Unknown(String),
    /// The metadata says something else than a name.
    #[error("has other metadata under `vestibule` than one name: {{policy: NAME}}")]
    Unreadable,
}

impl Rule {
    /// The policy of this name, as a rule for everything.
    pub const fn of_policy(name: String, policy: Policy) -> Self {
        Self {
            name: Some(name),
            path: None,
            methods: Vec::new(),
            hosts: Vec::new(),
            headers: Vec::new(),
            locked: false,
            policy,
        }
    }

    /// Whether this is its name.
    pub fn has_name(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

impl Rules {
    /// The same rules beside the policies that routes may name.
    #[must_use]
    pub fn with_policies(self, policies: Vec<Rule>) -> Self {
        let rules = self.rules().iter().cloned();
        Self { all: rules.chain(policies).collect(), ..self }
    }

    /// Whether the metadata of routes has a say.
    pub fn have_policies(&self) -> bool {
        self.all.len() > self.first_policy
    }

    /// The place of the policy that this route names.
    pub(super) fn policy_of(&self, route: &RouteMetadata) -> Result<Option<usize>, RouteError> {
        let name = match route {
            RouteMetadata::Absent => return Ok(None),
            RouteMetadata::Policy(name) => name,
            RouteMetadata::Unreadable => return Err(RouteError::Unreadable),
        };
        match self.policies().find(|(_, policy)| policy.has_name(name)) {
            Some((number, _)) => Ok(Some(number)),
            None => Err(RouteError::Unknown(name.chars().take(MAX_QUOTED_NAME).collect())),
        }
    }
}
