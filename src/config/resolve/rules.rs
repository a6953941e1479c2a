//! Rules.

use super::{
    super::{
        fault::{Faults, Faulty, Path},
        raw,
        shape::one_of,
    },
    allow, few, limits, text,
};
use crate::rules::{
    Access, Answer, Authorization, HeaderCondition, HostPattern, PathPattern, PatternError, Rule, Rules,
};

/// The methods of RFC 9110 and RFC 5789, WebDAV's, and `QUERY`. A closed list, because a misspelt method is a rule that
/// never matches.
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

/// The rules in their order.
pub(super) fn rules(
    rules: Vec<raw::Rule>,
    by_default: Authorization,
    at: &Path,
    faults: &mut Faults,
) -> Result<Rules, Faulty> {
    let rule = |(place, raw)| rule(raw, by_default, &at.index(place), faults);
    let rules: Vec<_> = rules.into_iter().enumerate().map(rule).collect();
    rules.into_iter().collect::<Result<_, _>>().map(Rules::new)
}

fn rule(raw: raw::Rule, by_default: Authorization, at: &Path, faults: &mut Faults) -> Result<Rule, Faulty> {
    let unconditional = raw.path.is_none()
        && raw.prefix.is_none()
        && raw.regex.is_none()
        && raw.methods.is_none()
        && raw.hosts.is_none()
        && raw.headers.is_none();
    let name = name(raw.name, &at.key("name"), faults);
    let path = path(raw.path, raw.prefix, raw.regex, at, faults);
    let methods = listed(raw.methods, &at.key("methods"), "method", faults, method);
    let hosts = listed(raw.hosts, &at.key("hosts"), "host", faults, host);
    let headers = headers(raw.headers, &at.key("headers"), faults);
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
    let given = raw.authorization.map(authorization);
    match (given, &access) {
        (Some(Authorization::AccessToken | Authorization::IdToken), Ok(Access::Deny | Access::Public))
        | (Some(Authorization::IdToken), Ok(Access::Bearer)) => {
            faults.wrong(&at.key("authorization"), "keep or strip; with this `access` there is no such token");
        }
        _ => {}
    }
    // A rule whose condition is misspelt is reported there.
    if unconditional && matches!(access, Ok(Access::Public)) && !faults.any_within(at) {
        return Err(faults.wrong(at, "a condition: this would make everything public; write path: /** if you mean it"));
    }
    Ok(Rule {
        name: name?,
        path: path?,
        methods: methods?,
        hosts: hosts?,
        headers: headers?,
        access: access?,
        unauthenticated: raw.unauthenticated.map(answer).unwrap_or_default(),
        allow: allow?,
        scopes: scopes?,
        authorization: given.unwrap_or(by_default),
    })
}

/// What the app gets in `Authorization`.
pub(super) const fn authorization(raw: raw::Authorization) -> Authorization {
    match raw {
        raw::Authorization::AccessToken => Authorization::AccessToken,
        raw::Authorization::IdToken => Authorization::IdToken,
        raw::Authorization::Keep => Authorization::Keep,
        raw::Authorization::Strip => Authorization::Strip,
    }
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

fn name(value: Option<String>, at: &Path, faults: &mut Faults) -> Result<Option<String>, Faulty> {
    match value {
        Some(name) if !(1..=limits::MAX_RULE_NAME).contains(&name.len()) || name.chars().any(char::is_control) => {
            Err(faults.wrong_value(at, format!("1 to {} bytes in one line", limits::MAX_RULE_NAME), &name))
        }
        name => Ok(name),
    }
}

fn headers(entries: Option<raw::Entries>, at: &Path, faults: &mut Faults) -> Result<Vec<HeaderCondition>, Faulty> {
    let Some(entries) = entries else { return Ok(Vec::new()) };
    if entries.0.is_empty() {
        return Err(faults.wrong(at, "at least one header; without this field the rule looks at none"));
    }
    let mut found = Vec::new();
    let mut fault = None;
    for (name, value) in few(entries.0, at, faults)? {
        let at = at.key(&name);
        let lower = name.to_ascii_lowercase();
        if !text::is_token(&name) {
            fault = Some(faults.wrong(&at, "the name of a header as the name of this field"));
        } else if lower == "host" {
            fault = Some(faults.wrong(&at, "another header; `hosts` are for hosts"));
        } else if found.iter().any(|known: &HeaderCondition| known.name == lower) {
            fault = Some(faults.wrong(&at, "each header once, in whatever case of letters"));
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
    at: &Path,
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

/// Every element of a list of conditions. An empty list reads like "none", and would mean "all": it is refused.
fn listed<T>(
    list: Option<Vec<String>>,
    at: &Path,
    noun: &str,
    faults: &mut Faults,
    read: fn(String, &Path, &mut Faults) -> Result<T, Faulty>,
) -> Result<Vec<T>, Faulty> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(faults.wrong(at, format!("at least one {noun}; without this field the rule is for every {noun}")));
    }
    let list = few(list, at, faults)?;
    let read: Vec<_> = list.into_iter().enumerate().map(|(place, text)| read(text, &at.index(place), faults)).collect();
    read.into_iter().collect()
}

fn scope(text: String, at: &Path, faults: &mut Faults) -> Result<String, Faulty> {
    if !text.is_empty() && text.len() <= limits::MAX_TEXT && text::is_nqchar(&text) {
        return Ok(text);
    }
    Err(faults.wrong_value(at, "one scope, without spaces, quotes or backslashes", &text))
}

fn method(text: String, at: &Path, faults: &mut Faults) -> Result<String, Faulty> {
    if METHODS.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(faults.wrong_value(at, one_of(&METHODS), &text))
}

fn host(text: String, at: &Path, faults: &mut Faults) -> Result<HostPattern, Faulty> {
    HostPattern::parse(&text).map_err(|error| faults.wrong_value(at, error.to_string(), &text))
}
