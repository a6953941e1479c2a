//! What rules and policies say.

use super::{
    super::{
        fault::{Faults, Faulty, Path},
        raw,
        shape::one_of,
    },
    allow, few, limits,
    rules::listed,
    text,
};
use crate::rules::{Access, Answer, Policy};

/// The policies by their names, and whether routes may name them.
pub(super) struct Policies {
    by_name: Vec<(String, Result<Policy, Faulty>)>,
    pub(super) have_routes: bool,
}

impl Policies {
    /// Every policy.
    pub(super) fn resolve(
        raw: Option<raw::Policies>,
        route_metadata: Option<bool>,
        root: &Path,
        faults: &mut Faults,
    ) -> Self {
        let (at, have_routes) = (root.key("policies"), route_metadata == Some(true));
        if raw.as_ref().is_none_or(|raw| raw.0.is_empty()) && have_routes {
            faults.wrong(&root.key("route_metadata"), "nothing; there are no `policies` that a route could name");
        }
        let mut by_name = Vec::new();
        for (name, raw) in few(raw.unwrap_or_default().0, &at, faults).unwrap_or_default() {
            let at = at.key(&name);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if !(1..=limits::MAX_POLICY_NAME).contains(&name.len()) || !name.bytes().all(is_plain) {
                let letters = "letters, digits, `-`, `_` and `.`, as the name of this field";
                faults.wrong(&at, format!("1 to {} {letters}", limits::MAX_POLICY_NAME));
            }
            let policy = policy(raw, &at, faults);
            by_name.push((name, policy));
        }
        Self { by_name, have_routes }
    }

    /// The one of this name.
    pub(super) fn named(&self, name: &str, at: &Path, faults: &mut Faults) -> Result<Policy, Faulty> {
        let known = self.by_name.iter().find(|(known, _)| known == name);
        known.map(|(_, policy)| policy.clone()).unwrap_or_else(|| {
            let names: Vec<_> = self.by_name.iter().map(|(name, _)| name.as_str()).collect();
            let expected =
                if names.is_empty() { "one of `policies`, which are missing".to_owned() } else { one_of(&names) };
            Err(faults.wrong_value(at, expected, name))
        })
    }

    /// A line for each that nobody can name.
    pub(super) fn warnings(&self, rules: &[raw::Rule]) -> Vec<String> {
        let is_named = |name: &str| self.have_routes || rules.iter().any(|rule| rule.policy.as_deref() == Some(name));
        let unnamed = self.by_name.iter().filter(|(name, _)| !is_named(name));
        unnamed.map(|(name, _)| format!("policies.{name} is named by no rule, and `route_metadata` is off")).collect()
    }

    /// Those that routes may name.
    pub(super) fn of_routes(self) -> Result<Vec<(String, Policy)>, Faulty> {
        let named = |(name, policy): (String, Result<Policy, Faulty>)| Ok((name, policy?));
        self.by_name.into_iter().filter(|_| self.have_routes).map(named).collect()
    }
}

/// What is said here.
pub(super) fn policy(raw: raw::Policy, at: &Path, faults: &mut Faults) -> Result<Policy, Faulty> {
    let access =
        faults.required(&at.key("access"), raw.access, "public, required, optional, bearer or deny").map(access);
    let is_required = !matches!(access, Ok(Access::Deny | Access::Optional | Access::Public));
    let is_bearer = matches!(access, Ok(Access::Bearer));
    if raw.unauthenticated.is_some() && (!is_required || is_bearer) {
        faults.wrong(&at.key("unauthenticated"), "nothing; it is for rules with `access: required`");
    }
    let given = raw.allow.is_some();
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    if given && !is_required {
        faults.wrong(&at.key("allow"), "nothing; it is for rules with `access: required` or `bearer`");
    }
    let given = raw.scopes.is_some();
    let scopes = listed(raw.scopes, &at.key("scopes"), "scope", faults, scope);
    if given && !is_required {
        faults.wrong(&at.key("scopes"), "nothing; it is for rules with `access: required` or `bearer`");
    }
    Ok(Policy {
        access: access?,
        unauthenticated: raw.unauthenticated.map(answer).unwrap_or_default(),
        allow: allow?,
        scopes: scopes?,
    })
}

const fn access(raw: raw::Access) -> Access {
    match raw {
        raw::Access::Bearer => Access::Bearer,
        raw::Access::Deny => Access::Deny,
        raw::Access::Optional => Access::Optional,
        raw::Access::Public => Access::Public,
        raw::Access::Required => Access::Required,
    }
}

const fn answer(raw: raw::Unauthenticated) -> Answer {
    match raw {
        raw::Unauthenticated::Auto => Answer::Auto,
        raw::Unauthenticated::Redirect => Answer::Redirect,
        raw::Unauthenticated::Unauthorized => Answer::Unauthorized,
    }
}

fn scope(text: String, at: &Path, faults: &mut Faults) -> Result<String, Faulty> {
    if !text.is_empty() && text.len() <= limits::MAX_TEXT && text::is_nqchar(&text) {
        return Ok(text);
    }
    Err(faults.wrong_value(at, "one scope, without spaces, quotes or backslashes", &text))
}
