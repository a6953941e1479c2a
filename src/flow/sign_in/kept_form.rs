//! Forms posted on this site without a session. A redirect would lose them; with `sign_in.keep_forms` the browser itself
//! keeps one in its tab over the sign-in, and sends it again when the user confirms. Nothing of it is kept here.

use crate::{
    http::{LocalReply, Request},
    page::{Action, KeptForm, Link, Page, Script, text::Text},
    session::return_to::ReturnTo,
};

use super::{
    super::{
        answer::{
            self, Offer,
            caller::{Caller, comes_from_elsewhere},
        },
        body::{BodyError, is_form},
        context::{Env, RequestContext},
        event::failure::Failure,
        executor::Gate,
    },
    request::SignInRequest,
};

/// The most fields of a form that is kept.
const MAX_FIELDS: usize = 500;

/// A form that was posted without a session.
struct PostedForm {
    caller: Caller,
    /// The path and query it was sent to.
    target: String,
    /// The sign-in that its sender lacks.
    sign_in: SignInRequest,
}

/// Answers a POST of a page without a session: a redirect would lose its body.
pub(super) fn begin(request: &Request, caller: Caller, sign_in: SignInRequest, env: &mut Env<'_>) -> Gate<LocalReply> {
    let target = ReturnTo::parse(request.target(), &env.config.prefix);
    // A page of another site could have its form kept, for the user to send with their session afterwards: the CSRF that
    // SameSite prevents must not come in here.
    let is_kept = env.config.sign_in.keep_forms
        && request.method() == "POST"
        && is_form(request)
        && target.as_str().as_bytes() == request.target()
        && !comes_from_elsewhere(request, env.origin().as_str())
        && (request.has("sec-fetch-site") || request.has("origin"));
    let form = PostedForm { caller, target: target.as_str().to_owned(), sign_in };
    if !is_kept {
        form.ask_to_sign_in(env).into()
    } else if request.ends_with_headers() {
        form.keep(&[], env).into()
    } else {
        Gate::flow(move |cx| keep_with_body(form, cx))
    }
}

async fn keep_with_body(form: PostedForm, cx: RequestContext) -> LocalReply {
    let caller = form.caller.clone();
    let kept = match cx.body().await {
        Ok(body) => cx.with(|env| form.keep(&body, env)),
        // It is not kept, then; the user has to sign in all the same.
        Err(BodyError::TooLong) => cx.with(|env| form.ask_to_sign_in(env)),
        Err(error) => Err(error.into()),
    };
    kept.unwrap_or_else(|failure| cx.refuse(failure, &caller, Offer::default()))
}

impl PostedForm {
    /// The page that says that nothing was delivered, with a link to sign in.
    fn ask_to_sign_in(&self, env: &mut Env<'_>) -> LocalReply {
        let offer = Offer::sign_in(self.sign_in.start_url("/", env));
        answer::refuse(self.sign_in.failure(), &self.caller, offer, env)
    }

    /// Gives the browser its form to keep.
    fn keep(self, body: &[u8], env: &mut Env<'_>) -> LocalReply {
        let fields: Vec<_> = form_urlencoded::parse(body).into_owned().take(MAX_FIELDS + 1).collect();
        if fields.is_empty() || fields.len() > MAX_FIELDS {
            return self.ask_to_sign_in(env);
        }
        let failure = self.sign_in.failure();
        let reason =
            if matches!(failure, Failure::StepUpRequired(..)) { Text::StrongerThanYours } else { Text::NotSignedIn };
        let mut page = Page::new(failure.words().title, &[reason, Text::NotDeliveredButKept]);
        page.fallback = Some(Text::FormNotKept);
        let back = ReturnTo::kept_form(&env.config.prefix);
        page.action = Some(Action::link(Text::SignIn, self.sign_in.start_url(back.as_str(), env)));
        page.script = Some(Script::KeepForm);
        page.kept = Some(KeptForm { action: self.target, fields });
        answer::refuse_with_page(failure, page, &self.caller, env)
    }
}

/// The page that offers to send it again.
pub(in crate::flow) fn resend(request: &Request, env: &mut Env<'_>) -> LocalReply {
    let caller = Caller::of(request);
    if !env.config.sign_in.keep_forms {
        return answer::refuse(Failure::ReservedPath, &caller, Offer::default(), env);
    }
    let mut page = Page::new(Text::SendAgainQuestion, &[Text::FormNotDelivered]);
    page.fallback = Some(Text::NoForm);
    page.action = Some(Action::Resend(Link { label: Text::SendNow, href: "/".to_owned() }));
    page.script = Some(Script::ResendForm);
    answer::page(200, "form", &page, &caller, env, Vec::new())
}
