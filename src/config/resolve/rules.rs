//! Rules.

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::{condition_list, limit_entries, resolve_each},
    limits,
    policies::{self, Policies},
    text,
};
use crate::rules::{Access, HeaderCondition, HostPattern, Network, PathPattern, PatternError, Policy, Rule, Rules};

/// The methods of RFC 9110 and RFC 5789, of WebDAV, and `QUERY`. A closed list: a rule with a misspelt method would
/// never match.
const METHODS: [&str; 18] = [
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LOCK",
    "MKCOL",
    "MOVE",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REPORT",
    "TRACE",
    "UNLOCK",
];

#[inline(never)]
pub(super) fn rules(
    rules: Vec<raw::Rule>,
    policies: Policies<'_>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Rules, Faulty> {
    let rules = Rules::new(resolve_each(rules, at, faults, |raw, at, faults| rule(raw, &policies, at, faults))?);
    Ok(if policies.have_routes { rules.with_policies(policies.all) } else { rules })
}

fn rule(raw: raw::Rule, policies: &Policies<'_>, at: &At<'_>, faults: &mut Faults) -> Result<Rule, Faulty> {
    let unconditional = raw.path.is_none()
        && raw.prefix.is_none()
        && raw.regex.is_none()
        && raw.methods.is_none()
        && raw.hosts.is_none()
        && raw.headers.is_none()
        && raw.networks.is_none();
    let name = raw.name.map(|name| text::line(name, &at.key("name"), faults)).transpose();
    let path = path(raw.path, raw.prefix, raw.regex, at, faults);
    let methods = condition_list(raw.methods, &at.key("methods"), "method", faults, method);
    let hosts = condition_list(raw.hosts, &at.key("hosts"), "host", faults, host);
    let headers = headers(raw.headers, &at.key("headers"), faults);
    let networks = condition_list(raw.networks, &at.key("networks"), "network", faults, network);
    let (is_locked, at_policy) = (raw.locked == Some(true), at.key("policy"));
    let policy = match (raw.policy, raw.own_policy) {
        (None, policy) => policies::policy(policy.unwrap_or_default(), policies.context, at, faults),
        (Some(name), None) => policies.named(&name, &at_policy, faults),
        (Some(_), Some(_)) => Err(faults.wrong(
            &at_policy,
            "nothing together with `access` and its settings: a rule has its own policy, or names one",
        )),
    };
    if is_locked && !policies.have_routes {
        faults.wrong(&at.key("locked"), "nothing; it applies only with `route_metadata: true`");
    } else if is_locked && policy.as_ref().is_ok_and(Policy::is_open) {
        faults.wrong(&at.key("locked"), "nothing; it applies only to rules that do not admit every request");
    }
    // A misspelt condition is reported at its own place.
    if unconditional && policy.as_ref().is_ok_and(|policy| policy.access == Access::Public) && !faults.any_within(at) {
        return Err(
            faults.wrong(at, "a condition: this would make everything public; write path: /** if that is intended")
        );
    }
    Ok(Rule {
        name: name?,
        path: path?,
        methods: methods?,
        hosts: hosts?,
        headers: headers?,
        networks: networks?,
        locked: is_locked,
        policy: policy?,
    })
}

fn headers(entries: Option<raw::Entries>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<HeaderCondition>, Faulty> {
    let Some(entries) = entries else { return Ok(Vec::new()) };
    if entries.0.is_empty() {
        return Err(faults.wrong(at, "at least one header; without this field the rule considers no header"));
    }
    let mut found = Vec::new();
    let mut fault = None;
    limit_entries(entries.0.len(), at, faults)?;
    for (name, value) in entries.0 {
        let at = at.key(&name);
        let lower = name.to_ascii_lowercase();
        if !text::is_token(&name) {
            fault = Some(faults.wrong(&at, "the name of a header as the name of this field"));
        } else if lower == "host" {
            fault = Some(faults.wrong(&at, "another header; `hosts` are for hosts"));
        } else if found.iter().any(|known: &HeaderCondition| known.name == lower) {
            fault = Some(faults.wrong(&at, "each header once; names are case-insensitive"));
        } else if value.is_empty()
            || value.len() > limits::MAX_TEXT
            || value.trim() != value
            || value.contains(char::is_control)
        {
            fault = Some(faults.wrong(&at, "the header's whole value, or `*` for any"));
        } else {
            let value = (value != "*").then_some(value);
            found.push(HeaderCondition { name: lower, value });
        }
    }
    fault.map_or(Ok(found), Err)
}

fn path(
    path: Option<String>,
    prefix: Option<String>,
    regex: Option<String>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Option<PathPattern>, Faulty> {
    type Compile = fn(&str) -> Result<PathPattern, PatternError>;
    let given = [
        ("path", path, PathPattern::glob as Compile),
        ("prefix", prefix, PathPattern::prefix),
        ("regex", regex, PathPattern::regex),
    ];
    let mut compiled = Ok(None);
    for (field, text, compile) in given {
        let Some(text) = text else { continue };
        let at = at.key(field);
        let pattern = match compiled {
            Ok(Some(_)) | Err(_) => Err(faults.wrong(&at, "at most one of path, prefix and regex")),
            Ok(None) => compile(&text).map_err(|error| faults.wrong_value(&at, error.to_string(), &text)),
        };
        compiled = pattern.map(Some);
    }
    compiled
}

fn method(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if METHODS.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(faults.wrong_word(at, &METHODS, &text))
}

fn host(text: String, at: &At<'_>, faults: &mut Faults) -> Result<HostPattern, Faulty> {
    HostPattern::parse(&text).map_err(|error| faults.wrong_value(at, error.to_string(), &text))
}

fn network(text: String, at: &At<'_>, faults: &mut Faults) -> Result<Network, Faulty> {
    Network::parse(&text).map_err(|error| faults.wrong_value(at, error.to_string(), &text))
}
