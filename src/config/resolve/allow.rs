//! Conditions of the field `allow`.

use serde_json::{Number, Value};

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw::{self, Scalar},
    },
    bounds::{limit_entries, resolve_each},
};
use crate::claims::{ClaimPath, Condition, Conditions, Expression};

/// The given conditions, all of which must hold.
#[inline(never)]
pub(super) fn conditions(
    allow: Option<raw::Allow>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Option<Conditions>, Faulty> {
    allow.map(|allow| conditions_of(allow, at, faults).map(Conditions)).transpose()
}

fn conditions_of(raw: raw::Allow, at: &At<'_>, faults: &mut Faults) -> Result<Vec<Condition>, Faulty> {
    let mut found: Vec<Result<Condition, Faulty>> = Vec::new();
    let mut add = |condition: Option<Result<Condition, Faulty>>| found.extend(condition);
    add(list(raw.emails, &at.key("emails"), faults, email).map(|list| list.map(Condition::Email)));
    let matches = list(raw.email_matches, &at.key("email_matches"), faults, expression);
    add(matches.map(|list| list.map(Condition::EmailMatches)));
    let domains = list(raw.allowed_domains, &at.key("allowed_domains"), faults, domain);
    add(domains.map(|list| list.map(Condition::Domain)));
    for (name, values) in [("groups", raw.groups), ("roles", raw.roles)] {
        // Meant as a wildcard, it would match no value, and admit every user behind a `not`.
        if values.iter().flatten().any(|value| value.contains('*')) {
            faults.wrong(&at.key(name), "whole names; `*` is no wildcard (`claims` takes it literally)");
        }
        let values = values.map(|values| values.into_iter().map(Scalar::Text).collect());
        add(values.map(|values| claim(name, values, &at.key(name), faults)));
    }
    let at_claims = at.key("claims");
    if let Some(raw::Entries(claims)) = raw.claims {
        if claims.is_empty() {
            add(Some(Err(faults.wrong(&at_claims, "at least one claim"))));
        }
        match limit_entries(claims.len(), &at_claims, faults) {
            Ok(()) => claims.into_iter().for_each(|(name, values)| {
                add(Some(claim(&name, values, &at_claims.key(&name), faults)));
            }),
            Err(faulty) => add(Some(Err(faulty))),
        }
    }
    add(list(raw.all, &at.key("all"), faults, all).map(|list| list.map(Condition::All)));
    add(list(raw.any, &at.key("any"), faults, all).map(|list| list.map(Condition::Any)));
    add(raw.not.map(|not| all(*not, &at.key("not"), faults).map(|condition| Condition::Not(Box::new(condition)))));
    // A misspelt condition is reported at its own place.
    if found.is_empty() && !faults.any_within(at) {
        return Err(faults.wrong(at, "at least one condition; leave `allow` out to admit all users"));
    }
    found.into_iter().collect()
}

fn all(raw: raw::Allow, at: &At<'_>, faults: &mut Faults) -> Result<Condition, Faulty> {
    conditions_of(raw, at, faults).map(Condition::All)
}

/// Every element of a list. An empty list is refused: it would allow no user, but reads like no restriction.
fn list<R, T>(
    list: Option<Vec<R>>,
    at: &At<'_>,
    faults: &mut Faults,
    read: fn(R, &At<'_>, &mut Faults) -> Result<T, Faulty>,
) -> Option<Result<Vec<T>, Faulty>> {
    let list = list?;
    if list.is_empty() {
        return Some(Err(faults.wrong(at, "at least one element")));
    }
    Some(limit_entries(list.len(), at, faults).and_then(|()| resolve_each(list, at, faults, read)))
}

fn claim(name: &str, values: Vec<Scalar>, at: &At<'_>, faults: &mut Faults) -> Result<Condition, Faulty> {
    let path = ClaimPath::parse(name);
    let path =
        path.ok_or_else(|| faults.wrong(at, "the name of a claim, or a JSON Pointer, as the name of this field"));
    // The claim may hold an unverified address.
    if path.as_ref().is_ok_and(|path| path.name() == "email") {
        return Err(faults.wrong(at, "another claim; use `emails` for addresses, which must be verified"));
    }
    let values = self::values(values, at, faults);
    Ok(Condition::Claim(path?, values?))
}

pub(super) fn values(values: Vec<Scalar>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<Value>, Faulty> {
    list(Some(values), at, faults, scalar).unwrap_or_else(|| Ok(Vec::new()))
}

pub(super) fn scalar(value: Scalar, at: &At<'_>, faults: &mut Faults) -> Result<Value, Faulty> {
    match value {
        Scalar::Bool(truth) => Ok(Value::Bool(truth)),
        // Beyond that one double represents several integers, and another user's value would match.
        Scalar::Number(number) => {
            let exact = number_of(number).filter(|_| number.abs() < LEAST_INEXACT);
            exact.map(Value::Number).ok_or_else(|| faults.wrong(at, "a number below 2^53, to be exact"))
        }
        Scalar::Text(text) if !text.is_empty() && text.trim() == text => Ok(Value::String(text)),
        Scalar::Text(_) => Err(faults.wrong(at, "a value that is not empty, without spaces around it")),
    }
}

/// From 2^53 on, not every integer is a double.
const LEAST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// The JSON number of a double; integers without a fraction: `1`, not `1.0`.
fn number_of(number: f64) -> Option<Number> {
    #[allow(clippy::cast_possible_truncation, reason = "it saturates, and what is not the same is not taken")]
    let whole = number as i64;
    #[allow(clippy::cast_precision_loss, reason = "what is not the same is not taken")]
    let is_whole = whole as f64 == number;
    if is_whole { Some(whole.into()) } else { Number::from_f64(number) }
}

fn email(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let is_whole =
        text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !name.contains('*') && is_domain(domain));
    let expected = "an email address, such as alice@example.com (`email_matches` and `allowed_domains` are for many)";
    if is_whole { Ok(text) } else { Err(faults.wrong_value(at, expected, &text)) }
}

fn domain(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if is_domain(&text) { Ok(text) } else { Err(faults.wrong_value(at, "a domain, such as example.com", &text)) }
}

fn is_domain(text: &str) -> bool {
    let is_odd =
        |letter: char| matches!(letter, '@' | '*' | '/' | ':') || letter.is_whitespace() || letter.is_control();
    !text.contains(is_odd) && text.split('.').all(|label| !label.is_empty())
}

fn expression(text: String, at: &At<'_>, faults: &mut Faults) -> Result<Expression, Faulty> {
    Expression::ignoring_case(&text).ok_or_else(|| {
        let expected = "a regular expression for a whole email address, of moderate size and without look-around";
        faults.wrong_value(at, expected, &text)
    })
}
