//! Which rule decides a request, and what it asks for.

use serde_json::Value;
use vestibule::{
    claims::IssuerId,
    config::Config,
    http::Request,
    rules::{Access, Rule, Unauthenticated, Verdict},
};

use crate::{Checked, tree::Node};

/// A request whose rule is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    method: String,
    authority: Option<String>,
    target: String,
}

impl Question {
    /// Reads a method and a URL, or a path of the app. The path stays as it is written: the filter reads it after Envoy.
    /// `None` for other URLs.
    pub fn read(method: &str, url: &str) -> Option<Self> {
        let url = url.split('#').next().unwrap_or_default();
        let is_clean = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let rest = ["https://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let (authority, target) = match rest {
            None => (None, url.to_owned()),
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at_checked(end)?;
                let slash = if target.starts_with('/') { "" } else { "/" };
                (Some(authority.to_owned()), format!("{slash}{target}"))
            }
        };
        let is_complete = target.starts_with('/') && is_clean(&target) && authority.as_deref().is_none_or(is_clean);
        (is_complete && is_clean(method)).then(|| Self { method: method.to_owned(), authority, target })
    }

    fn request(&self, config: &Config) -> Request {
        let authority = self.authority.as_deref().unwrap_or_else(|| own_authority(config));
        let lines = [(":method", self.method.as_str()), (":authority", authority), (":path", &self.target)];
        Request::new(lines.map(|(name, value)| (name, value.as_bytes())))
    }
}

/// Host and port of the app.
fn own_authority(config: &Config) -> &str {
    config.origins.home().origin().as_str().split("://").nth(1).unwrap_or_default()
}

/// The lines that answer a question.
pub(crate) fn explain(question: &Question, checked: &Checked<'_>) -> Vec<String> {
    let authority = question.authority.as_deref().unwrap_or_else(|| own_authority(checked.config));
    let mut lines = vec![format!("{} {authority}{}", question.method, question.target)];
    lines.extend(answer(question, checked).into_iter().map(|line| format!("  {line}")));
    if checked.config.origins.find(authority).is_none() {
        let own = checked.config.origins.home().origin().as_str();
        lines.push(format!("  not the host of external_url: sessions and sign-ins are at {own}"));
    }
    lines
}

fn answer(question: &Question, checked: &Checked<'_>) -> Vec<String> {
    let Checked { config, settings, completed, .. } = checked;
    let path = question.target.split('?').next().unwrap_or_default();
    let below = path.strip_prefix(config.prefix.as_str());
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return vec![format!("answered by the filter itself: {} is its own, and no rule applies", config.prefix)];
    }
    // Only metadata of a route can be wrong, and this request has none.
    let Ok(ruled) = config.rules.evaluate(question.request(config), &|| None) else { return Vec::new() };
    let verdict = ruled.verdict();
    let numbers: Vec<_> = verdict.numbers().collect();
    let is_clear = numbers.len().saturating_add(usize::from(verdict.falls_through())) == 1;
    let (mut lines, by) = if is_clear {
        (Vec::new(), "decided by ")
    } else {
        (vec!["two programs could read this request differently, so these hold together:".to_owned()], "")
    };
    for number in numbers {
        if let Some(rule) = config.rules.rules().get(number) {
            let node = settings.get("rules").and_then(|rules| rules.elements().get(number));
            let place = node.map(|Node { at, .. }| format!(" ({}:{}:{})", checked.file, at.line, at.column));
            let name = rule.name.as_ref().map(|name| format!(" {name:?}"));
            lines.push(format!("{by}rules[{number}]{}{}", name.unwrap_or_default(), place.unwrap_or_default()));
            let written = completed.get("rules").and_then(|rules| rules.get(number));
            lines.extend(conditions(rule, written, checked));
        } else {
            let policy = config.rules.policies().find(|(known, _)| *known == number);
            let name = policy.and_then(|(_, policy)| policy.name.as_deref()).unwrap_or_default();
            lines.push(format!("policies.{name}, which the route may name"));
        }
    }
    if verdict.falls_through() {
        lines.push(format!("{by}no rule: what no rule matches needs a session"));
    }
    lines.extend(demands(verdict, config));
    if config.rules.have_policies() {
        lines.push(
            "a route that names a policy in its metadata is decided by that instead, and by rules that are locked"
                .to_owned(),
        );
    }
    lines
}

/// The conditions of a rule, or of the policy that it names.
fn conditions(rule: &Rule, written: Option<&Value>, checked: &Checked<'_>) -> Vec<String> {
    let access = match rule.policy.access {
        Access::Bearer => "bearer: API clients whose token is accepted",
        Access::Deny => "deny: nobody",
        Access::Optional => "optional: everybody; whoever is signed in is named to the app",
        Access::Public => "public: everybody, without a session",
        Access::Required => "required: signed-in users, and API clients whose token is accepted",
    };
    let mut lines = vec![format!("access: {access}")];
    let named = written.and_then(|rule| rule.get("policy")).and_then(Value::as_str);
    let policy =
        named.map_or(written, |name| checked.completed.get("policies").and_then(|policies| policies.get(name)));
    for name in ["allow", "step_up", "scopes", "providers", "upstream_token"] {
        if let Some(value) = policy.and_then(|policy| policy.get(name)) {
            lines.push(format!("{name}: {}", checked.schema.of_policy(value)));
        }
    }
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// What a request needs in the end.
fn demands(verdict: &Verdict, config: &Config) -> Vec<String> {
    if verdict.denial().is_some() {
        return vec!["answer: 403".to_owned()];
    }
    if verdict.is_open() {
        return vec!["passes".to_owned()];
    }
    let mut lines = Vec::new();
    let takes_tokens = !config.static_tokens.is_empty() || !config.token_issuers.is_empty();
    if !verdict.takes_sessions() {
        lines.push("without a token: 401".to_owned());
        return lines;
    }
    let without = match verdict.unauthenticated() {
        Unauthenticated::Auto => "a page load begins a sign-in, anything else gets 401",
        Unauthenticated::Redirect => "each GET begins a sign-in, anything else gets 401",
        Unauthenticated::Unauthorized => "401",
    };
    lines.push(format!("without a session: {without}"));
    let ids = verdict.providers();
    let is_meant = |id: &IssuerId| ids.is_empty() || ids.contains(id);
    let providers: Vec<_> = config.providers.iter().filter(|provider| is_meant(&provider.id)).collect();
    let titles: Vec<_> = providers.iter().map(|provider| provider.title.as_str()).collect();
    let choice = if titles.len() > 1 { ", chosen on a page" } else { "" };
    lines.push(format!("sign-in at: {}{choice}", titles.join(", ")));
    for provider in providers.iter().filter(|provider| provider.allow.is_some()) {
        lines.push(format!("the conditions of {} (`allow` there) hold as well", provider.title));
    }
    if !takes_tokens {
        lines.push("bearer tokens: none is accepted".to_owned());
    }
    lines
}
