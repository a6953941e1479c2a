//! What others are told of whoever is there: texts made of claims, and what goes into filter state.

use super::{
    super::{
        Config, FilterState, NamedValue,
        fault::{At, Faults, Faulty},
        raw,
    },
    each_condition_claim, limits, text,
};
use crate::{
    claims::{Encoding, Template, TooLong},
    provider::Provider,
};

/// What stands in a header or in filter state.
pub(super) fn value(raw: raw::ClaimText, at: &At<'_>, faults: &mut Faults) -> Result<Template, Faulty> {
    let raw = match raw {
        raw::ClaimText::Claim(claim) => return text::claim_path(&claim, at, faults).map(Template::of),
        raw::ClaimText::Made(raw) => raw,
    };
    let template = match (raw.claim, raw.template) {
        (Some(claim), None) => text::claim_path(&claim, &at.key("claim"), faults).map(Template::of),
        (None, Some(text)) => template(&text, &at.key("template"), faults),
        _ => Err(faults.wrong(at, "either a claim or a template")),
    };
    let separator = separator(raw.separator, &at.key("separator"), faults);
    let encoding = match raw.encoding {
        Some(raw::Encoding::Base64Url) => Encoding::Base64Url,
        Some(raw::Encoding::Percent) => Encoding::Percent,
        Some(raw::Encoding::Utf8) | None => Encoding::Utf8,
    };
    let too_long = match raw.too_long {
        Some(raw::TooLong::Cut) => TooLong::Cut,
        Some(raw::TooLong::Refuse) => TooLong::Refuse,
        Some(raw::TooLong::LeaveOut) | None => TooLong::LeaveOut,
    };
    if too_long == TooLong::Cut && template.as_ref().is_ok_and(|template| !template.is_claim()) {
        return Err(faults.wrong(&at.key("too_long"), "leave_out or refuse; `cut` is for a claim, not for a template"));
    }
    Ok(template?.written(separator?, encoding).where_too_long(too_long))
}

fn template(text: &str, at: &At<'_>, faults: &mut Faults) -> Result<Template, Faulty> {
    // Spaces at an end would be cut off on the way; and what is around the claims is the same in every encoding.
    let is_plain = text.len() <= limits::MAX_TEXT && text::is_vschar(text) && text.trim() == text;
    // As others write it.
    let is_plain = is_plain && !text.as_bytes().windows(2).any(|pair| matches!(pair, b"${" | b"%{"));
    Template::parse(text).filter(|_| is_plain).ok_or_else(|| {
        let expected = "a text in ASCII with claims in it, such as {email} or {/realm_access/roles} and not ${email}, without \
                        spaces around it; {{ is a brace";
        faults.wrong_value(at, expected, text)
    })
}

fn separator(raw: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<char, Faulty> {
    let Some(text) = raw else { return Ok(limits::SEPARATOR) };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if text::is_vschar(&text) => Ok(letter),
        _ => Err(faults.wrong_value(at, "one character in ASCII", &text)),
    }
}

/// Leaves addresses out of these values unless the provider calls them verified; `false` where no value has one.
pub(super) fn verified_emails_only<'a>(values: impl Iterator<Item = &'a mut NamedValue>) -> bool {
    let mut has_one = false;
    for known in values.filter(|known| carries_email(known)) {
        known.value = known.value.clone().verified_only();
        has_one = true;
    }
    has_one
}

/// Warns where the app may receive an unverified address, while conditions count verified ones only.
pub(super) fn unverified_email(config: &Config) -> Option<String> {
    let mut asks = false;
    each_condition_claim(config, &mut |name| asks |= name == "email");
    let has_claim = config.providers.iter().any(Provider::may_send_unverified_email);
    let header = config.identity_headers.iter().find(|known| carries_email(known)).filter(|_| asks && has_claim)?;
    Some(format!(
        "identity_headers: {:?} carries an email also where the provider does not send email_verified, and `allow` counts \
         verified ones only; set verified_email_only to true, or to false where users cannot choose their address there",
        header.name
    ))
}

fn carries_email(known: &NamedValue) -> bool {
    let mut carries = false;
    known.value.each_path(&mut |path| carries |= path.name() == "email");
    carries
}

/// What goes into filter state.
pub(super) fn filter_state(raw: raw::FilterState, at: &At<'_>, faults: &mut Faults) -> Result<FilterState, Faulty> {
    let (mut claims, mut fault) = (Vec::new(), None);
    let at = at.key("claims");
    let entries = raw.claims.unwrap_or_default().0;
    if entries.len() > limits::MAX_FILTER_STATE {
        let expected = format!("at most {} entries, got {}", limits::MAX_FILTER_STATE, entries.len());
        return Err(faults.wrong(&at, expected));
    }
    for (name, raw) in entries {
        let at = at.key(&name);
        // What stands in a format of access logs as it is, and is not written by ourselves.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_plain
            || !(1..=limits::MAX_RULE_NAME).contains(&name.len())
            || name.starts_with("vestibule_")
            || name.starts_with("wasm.")
        {
            let expected = "letters, digits, `-`, `_` and `.` as the name of this field, and neither `vestibule_` nor `wasm.` \
                            (which Envoy adds) first";
            fault = Some(faults.wrong(&at, expected));
        }
        match value(raw, &at, faults) {
            Ok(value) => claims.push(NamedValue { name, value }),
            Err(faulty) => fault = Some(faulty),
        }
    }
    fault.map_or(Ok(FilterState { claims, rule: raw.rule.unwrap_or(false) }), Err)
}
