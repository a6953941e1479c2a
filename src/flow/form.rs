//! Forms that somebody posted on this site without a session. A redirect would lose them; with `sign_in.keep_forms` the
//! browser itself keeps one in its tab over the sign-in, and sends it again once the person says so. Nothing of it is
//! kept here.

use crate::{
    http::Request,
    page::{Action, KeptForm, Page, Script},
    session::return_to::ReturnTo,
};

use super::{
    Env, Step,
    body::{ExpectBody, Then, is_form},
    caller::{Caller, comes_from_elsewhere},
    failure::Failure,
    reply::{self, Offer},
    sign_in,
};

/// The most fields of a form that is kept.
const MAX_FIELDS: usize = 500;

/// Answers a form, or another page's request that a sign-in would lose.
pub(super) fn arrive(request: &Request, caller: &Caller, env: &mut Env<'_>) -> Step {
    let target = ReturnTo::parse(request.target(), &env.config.prefix);
    // A page of another site could have its form kept, for this person to send with their session afterwards: what
    // SameSite keeps from happening (CSRF) must not come in here.
    let is_kept = env.config.sign_in.keep_forms
        && request.method() == "POST"
        && is_form(request)
        && target.as_str().as_bytes() == request.target()
        && !comes_from_elsewhere(request, env.config.origin.as_str())
        && (request.has("sec-fetch-site") || request.has("origin"));
    if is_kept {
        ExpectBody::of(request, Then::Form(caller.clone(), target.as_str().to_owned()), env)
    } else {
        ask_to_sign_in(caller, env)
    }
}

/// Says that nothing was delivered, and where to sign in.
pub(super) fn ask_to_sign_in(caller: &Caller, env: &mut Env<'_>) -> Step {
    reply::refuse(Failure::SignInRequired, caller, Offer::sign_in("/".to_owned()), env)
}

/// Gives the browser its form to keep.
pub(super) fn keep(caller: Caller, target: String, body: &[u8], env: &mut Env<'_>) -> Step {
    let fields: Vec<_> = form_urlencoded::parse(body).into_owned().take(MAX_FIELDS + 1).collect();
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        return ask_to_sign_in(&caller, env);
    }
    let failure = Failure::SignInRequired;
    let words = failure.words();
    let mut page = Page::new(
        words.title,
        "You are not signed in, or your session is over. What you sent was not delivered, but this tab keeps it: sign \
         in here, and you can send it again.",
        failure.code(),
    );
    let back = ReturnTo::kept_form(&env.config.prefix);
    page.action = Some(Action::Link { label: "Sign in", href: sign_in::start(back.as_str(), &[], env) });
    page.script = Some(Script::KeepForm);
    page.kept = Some(KeptForm { action: target, fields });
    reply::refuse_with(failure, page, &caller, env)
}

/// The page that offers to send it again.
pub(super) fn resend(request: &Request, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(request);
    if !env.config.sign_in.keep_forms {
        return reply::refuse(Failure::ReservedPath, &caller, Offer::default(), env);
    }
    let mut page = Page::new("Send your form again?", "You are signed in. This is what was not delivered:", "form");
    page.action = Some(Action::Resend { label: "Send it now", href: "/".to_owned() });
    page.request_id = caller.request_id.as_deref();
    page.script = Some(Script::ResendForm);
    Step::Reply(reply::page(200, "form", &page, Vec::new()))
}
