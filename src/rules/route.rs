//! The policy that a route names in its metadata.
//!
//! The owner of a route selects one of the configured policies in its metadata. The policy replaces the rules and the
//! default; a locked rule that decides applies as well. A request on a route with an unknown policy is refused.

use super::{Policy, Rule, Rules};
use crate::http::RouteMetadata;

/// Characters of an unknown name in the log.
const MAX_QUOTED_NAME: usize = 100;

/// Why a route selects no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Envoy chose another route after the decision.
    #[error("was chosen after the request had passed on a route with other metadata")]
    Changed,
    /// There is no policy of this name.
    #[error("names {0:?} in its metadata, which is not a policy")]
    Unknown(String),
    /// The metadata has another form than one name.
    #[error("has other metadata under `vestibule` than one name: {{policy: NAME}}")]
    Unreadable,
}

impl Rule {
    /// A rule for this policy that matches every request.
    pub const fn of_policy(name: String, policy: Policy) -> Self {
        Self {
            name: Some(name),
            path: None,
            methods: Vec::new(),
            hosts: Vec::new(),
            headers: Vec::new(),
            networks: Vec::new(),
            locked: false,
            policy,
        }
    }

    /// Whether the rule has this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

impl Rules {
    /// The same rules with policies that routes may name.
    #[must_use]
    pub fn with_policies(self, policies: Vec<Rule>) -> Self {
        let rules = self.rules().iter().cloned();
        Self { all: rules.chain(policies).collect(), ..self }
    }

    /// Whether routes may name policies.
    pub fn have_policies(&self) -> bool {
        self.all.len() > self.first_policy
    }

    /// The index of the policy that this route names.
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
