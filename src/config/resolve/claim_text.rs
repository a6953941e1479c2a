//! Texts made of claims, for identity headers and filter state.

use super::{
    super::{
        Config, NamedValue,
        fault::{At, Faults, Faulty},
        raw,
    },
    kept_claims::each_condition_claim,
    limits, text,
};
use crate::{
    claims::{Encoding, Template, TooLong},
    provider::Provider,
};

/// The template of a header's or filter state key's value.
#[inline(never)]
pub(super) fn value(raw: raw::ClaimText, at: &At<'_>, faults: &mut Faults) -> Result<Template, Faulty> {
    let raw = match raw {
        raw::ClaimText::Claim(claim) => return text::claim_path(&claim, at, faults).map(Template::of),
        raw::ClaimText::Formatted(raw) => raw,
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
        return Err(
            faults.wrong(&at.key("too_long"), "leave_out or refuse; `cut` applies to a claim, not to a template")
        );
    }
    Ok(template?.with_format(separator?, encoding).with_too_long(too_long))
}

fn template(text: &str, at: &At<'_>, faults: &mut Faults) -> Result<Template, Faulty> {
    // HTTP trims spaces at the ends; and literal text is ASCII in every encoding.
    let is_plain = text.len() <= limits::MAX_TEXT && text::is_vschar(text) && text.trim() == text;
    // The placeholder syntax of other tools.
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

/// Restricts email addresses in these values to verified ones; `false` if no value has one.
pub(super) fn verified_emails_only<'a>(values: impl Iterator<Item = &'a mut NamedValue>) -> bool {
    let mut has_one = false;
    for known in values.filter(|known| carries_email(known)) {
        known.value = known.value.clone().verified_only();
        has_one = true;
    }
    has_one
}

/// Warns if the app may receive an unverified address while conditions count only verified ones.
pub(super) fn unverified_email(config: &Config) -> Option<String> {
    let mut asks = false;
    each_condition_claim(&config.rules, &config.providers, &mut |name| asks |= name == "email");
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
