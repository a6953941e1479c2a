//! The tokens that requests carry to the app.

use std::rc::Rc;

use super::{
    super::{
        NamedValue,
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::condition_list,
    identity_headers::own_header,
    limits::MAX_TEXT,
    text,
};
use crate::{
    http::HeaderNames,
    oidc::token_exchange::{Exchange, ExchangeGrant},
    rules::{Rules, UpstreamToken},
};

const AUTHORIZATION: &str = "authorization";
/// The place of the token in the header's value.
const TOKEN: &str = "{token}";

#[inline(never)]
pub(super) fn upstream_token(
    raw: raw::UpstreamToken,
    identity: Result<&[NamedValue], Faulty>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Rc<UpstreamToken>, Faulty> {
    let header = match raw.header.as_deref() {
        Some(name) if !name.eq_ignore_ascii_case(AUTHORIZATION) => {
            own_header(name, identity.unwrap_or_default(), "the name of a header", &at.key("header"), faults)
        }
        _ => Ok(AUTHORIZATION.to_owned()),
    };
    let default = if header.as_ref().is_ok_and(|name| name == AUTHORIZATION) { "Bearer {token}" } else { TOKEN };
    let value = parts(raw.value.as_deref().unwrap_or(default), &at.key("value"), faults);
    let exchange = raw.exchange.map(|raw| exchange(raw, &at.key("exchange"), faults)).transpose();
    let (before, after) = value?;
    Ok(Rc::new(UpstreamToken { header: header?, before, after, exchange: exchange? }))
}

/// The texts before and behind the token.
fn parts(value: &str, at: &At<'_>, faults: &mut Faults) -> Result<(String, String), Faulty> {
    let is_clean = value.len() <= MAX_TEXT && text::is_vschar(value) && value.trim() == value;
    let braces = value.bytes().filter(|byte| matches!(byte, b'{' | b'}')).count();
    match value.split_once(TOKEN) {
        Some((before, after)) if is_clean && braces == 2 => Ok((before.to_owned(), after.to_owned())),
        _ => Err(faults.wrong_value(at, "printable ASCII with {token} in it once, such as `Bearer {token}`", value)),
    }
}

fn exchange(raw: raw::Exchange, at: &At<'_>, faults: &mut Faults) -> Result<Exchange, Faulty> {
    let grant = match raw.grant {
        Some(raw::ExchangeGrant::OnBehalfOf) => ExchangeGrant::OnBehalfOf,
        Some(raw::ExchangeGrant::TokenExchange) | None => ExchangeGrant::TokenExchange,
    };
    let is_empty = raw.audience.is_none() && raw.resource.is_none();
    if raw.scopes.is_none() && (is_empty || grant == ExchangeGrant::OnBehalfOf) {
        let expected = "audience, resource or scopes, which say what the token is for; `on_behalf_of` needs scopes";
        return Err(faults.wrong(at, expected));
    }
    let scopes = condition_list(raw.scopes, &at.key("scopes"), "scope", faults, text::scope);
    let audience = raw.audience.map(|audience| text::parameter(audience, &at.key("audience"), faults)).transpose()?;
    if let Some(resource) = &raw.resource {
        // RFC 8707, 2: an absolute URI without a fragment.
        if !resource.contains(':') || resource.contains('#') || !text::is_clean_url(resource) {
            return Err(text::wrong_url(resource, "an absolute URI without a fragment", &at.key("resource"), faults));
        }
    }
    let scope = Some(scopes?.join(" ")).filter(|scope| !scope.is_empty());
    Ok(Exchange { grant, audience, resource: raw.resource, scope })
}

/// Takes the headers of these tokens out of requests, but for `Authorization`: there `authorization` decides.
pub(super) fn reserve_headers(rules: &Rules, stripped: &mut HeaderNames, removed: &mut HeaderNames) {
    for token in rules.upstream_tokens().filter(|token| !token.is_authorization()) {
        stripped.add(token.header.clone());
        removed.add(token.header.clone());
    }
}
