//! Ends the session of this browser: every cookie of ours goes.

use crate::{
    http::Request,
    page::{Action, Page},
    session::cookie::{delete_cookie, with_prefix},
};

use super::{
    Env, Step,
    caller::{Caller, is_prefetch},
    event::Event,
    failure::Failure,
    reply::{self, Offer},
};

/// How many pending sign-ins are deleted at once. Envoy drops all headers of an answer that has too many.
const MAX_DELETED: usize = 64;

/// A request for the sign-out path.
pub(super) fn arrive(request: &Request, env: &mut Env<'_>) -> Step {
    let caller = Caller::of(request);
    let asks = match request.method() {
        // A picture, a frame, a prefetch or a link on another site must not sign anybody out behind their back.
        "GET" if is_a_persons_own(request) => Asks::SignOut,
        "GET" => Asks::Confirmation,
        "POST" if !comes_from_elsewhere(request, env.config.origin.as_str()) => Asks::SignOut,
        _ => return reply::refuse(Failure::SignOutMethod, &caller, Offer::default(), env),
    };
    match asks {
        Asks::Confirmation => confirm(&caller, env),
        Asks::SignOut => sign_out(request, &caller, env),
    }
}

enum Asks {
    Confirmation,
    SignOut,
}

/// Whether a person opened this page here, by the browser's own word; one that says nothing is asked.
fn is_a_persons_own(request: &Request) -> bool {
    !is_prefetch(request)
        && request.single("sec-fetch-mode") == Some(b"navigate")
        && request.single("sec-fetch-dest") == Some(b"document")
        && matches!(request.single("sec-fetch-site"), Some(b"same-origin" | b"none"))
}

// Sec-Fetch-Site is the browser's own word; where it is missing, Origin is, on everything but plain links.
fn comes_from_elsewhere(request: &Request, origin: &str) -> bool {
    if request.has("sec-fetch-site") {
        return !matches!(request.single("sec-fetch-site"), Some(b"same-origin" | b"none"));
    }
    request.has("origin") && request.single("origin") != Some(origin.as_bytes())
}

fn confirm(caller: &Caller, env: &Env<'_>) -> Step {
    let mut page = Page::new("Sign out?", "You will have to sign in again to use this site.", "sign_out_confirm");
    page.action = Some(Action::Post { label: "Sign out", href: format!("{}/sign_out", env.config.prefix) });
    page.request_id = caller.request_id.as_deref();
    let mut reply = reply::page(200, "sign_out_confirm", &page, Vec::new());
    // Without a referrer, older browsers would not name their origin when the button is pressed.
    for (name, value) in &mut reply.headers {
        if *name == "referrer-policy" {
            "same-origin".clone_into(value);
        }
    }
    Step::Reply(reply)
}

fn sign_out(request: &Request, caller: &Caller, env: &mut Env<'_>) -> Step {
    let settings = &env.config.session;
    let mut cookies = vec![delete_cookie(&settings.session_cookie)];
    cookies.extend(
        with_prefix(request.lines("cookie"), &settings.pending_prefix)
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
            .take(MAX_DELETED)
            .map(delete_cookie),
    );
    env.events.push(Event::SignedOut);
    let mut page = Page::new(
        "You are signed out",
        "Your session on this site is over. The sign-in service may still know you.",
        "signed_out",
    );
    page.action = Some(Action::Link { label: "Sign in again", href: "/".to_owned() });
    page.request_id = caller.request_id.as_deref();
    Step::Reply(reply::page(200, "signed_out", &page, cookies))
}
