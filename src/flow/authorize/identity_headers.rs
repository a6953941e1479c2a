//! The changes to a permitted request: identity headers that no client made up, a token where the app wants one, and no cookie
//! of ours.

use crate::{
    claims::{ClaimPath, Claims, Report, Unfit},
    config::{Config, NamedValue, SessionSettings},
    http::{Edits, HeaderEdit, HeaderNames, IdentityEdits, Request},
    rules::Authorization,
    secret::{AccessToken, RawBearerToken, RawIdToken},
    session::cookie::{self, Stripped},
};

use super::{
    super::{
        context::Env,
        event::{
            failure::Failure,
            omission::{Omission, Place},
        },
    },
    bearer_token, internal_redirect,
    permit::Permit,
};

const AUTHORIZATION: &str = "authorization";
/// The longest identity header we set; most apps refuse headers above 8 KiB.
const MAX_HEADER: usize = 7 * 1024;
/// The longest value in filter state.
const MAX_STATE: usize = 4 * 1024;

/// The changes that turn this request into one the app may see.
///
/// # Errors
/// [`Failure::IdentityTooLong`]
pub(super) fn edits(permit: &Permit, env: &mut Env<'_>) -> Result<Edits, Failure> {
    let (config, request, verdict) = (env.config, permit.request(), permit.ruled().verdict());
    let mut own = Vec::new();
    strip_identity(request, &config.removed_headers, &mut own);
    strip_cookies(request, &config.session, &mut own);
    own.extend(connection(request));
    let token = permit.token();
    if !matches!(token, Some(HeaderEdit::Set(name, _)) if name == AUTHORIZATION) {
        own.extend(authorization(permit, env));
    }
    if let Some(token) = token {
        own.push(token.clone());
    }
    let Env { omissions, events, .. } = env;
    let subject = permit.subject().unwrap_or_default();
    let mut report = |place, claim: &ClaimPath, unfit| {
        omissions.report(Omission::identity(place, claim, subject, unfit), events);
    };
    let identity = match (permit.by_session(), permit.by_bearer()) {
        (Some(fresh), _) => Some(fresh.identity(|session| identity(session, config, &mut report))),
        (None, Some(bearer)) => Some(bearer.identity(|bearer| identity(bearer, config, &mut report))),
        (None, None) => None,
    };
    if let Some(name) = identity.as_ref().and_then(|identity| identity.too_long.clone()) {
        return Err(Failure::IdentityTooLong(name));
    }
    let rule = verdict.rule().filter(|_| config.filter_state.rule).map(str::to_owned);
    let user = permit.subject().filter(|_| config.filter_state.user).map(str::to_owned);
    let mut edits = Edits { own, identity, rule, user, credentials: None };
    if config.internal_redirects {
        edits.credentials = internal_redirect::credentials(request, &edits);
    }
    Ok(edits)
}

/// Called with the header or key of filter state, the path of the claim that is left out or cut, and the reason.
type ReportAt<'a> = dyn FnMut(Place, &ClaimPath, Unfit) + 'a;

fn identity(claims: &dyn Claims, config: &Config, report: &mut ReportAt<'_>) -> IdentityEdits {
    let mut too_long = None;
    let mut render = |NamedValue { name, value }: &NamedValue, longest, place: fn(String) -> Place| {
        let report: &mut Report<'_> = &mut |claim, unfit| report(place(name.clone()), claim, unfit);
        match value.render(claims, longest, report) {
            Ok(text) => Some((name.clone(), text?)),
            Err(_) => {
                too_long = Some(name.clone());
                None
            }
        }
    };
    let headers = config.identity_headers.iter().filter_map(|known| render(known, MAX_HEADER, Place::Header));
    // The headers of these names are among those that `strip_identity` removes, and the host adds a line in half the time
    // in which it replaces one.
    let headers = headers.map(|(name, text)| HeaderEdit::Add(name, text.into_bytes())).collect();
    let state = &config.filter_state.claims;
    let state = state.iter().filter_map(|known| render(known, MAX_STATE, Place::FilterState)).collect();
    IdentityEdits { headers, state, too_long }
}

/// The change to `Authorization`: but for `app` and `keep`, nothing that a client sent stays except the very token that is
/// wanted, and no expired token goes upstream.
fn authorization(permit: &Permit, env: &Env<'_>) -> Option<HeaderEdit> {
    let (request, verdict) = (permit.request(), permit.ruled().verdict());
    let session = permit.by_session().map(|fresh| fresh.session());
    let is_by_token = permit.by_bearer().is_some_and(|bearer| bearer.is_access_token());
    let of_cookie;
    let token = match verdict.authorization(env.config.authorization) {
        Authorization::App | Authorization::Keep => return None,
        Authorization::AccessToken if is_by_token && bearer_token::is_in_header(permit.ruled(), env.config) => {
            return None;
        }
        Authorization::AccessToken if is_by_token => {
            of_cookie = bearer_token::in_cookie(request, env.config);
            of_cookie.as_ref().map(RawBearerToken::expose)
        }
        Authorization::AccessToken => {
            session.and_then(|session| session.app_access_token(env.now())).map(AccessToken::expose)
        }
        Authorization::IdToken => session.and_then(|session| session.app_id_token(env.now())).map(RawIdToken::expose),
        Authorization::Strip => None,
    };
    match token {
        Some(token) => Some(HeaderEdit::Set(AUTHORIZATION.to_owned(), format!("Bearer {token}").into_bytes())),
        None => request.has(AUTHORIZATION).then(|| HeaderEdit::Remove(AUTHORIZATION.to_owned())),
    }
}

/// The changes to a permitted request's trailers: some apps read them like headers. Credentials have no place there at all
/// (RFC 9110, 6.5.1).
pub fn trailer_edits(trailers: &Request, config: &Config) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    strip_identity(trailers, &config.removed_headers, &mut edits);
    strip_identity(trailers, &HeaderNames::from_iter([AUTHORIZATION.to_owned()]), &mut edits);
    edits
}

// Whatever an app could read as one of these headers goes, under the name it came with.
fn strip_identity(request: &Request, removed: &HeaderNames, edits: &mut Vec<HeaderEdit>) {
    for name in request.names_like_any(removed) {
        edits.push(HeaderEdit::Remove(name.to_owned()));
    }
}

/// `Connection`, which goes upstream with an upgrade. Its options name headers that the next proxy takes out (RFC 9110,
/// 7.6.1): a client must not have ours removed that way.
fn connection(request: &Request) -> Option<HeaderEdit> {
    const NAME: &str = "connection";
    const KEPT: [&[u8]; 3] = [b"close", b"keep-alive", b"upgrade"];
    let options = request.lines(NAME).flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let (kept, others): (Vec<_>, Vec<_>) =
        options.partition(|option| KEPT.iter().any(|known| option.eq_ignore_ascii_case(known)));
    if others.is_empty() {
        return None;
    }
    let kept = kept.join(b", ".as_slice());
    Some(if kept.is_empty() { HeaderEdit::Remove(NAME.to_owned()) } else { HeaderEdit::Set(NAME.to_owned(), kept) })
}

fn strip_cookies(request: &Request, settings: &SessionSettings, edits: &mut Vec<HeaderEdit>) {
    // All our names begin alike: others are told by that alone.
    let common = settings.cookies.common_prefix();
    let is_ours = |name: &[u8]| name.starts_with(common.as_bytes()) && settings.has_cookie(name);
    let (mut lines, mut is_changed) = (Vec::new(), false);
    for line in request.lines("cookie") {
        let stripped = cookie::strip(line, is_ours);
        is_changed |= stripped != Stripped::Unchanged;
        lines.push((line, stripped));
    }
    if !is_changed {
        return;
    }
    // One name, several lines: the first that stays replaces them all, and the others are added, each as it is.
    let mut kept = lines.into_iter().filter_map(|(line, stripped)| match stripped {
        Stripped::Unchanged => Some(line.to_owned()),
        Stripped::Rest(rest) => Some(rest),
        Stripped::Emptied => None,
    });
    let name = || "cookie".to_owned();
    edits.push(match kept.next() {
        Some(first) => HeaderEdit::Set(name(), first),
        None => HeaderEdit::Remove(name()),
    });
    edits.extend(kept.map(|line| HeaderEdit::Add(name(), line)));
}
