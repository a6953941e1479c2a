//! Authorization responses that the provider has the browser post (OAuth 2.0 Form Post Response Mode 1.0, 2). A form that
//! another site posts brings no `SameSite=Lax` cookies along, and so neither the pending sign-in nor the session. It is sealed
//! into the query of the same callback, and the browser is sent there: that request has its cookies, and no code stands in a
//! URL in the clear.

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
    event::failure::Failure,
    executor::Gate,
};

/// The parameter of the sealed form. No provider sends it.
const SEALED: &str = "sealed_response";
const LABEL: &str = "form_post";

/// Answers a form for the callback of this provider.
pub(super) fn relay(request: &Request, provider: &Provider, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller::of(request).of_issuer(provider.id);
    if !is_form(request) || request.ends_with_headers() {
        return answer::refuse(AuthorizationError::Malformed.into(), &caller, home(env), env).into();
    }
    let redirect_uri = env.config.redirect_uri(provider);
    Gate::flow(move |cx| async move {
        match seal(&redirect_uri, &cx).await {
            Ok(location) => answer::redirect(Redirect::SeeOther, "callback_posted", location, Vec::new()),
            Err(failure) => {
                let offer = Offer::again(cx.config().origin.as_str().to_owned() + "/", Vec::new());
                cx.refuse(failure, &caller, offer)
            }
        }
    })
}

fn home(env: &Env<'_>) -> Offer {
    Offer::again(env.config.origin.as_str().to_owned() + "/", Vec::new())
}

async fn seal(redirect_uri: &str, cx: &RequestContext) -> Result<String, Failure> {
    let body = cx.body().await?;
    // What is no response is not sealed; who began the sign-in is asked when the browser brings its cookies.
    AuthorizationResponse::parse(&body)?;
    let sealed = cx.config().session.sealer.seal(Purpose::PostedResponse, LABEL, &body, cx.platform())?;
    let location = format!("{redirect_uri}?{SEALED}={sealed}");
    if location.len() > MAX_QUERY { Err(AuthorizationError::Malformed.into()) } else { Ok(location) }
}

/// The authorization response of a callback: the form that was sealed, or the query.
pub(super) fn response(request: &Request, env: &Env<'_>) -> Result<AuthorizationResponse, AuthorizationError> {
    let query = request.query().unwrap_or_default();
    let Some(sealed) = parameter(query, SEALED) else { return AuthorizationResponse::parse(query) };
    let sealer = &env.config.session.sealer;
    let form = sealer.open(Purpose::PostedResponse, LABEL, sealed.as_bytes()).ok_or(AuthorizationError::Malformed)?;
    AuthorizationResponse::parse(&form)
}
