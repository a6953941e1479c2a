//! Ends the session of this browser: every cookie of ours goes, the session counts no more, and the person is signed out
//! at the provider too, where it can be asked for that (RP-Initiated Logout 1.0).

use std::time::Duration;

use crate::{
    claims::IssuerId,
    http::{Origin, Request, parameter, parse_url},
    oidc::end_session::LogoutRequest,
    page::{Action, Page},
    session::{
        cookie::{delete_cookie, with_prefix},
        open::FreshSession,
        return_to::ReturnTo,
        seal::Purpose,
    },
    time::UnixTime,
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

use super::{
    Env, Expect, Step,
    caller::{Caller, comes_from_elsewhere, is_prefetch},
    event::Event,
    failure::Failure,
    renewal,
    reply::{self, Offer, Redirect},
    request::{MAX_HELD, Waiter},
    revocation::{self, By, Revocation},
    signed_in,
    store::{Command, Next, Saving},
};

/// How many pending sign-ins are deleted at once. Envoy drops all headers of an answer that has too many.
const MAX_DELETED: usize = 64;
/// What the `state` of a logout request is sealed for, beside its purpose.
const STATE_LABEL: &str = "sign-out";
/// How long somebody may take at the provider before the way back is forgotten.
const STATE_LIFE: Duration = Duration::from_secs(3600);

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
    let target = asked_for(request).and_then(|asked| target(&asked, env));
    match asks {
        Asks::Confirmation => confirm(&caller, target.as_deref(), env),
        Asks::SignOut => sign_out(request, caller, target, env),
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

/// `rd` of the query; one that stands there twice is none.
pub(super) fn asked_for(request: &Request) -> Option<String> {
    parameter(request.query()?, "rd")
}

/// The URL to go to afterwards, if it may be gone to: a path of our own, or one of the configured URLs.
fn target(asked: &str, env: &Env<'_>) -> Option<String> {
    let own: &Origin = &env.config.origin;
    if asked.starts_with('/') || asked.starts_with(&format!("{}/", own.as_str())) {
        return Some(ReturnTo::asked_for(asked, own, &env.config.prefix).location(own));
    }
    // What a browser makes of it is compared, not what was written.
    let url = String::from(parse_url(asked)?);
    let is_allowed = |known: &String| if known.ends_with('/') { url.starts_with(known) } else { url == *known };
    env.config.sign_out.return_to.iter().any(is_allowed).then_some(url)
}

fn confirm(caller: &Caller, target: Option<&str>, env: &Env<'_>) -> Step {
    let mut page = Page::new("Sign out?", "You will have to sign in again to use this site.", "sign_out_confirm");
    page.action = Some(Action::Post { label: "Sign out", href: sign_out_path(target, env) });
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

/// Our sign-out path, with the target as `rd`.
fn sign_out_path(target: Option<&str>, env: &Env<'_>) -> String {
    let mut path = format!("{}/sign_out", env.config.prefix);
    if let Some(target) = target {
        path.push_str("?rd=");
        path.extend(form_urlencoded::byte_serialize(target.as_bytes()));
    }
    path
}

fn sign_out(request: &Request, caller: Caller, target: Option<String>, env: &mut Env<'_>) -> Step {
    let settings = &env.config.session;
    let mut cookies = settings.cookies.delete(settings.cookies.present(request));
    cookies.push(delete_cookie(&settings.login_loop_cookie));
    cookies.extend(
        with_prefix(request.lines("cookie"), &settings.pending_prefix)
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
            .take(MAX_DELETED)
            .map(delete_cookie),
    );
    let session = signed_in::session(request, env);
    if let Some(session) = &session {
        // Whoever has a copy of the cookie is signed out too, as far as this process goes, or its store: there also because
        // somebody may just be writing the session again.
        let revocation = Revocation::of_session(session.session(), env);
        revocation::end(&revocation, By::Person, env);
        renewal::give_up(session.session(), env);
    }
    env.events.push(Event::SignedOut);
    let mark = session.as_ref().map(|session| session.marks().session);
    let goodbye = Box::new(Goodbye { caller, target, cookies, session });
    if let (Some(store), Some(mark)) = (&env.config.session.store, mark) {
        let (request, caller) = (store.forget(&mark), goodbye.caller.clone());
        let saving = Saving { caller, offer: Offer::default(), next: Next::SignOut(goodbye), command: Command::Forget };
        return Step::Call { request, expect: Expect::Saved(Box::new(saving)) };
    }
    goodbye.leave(env)
}

/// Somebody is signed out here.
#[derive(Debug)]
pub(super) struct Goodbye {
    caller: Caller,
    target: Option<String>,
    cookies: Vec<String>,
    session: Option<FreshSession>,
}

impl Goodbye {
    /// Goes on to the provider's sign-out, and waits for its metadata where they are not known. Our session has ended before.
    pub(super) fn leave(self: Box<Self>, env: &mut Env<'_>) -> Step {
        match self.provider(env).filter(|provider| env.issuers.ready(*provider, env.now).is_none()) {
            Some(provider) if env.load.held < MAX_HELD => Waiter::for_sign_out(provider, self, env),
            Some(provider) => self.leave_without(provider, env),
            None => self.finish(env),
        }
    }

    /// Goes on once the metadata are known, or after [`MAX_HOLD`](super::request::MAX_HOLD) without them.
    pub(super) fn resume(self, provider: IssuerId, env: &mut Env<'_>) -> Step {
        let is_known = env.issuers.ready(provider, env.now).is_some();
        if is_known { self.finish(env) } else { self.leave_without(provider, env) }
    }

    /// Redirects to the provider's sign-out where it has one, else to the target; without a target it answers a page.
    fn finish(self, env: &Env<'_>) -> Step {
        if let Some(url) = self.logout_request(env) {
            return Step::Reply(reply::redirect(Redirect::SeeOther, "signed_out", url, self.cookies));
        }
        match self.target {
            Some(target) => Step::Reply(reply::redirect(Redirect::SeeOther, "signed_out", target, self.cookies)),
            None => signed_out_page(&self.caller, AtProvider::Perhaps, self.cookies),
        }
    }

    /// Answers a page that says that the provider's session lives on. Its link tries again where there is one provider: among
    /// several, the next request could not tell which one it was.
    fn leave_without(self, provider: IssuerId, env: &mut Env<'_>) -> Step {
        env.events.push(Event::LeftAtProvider(env.issuers.name(provider)));
        let is_only = env.config.providers.len() == 1;
        let again = is_only.then(|| sign_out_path(self.target.as_deref(), env));
        signed_out_page(&self.caller, AtProvider::No { again }, self.cookies)
    }

    /// The provider to sign out at.
    fn provider(&self, env: &Env<'_>) -> Option<IssuerId> {
        let of_session = self.session.as_ref().map(|session| session.session().provider());
        // Without a session it is unknown at which of several providers the browser may be signed in.
        let only = if let [only] = &env.config.providers[..] { Some(only.id) } else { None };
        of_session.or(only).filter(|_| env.config.sign_out.at_provider)
    }

    fn logout_request(&self, env: &Env<'_>) -> Option<String> {
        let provider = self.provider(env)?;
        let known = env.issuers.ready(provider, env.now)?;
        let endpoint = known.metadata.end_session_endpoint.as_ref()?;
        let state = Farewell { to: self.target.clone().unwrap_or_default(), at: env.now }.seal(env);
        let request = LogoutRequest {
            provider: known.provider,
            endpoint,
            id_token_hint: self.session.as_ref().and_then(|session| session.session().id_token()),
            post_logout_redirect_uri: &env.config.signed_out_uri(),
            state: state.as_deref(),
        };
        Some(request.url())
    }
}

/// Where to go once the provider has signed somebody out, sealed into its `state`.
struct Farewell {
    to: String,
    at: UnixTime,
}

impl Farewell {
    fn seal(&self, env: &Env<'_>) -> Option<String> {
        let bytes = wire::write(&[Bytes(self.to.as_bytes()), Number(self.at.as_secs())]);
        // Without randomness there is no way back; the person is signed out all the same.
        env.config.session.sealer.seal(Purpose::State, STATE_LABEL, &bytes, env.platform).ok()
    }

    fn open(sealed: &[u8], env: &Env<'_>) -> Option<Self> {
        let bytes = env.config.session.sealer.open(Purpose::State, STATE_LABEL, sealed)?;
        let [to, at] = wire::read(&bytes)?;
        let farewell = Self { to: to.text()?.to_owned(), at: UnixTime::from_secs(at.number()?) };
        (env.now < farewell.at.plus(STATE_LIFE)).then_some(farewell)
    }
}

/// The provider sends somebody back that it has signed out. It may bring back our `state`, another one, or none: the
/// person has signed out in any case.
pub(super) fn back_from_provider(request: &Request, env: &Env<'_>) -> Step {
    let state = form_urlencoded::parse(request.query().unwrap_or_default()).find(|(name, _)| name == "state");
    let farewell = state.and_then(|(_, state)| Farewell::open(state.as_bytes(), env));
    match farewell.map(|farewell| farewell.to).filter(|to| !to.is_empty()) {
        Some(to) => Step::Reply(reply::redirect(Redirect::SeeOther, "signed_out", to, Vec::new())),
        None => signed_out_page(&Caller::of(request), AtProvider::Yes, Vec::new()),
    }
}

/// Whether the person is signed out at the provider too.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AtProvider {
    /// The provider was not known in time. `again` is the link that tries once more.
    No {
        again: Option<String>,
    },
    Perhaps,
    Yes,
}

fn signed_out_page(caller: &Caller, at_provider: AtProvider, cookies: Vec<String>) -> Step {
    let (title, text) = match &at_provider {
        AtProvider::No { .. } => (
            "You are signed out here only",
            "Your session on this site is over, but the sign-in service does not answer, and you are still signed in there: \
             this browser can come back without a password.",
        ),
        AtProvider::Perhaps => {
            ("You are signed out", "Your session on this site is over. The sign-in service may still know you.")
        }
        AtProvider::Yes => ("You are signed out", "Your session is over."),
    };
    let mut page = Page::new(title, text, "signed_out");
    page.action = Some(match at_provider {
        AtProvider::No { again: Some(href) } => Action::Link { label: "Try again", href },
        AtProvider::No { again: None } | AtProvider::Perhaps | AtProvider::Yes => {
            Action::Link { label: "Sign in again", href: "/".to_owned() }
        }
    });
    page.request_id = caller.request_id.as_deref();
    Step::Reply(reply::page(200, "signed_out", &page, cookies))
}
