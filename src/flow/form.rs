//! Forms that somebody posted on this site without a session. A redirect would lose them; with `sign_in.keep_forms` the
//! browser itself keeps one in its tab over the sign-in, and sends it again once the person says so. Nothing of it is
//! kept here.

use crate::{
    claims::IssuerId,
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

/// A form that may be kept, or not: whose it is, and what becomes of it.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) caller: Caller,
    /// Where it was sent.
    target: String,
    /// At whose sign-in page its sender may sign in; empty means at any.
    providers: Vec<IssuerId>,
}

/// Answers a form, or another page's request that a sign-in at one of these providers would lose.
pub(super) fn arrive(request: &Request, caller: Caller, providers: Vec<IssuerId>, env: &mut Env<'_>) -> Step {
    let target = ReturnTo::parse(request.target(), &env.config.prefix);
    // A page of another site could have its form kept, for this person to send with their session afterwards: what
    // SameSite keeps from happening (CSRF) must not come in here.
    let is_kept = env.config.sign_in.keep_forms
        && request.method() == "POST"
        && is_form(request)
        && target.as_str().as_bytes() == request.target()
        && !comes_from_elsewhere(request, env.config.origin.as_str())
        && (request.has("sec-fetch-site") || request.has("origin"));
    let form = Posted { caller, target: target.as_str().to_owned(), providers };
    if is_kept { ExpectBody::of(request, Then::Form(form), env) } else { form.ask_to_sign_in(env) }
}

impl Posted {
    /// Says that nothing was delivered, and where to sign in.
    pub(super) fn ask_to_sign_in(&self, env: &mut Env<'_>) -> Step {
        let offer = Offer::sign_in(sign_in::start("/", &self.providers, env));
        reply::refuse(Failure::SignInRequired, &self.caller, offer, env)
    }

    /// Gives the browser its form to keep.
    pub(super) fn keep(self, body: &[u8], env: &mut Env<'_>) -> Step {
        let fields: Vec<_> = form_urlencoded::parse(body).into_owned().take(MAX_FIELDS + 1).collect();
        if fields.is_empty() || fields.len() > MAX_FIELDS {
            return self.ask_to_sign_in(env);
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
        page.action =
            Some(Action::Link { label: "Sign in", href: sign_in::start(back.as_str(), &self.providers, env) });
        page.script = Some(Script::KeepForm);
        page.kept = Some(KeptForm { action: self.target, fields });
        reply::refuse_with(failure, page, &self.caller, env)
    }
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
