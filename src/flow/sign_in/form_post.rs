//! Authorization responses that the provider has the browser post (OAuth 2.0 Form Post Response Mode 1.0, 2). A form that
//! another site posts brings no `SameSite=Lax` cookies along, and so neither the pending sign-in nor the session. It is sealed
//! into the query of the same callback, and the browser is sent there: that request has its cookies, and no code stands in a
//! URL in the clear.

use form_urlencoded::Serializer;

use crate::{
    http::{LocalReply, Request, parameter},
    oidc::authorization::{AuthorizationError, AuthorizationResponse, MAX_QUERY},
    provider::Provider,
    session::seal::Purpose,
};

use super::super::{
    answer::{self, Offer, Redirect, caller::Caller},
    body::is_form,
    context::{Env, RequestContext},
    event::{Operation, failure::Failure},
    executor::Gate,
};

/// The parameter of the sealed form. No provider sends it.
const SEALED: &str = "sealed_response";
/// The parameters of a response that are read. Others that a provider posts, such as the name of a user, are left behind.
const READ: [&str; 5] = ["code", "error", "error_description", "iss", "state"];

/// Answers a form for the callback of this provider.
pub(super) fn relay(request: &Request, provider: &Provider, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller::of(request).of_issuer(provider.id).for_operation(Operation::SignIn);
    let home = Offer::home(env.origin());
    if !is_form(request) || request.ends_with_headers() {
        return answer::refuse(AuthorizationError::Malformed.into(), &caller, home, env).into();
    }
    let (redirect_uri, name) = (env.config.redirect_uri(env.origin(), provider), provider.name.clone());
    Gate::flow(move |cx| async move {
        match seal(&redirect_uri, &name, &cx).await {
            Ok(location) => answer::redirect(Redirect::SeeOther, "callback_posted", location, Vec::new()),
            Err(failure) => cx.refuse(failure, &caller, home),
        }
    })
}

async fn seal(redirect_uri: &str, provider: &str, cx: &RequestContext) -> Result<String, Failure> {
    let body = cx.body().await?;
    // Only well-formed responses are sealed. The redirected request brings the cookies, by which they are checked.
    AuthorizationResponse::parse(&body)?;
    let read = form_urlencoded::parse(&body).filter(|(name, _)| READ.contains(&name.as_ref()));
    let form = Serializer::new(String::new()).extend_pairs(read).finish();
    let sealer = &cx.config().session.sealer;
    let sealed = sealer.seal(Purpose::PostedResponse, provider, form.as_bytes(), cx.platform())?;
    let location = format!("{redirect_uri}?{SEALED}={sealed}");
    if location.len() > MAX_QUERY { Err(AuthorizationError::Malformed.into()) } else { Ok(location) }
}

/// The authorization response of a callback of this provider: the form that was sealed, or the query.
pub(super) fn response(
    request: &Request,
    provider: &Provider,
    env: &Env<'_>,
) -> Result<AuthorizationResponse, AuthorizationError> {
    let query = request.query().unwrap_or_default();
    let sealed = parameter(query, SEALED).filter(|_| provider.relying_party.request_form.is_posted_back);
    let Some(sealed) = sealed else { return AuthorizationResponse::parse(query) };
    let sealer = &env.config.session.sealer;
    let form = sealer.open(Purpose::PostedResponse, &provider.name, sealed.as_bytes());
    AuthorizationResponse::parse(&form.ok_or(AuthorizationError::Malformed)?)
}
