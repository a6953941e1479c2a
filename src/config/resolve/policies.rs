//! Policies, of rules and by name.

use std::{rc::Rc, time::Duration};

use super::{
    super::{
        NamedValue,
        fault::{At, Faults, Faulty, one_of},
        raw,
    },
    allow,
    bounds::{bounded, condition_list, limit_entries},
    limits, text, upstream_token,
};
use crate::{
    claims::{IssuerId, StepUp},
    provider::Provider,
    rules::{Access, Authorization, Policy, Rule, Unauthenticated},
    time::Leeway,
};

/// The named policies, each as a rule that matches every request.
pub(super) struct Policies<'a> {
    pub(super) all: Vec<Rule>,
    pub(super) have_routes: bool,
    pub(super) context: PolicyContext<'a>,
}

/// Settings that affect rules and policies.
#[derive(Clone, Copy)]
pub(super) struct PolicyContext<'a> {
    /// The providers that they may name.
    pub(super) providers: Result<&'a [Provider], Faulty>,
    pub(super) authorization: Authorization,
    pub(super) leeway: Result<Leeway, Faulty>,
    /// The identity headers, whose names no token may have.
    pub(super) identity_headers: Result<&'a [NamedValue], Faulty>,
}

/// Placeholder of a policy with a fault; it is never built into a configuration.
const DENY_ALL: Policy = Policy {
    access: Access::Deny,
    unauthenticated: Unauthenticated::Auto,
    allow: None,
    scopes: Vec::new(),
    providers: Vec::new(),
    authorization: Authorization::Keep,
    step_up: None,
    upstream_token: None,
};

impl<'a> Policies<'a> {
    #[inline(never)]
    pub(super) fn resolve(
        raw: raw::Policies,
        route_metadata: Option<bool>,
        rules: &[raw::Rule],
        context: PolicyContext<'a>,
        warnings: &mut Vec<String>,
        faults: &mut Faults,
    ) -> Self {
        let (root, have_routes) = (At::Root, route_metadata == Some(true));
        let at = root.key("policies");
        if raw.0.is_empty() && have_routes {
            faults.wrong(&root.key("route_metadata"), "nothing; there are no `policies` for routes");
        }
        let mut all = Vec::new();
        let raw = if limit_entries(raw.0.len(), &at, faults).is_ok() { raw.0 } else { Vec::new() };
        for (name, raw) in raw {
            let at = at.key(&name);
            if !text::is_name(&name) {
                let letters = "letters, digits, `-`, `_` and `.`, as the name of this field";
                faults.wrong(&at, format!("1 to {} {letters}", limits::MAX_NAME));
            }
            if !have_routes && !rules.iter().any(|rule| rule.policy.as_ref() == Some(&name)) {
                warnings.push(format!("policies.{name} is named by no rule, and `route_metadata` is off"));
            }
            let policy = policy(raw, context, &at, faults).unwrap_or(DENY_ALL);
            all.push(Rule::of_policy(name, policy));
        }
        Self { all, have_routes, context }
    }

    pub(super) fn named(&self, name: &str, at: &At<'_>, faults: &mut Faults) -> Result<Policy, Faulty> {
        match self.all.iter().find(|policy| policy.has_name(name)) {
            Some(policy) => Ok(policy.policy.clone()),
            None => Err(faults.wrong_value(at, "the name of one of the `policies`", name)),
        }
    }
}

/// The policy of a rule, or a named one.
#[inline(never)]
pub(super) fn policy(
    raw: raw::Policy,
    context: PolicyContext<'_>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Policy, Faulty> {
    let access =
        faults.required(&at.key("access"), raw.access, "public, required, optional, bearer or deny").map(access);
    let is_required = !matches!(access, Ok(Access::Deny | Access::Optional | Access::Public));
    let is_bearer = matches!(access, Ok(Access::Bearer));
    if raw.unauthenticated.is_some() && (!is_required || is_bearer) {
        faults.wrong(&at.key("unauthenticated"), "nothing; it applies only to rules with `access: required`");
    }
    let given = raw.allow.is_some();
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    if given && !is_required {
        faults.wrong(&at.key("allow"), "nothing; it applies only to rules with `access: required` or `bearer`");
    }
    let given = raw.scopes.is_some();
    let scopes = condition_list(raw.scopes, &at.key("scopes"), "scope", faults, text::scope);
    if given && !is_required {
        faults.wrong(&at.key("scopes"), "nothing; it applies only to rules with `access: required` or `bearer`");
    }
    let given = raw.providers.is_some();
    let named = |text: String, at: &At<'_>, faults: &mut Faults| provider_named(text, context.providers, at, faults);
    let providers = condition_list(raw.providers, &at.key("providers"), "provider", faults, named);
    if given && !is_required {
        faults.wrong(&at.key("providers"), "nothing; it applies only to rules with `access: required` or `bearer`");
    }
    let given = raw.authorization.map(authorization);
    match (given, &access) {
        (Some(Authorization::AccessToken | Authorization::IdToken), Ok(Access::Deny | Access::Public))
        | (Some(Authorization::IdToken), Ok(Access::Bearer)) => {
            faults.wrong(&at.key("authorization"), "keep or strip; with this `access` there is no such token");
        }
        _ => {}
    }
    let effective = given.unwrap_or(context.authorization);
    if effective == Authorization::App && (is_bearer || scopes.as_ref().is_ok_and(|scopes| !scopes.is_empty())) {
        faults.wrong(
            &at.key("authorization"),
            "keep, strip or access_token for `access: bearer` or `scopes`; with `app` no token is read",
        );
    }
    let has_step_up = raw.step_up.is_some();
    let step_up = raw.step_up.map(|raw| step_up(raw, context.leeway, &at.key("step_up"), faults)).transpose();
    if has_step_up && !is_required {
        faults.wrong(&at.key("step_up"), "nothing; it applies only to rules with `access: required` or `bearer`");
    }
    let at_token = at.key("upstream_token");
    let upstream_token = raw
        .upstream_token
        .map(|raw| upstream_token::upstream_token(raw, context.identity_headers, &at_token, faults))
        .transpose();
    if let Ok(Some(token)) = &upstream_token {
        if !is_required {
            faults.wrong(&at_token, "nothing; it applies only to rules with `access: required` or `bearer`");
        }
        if effective == Authorization::App {
            faults.wrong(&at_token, "nothing; with `authorization: app` no token is read");
        }
        let is_set_twice =
            matches!(given, Some(Authorization::AccessToken | Authorization::IdToken | Authorization::Strip));
        if is_set_twice && token.is_authorization() {
            faults.wrong(&at_token.key("header"), "another header than Authorization, which `authorization` sets");
        }
    }
    Ok(Policy {
        access: access?,
        unauthenticated: raw.unauthenticated.map(unauthenticated).unwrap_or_default(),
        allow: allow?,
        scopes: scopes?,
        providers: providers?,
        authorization: effective,
        step_up: step_up?,
        upstream_token: upstream_token?,
    })
}

fn step_up(
    raw: raw::StepUp,
    leeway: Result<Leeway, Faulty>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Rc<StepUp>, Faulty> {
    if raw.acr_values.is_none() && raw.max_age_seconds.is_none() {
        return Err(faults.wrong(at, "acr_values, max_age_seconds or both"));
    }
    let at_values = at.key("acr_values");
    let count = raw.acr_values.as_ref().map_or(0, Vec::len);
    if count > limits::MAX_ACR_VALUES {
        return Err(faults.wrong(&at_values, format!("at most {} values, got {count}", limits::MAX_ACR_VALUES)));
    }
    let acr_values = condition_list(raw.acr_values, &at_values, "value", faults, text::acr_value);
    let at_age = at.key("max_age_seconds");
    let max_age = raw
        .max_age_seconds
        .map(|age| bounded(Some(age), limits::MAX_AGE_SECONDS, "seconds", &at_age, faults).map(Duration::from_secs));
    Ok(Rc::new(StepUp { acr_values: acr_values?, max_age: max_age.transpose()?, leeway: leeway? }))
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

pub(super) const fn authorization(raw: raw::Authorization) -> Authorization {
    match raw {
        raw::Authorization::AccessToken => Authorization::AccessToken,
        raw::Authorization::App => Authorization::App,
        raw::Authorization::IdToken => Authorization::IdToken,
        raw::Authorization::Keep => Authorization::Keep,
        raw::Authorization::Strip => Authorization::Strip,
    }
}

const fn unauthenticated(raw: raw::Unauthenticated) -> Unauthenticated {
    match raw {
        raw::Unauthenticated::Auto => Unauthenticated::Auto,
        raw::Unauthenticated::Redirect => Unauthenticated::Redirect,
        raw::Unauthenticated::Unauthorized => Unauthenticated::Unauthorized,
    }
}

/// The id of a named provider. Reports nothing if the providers are faulty: this one may be among them.
fn provider_named(
    text: String,
    known: Result<&[Provider], Faulty>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<IssuerId, Faulty> {
    let known = known?;
    if let Some(provider) = known.iter().find(|provider| provider.name == text) {
        return Ok(provider.id);
    }
    let names: Vec<&str> = known.iter().map(|provider| provider.name.as_str()).collect();
    Err(faults.wrong_value(at, format!("the name of a provider: {}", one_of(&names)), &text))
}
