//! Ends the session of this browser: every cookie of ours goes, the session counts no more, and the user is signed out at the
//! provider too, where it can be asked for that (RP-Initiated Logout 1.0).

pub(super) mod back_channel;
pub(super) mod front_channel;
pub(super) mod security_events;
mod signed_message;

use std::time::Duration;

use crate::{
    claims::IssuerId,
    http::{LocalReply, Request},
    page::{Action, Link, Page, text::Text},
    session::{
        cookie::{delete_cookie, with_prefix},
        open::FreshSession,
        return_to::{ReturnTo, Targets},
        seal::Purpose,
    },
    time::UnixTime,
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

use super::{
    answer::{
        self, Offer, Redirect,
        caller::{Caller, comes_from_elsewhere, is_prefetch, return_target},
    },
    context::{Env, RequestContext},
    event::{Event, EventContext, Operation, failure::Failure},
    executor::Gate,
    memory::{issuers::Ready, revocations::By},
    session::{self, revocation},
};

/// How many pending sign-ins are deleted at once. Envoy drops all headers of an answer that has too many.
const MAX_DELETED: usize = 64;
/// The label under which the `state` of a logout request is sealed.
const STATE_LABEL: &str = "sign-out";
/// The time that a user may take at the provider before the way back is forgotten.
const STATE_LIFE: Duration = Duration::from_secs(3600);

/// A request for the sign-out path.
pub(super) fn begin(request: &Request, session: Option<FreshSession>, env: &mut Env<'_>) -> Gate<LocalReply> {
    let caller = Caller::of(request).for_operation(Operation::SignOut);
    let asks = match request.method() {
        // A picture, a frame, a prefetch or a link on another site must not sign a user out unasked.
        "GET" if is_opened_by_user(request) => Asks::SignOut,
        "GET" => Asks::Confirmation,
        "POST" if !comes_from_elsewhere(request, env.origin().as_str()) => Asks::SignOut,
        _ => return answer::refuse(Failure::SignOutMethod, &caller, Offer::default(), env).into(),
    };
    let target = return_target(request).and_then(|asked| target(&asked, env));
    match asks {
        Asks::Confirmation => confirm(&caller, target.as_deref(), env).into(),
        Asks::SignOut => sign_out(request, session, caller, target, env),
    }
}

enum Asks {
    Confirmation,
    SignOut,
}

/// Whether the user opened this page here, by the browser's own word; a browser that does not say so has to confirm.
fn is_opened_by_user(request: &Request) -> bool {
    !is_prefetch(request)
        && request.single("sec-fetch-mode") == Some(b"navigate")
        && request.single("sec-fetch-dest") == Some(b"document")
        && matches!(request.single("sec-fetch-site"), Some(b"same-origin" | b"none"))
}

/// The redirect target after the sign-out, if it is allowed: one of our origins, or a URL of `sign_out.return_to`.
fn target(asked: &str, env: &Env<'_>) -> Option<String> {
    let targets = Targets { listed: &env.config.sign_out.return_to, ..env.config.return_targets() };
    if asked.starts_with('/') || targets.origins.split(asked).is_some() {
        return Some(ReturnTo::from_rd(asked, env.origin(), targets).location(env.origin()));
    }
    targets.find_listed(asked)
}

fn confirm(caller: &Caller, target: Option<&str>, env: &Env<'_>) -> LocalReply {
    let mut page = Page::new(Text::SignOutQuestion, &[Text::SignInAgainAfterwards]);
    page.action = Some(Action::Post(Link { label: Text::SignOut, href: sign_out_path(target, env) }));
    let mut reply = answer::page(200, "sign_out_confirm", &page, caller, env, Vec::new());
    // Without a referrer, older browsers would not name their origin when the button is pressed.
    for (name, value) in &mut reply.headers {
        if *name == "referrer-policy" {
            "same-origin".clone_into(value);
        }
    }
    reply
}

/// Our sign-out path, with the target as `rd`.
pub(in crate::flow) fn sign_out_path(target: Option<&str>, env: &Env<'_>) -> String {
    let mut path = format!("{}/sign_out", env.config.prefix);
    if let Some(target) = target {
        path.push_str("?rd=");
        path.extend(form_urlencoded::byte_serialize(target.as_bytes()));
    }
    path
}

fn sign_out(
    request: &Request,
    session: Option<FreshSession>,
    caller: Caller,
    target: Option<String>,
    env: &mut Env<'_>,
) -> Gate<LocalReply> {
    let settings = &env.config.session;
    let mut cookies = settings.cookies.delete(settings.cookies.present(request));
    let delete = |name: &str| delete_cookie(name, settings.cookies.same_site());
    cookies.push(delete(&settings.login_loop_cookie));
    cookies.extend(
        with_prefix(request.lines("cookie"), &settings.pending_prefix)
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
            .take(MAX_DELETED)
            .map(delete),
    );
    if let Some(session) = &session {
        // Ends every copy of the session: by this process's denylist, and by an end in the store, which no late write of the
        // session undoes.
        session::end(session.session(), By::Person, env);
        revocation::revoke_latest(session.session(), env);
    }
    let request_id = caller.request_id.clone();
    let context = match &session {
        Some(session) => env.event_context(session.session(), request_id),
        None => Box::new(EventContext { request_id, ..EventContext::default() }),
    };
    env.events.push(Event::SignedOut(context));
    let sign_out = SignOut { caller, target, cookies, session };
    let needs_store = sign_out.session.is_some() && settings.store.is_some();
    let provider = sign_out.provider(env);
    let known = provider.and_then(|provider| env.issuers.ready(provider, env.now()));
    let needs_metadata = provider.is_some() && known.is_none();
    if needs_store || needs_metadata {
        return Gate::flow(move |cx| sign_out.finish(provider, cx));
    }
    sign_out.leave(known.as_ref(), env).into()
}

/// A browser that is signed out here.
struct SignOut {
    caller: Caller,
    target: Option<String>,
    cookies: Vec<String>,
    session: Option<FreshSession>,
}

impl SignOut {
    /// Deletes the session in the store, then goes on to the provider's sign-out, and waits for its metadata where they are
    /// not known. Our session has ended before.
    async fn finish(self, provider: Option<IssuerId>, cx: RequestContext) -> LocalReply {
        if let (Some(store), Some(session)) = (&cx.config().session.store, &self.session)
            && let Err(failure) = session::store::delete(store, session.session(), &cx).await
        {
            return cx.refuse(failure, &self.caller, Offer::default());
        }
        let caller = self.caller.clone();
        let known = match provider {
            None => None,
            Some(provider) => match cx.provider(provider).await {
                Ok(known) => Some(known),
                Err(_) => {
                    return cx
                        .with(|env| self.leave_without(provider, env))
                        .unwrap_or_else(|bug| cx.refuse(bug, &caller, Offer::default()));
                }
            },
        };
        cx.with(|env| self.leave(known.as_ref(), env)).unwrap_or_else(|bug| cx.refuse(bug, &caller, Offer::default()))
    }

    /// Redirects to the provider's sign-out where it has one, else to the target; without a target it answers a page.
    fn leave(self, provider: Option<&Ready>, env: &Env<'_>) -> LocalReply {
        if let Some(url) = provider.and_then(|provider| self.logout_request(provider, env)) {
            return answer::redirect(Redirect::SeeOther, "signed_out", url, self.cookies);
        }
        match self.target {
            Some(target) => answer::redirect(Redirect::SeeOther, "signed_out", target, self.cookies),
            None => signed_out_page(&self.caller, AtProvider::Perhaps, self.cookies, env),
        }
    }

    /// Answers a page that says that the provider's session lives on. Its link tries again where there is one provider: among
    /// several, the next request could not tell which one it was.
    fn leave_without(self, provider: IssuerId, env: &mut Env<'_>) -> LocalReply {
        env.events.push(Event::LeftAtProvider(env.issuers.name(provider)));
        let is_only = env.config.providers.len() == 1;
        let again = is_only.then(|| sign_out_path(self.target.as_deref(), env));
        signed_out_page(&self.caller, AtProvider::No { again }, self.cookies, env)
    }

    /// The provider to sign out at.
    fn provider(&self, env: &Env<'_>) -> Option<IssuerId> {
        let of_session = self.session.as_ref().map(|session| session.session().provider());
        // Without a session it is unknown at which of several providers the browser may be signed in.
        let only = if let [only] = &env.config.providers[..] { Some(only.id) } else { None };
        of_session.or(only).filter(|_| env.config.sign_out.at_provider)
    }

    fn logout_request(&self, provider: &Ready, env: &Env<'_>) -> Option<String> {
        let central = env.config.origins.sign_in().filter(|central| *central != env.origin());
        // From the origin of all sign-ins the browser goes on to where it signed out.
        let page = central.map(|_| env.config.signed_out_uri(env.origin()));
        let to = self.target.clone().or(page).unwrap_or_default();
        let state = ReturnState { to, at: env.now() }.seal(env);
        let hint = self.session.as_ref().and_then(|session| session.session().id_token());
        let back = env.config.signed_out_uri(central.unwrap_or_else(|| env.origin()));
        provider.provider.logout_url(&provider.metadata, hint, &back, state.as_deref())
    }
}

/// The page to go to after the provider's sign-out, sealed into the `state` of the logout request.
struct ReturnState {
    to: String,
    at: UnixTime,
}

impl ReturnState {
    fn seal(&self, env: &Env<'_>) -> Option<String> {
        let bytes = wire::write(&[Bytes(self.to.as_bytes()), Number(self.at.as_secs())]);
        // Without randomness there is no way back; the user is signed out all the same.
        env.config.session.sealer.seal(Purpose::State, STATE_LABEL, &bytes, env.platform).ok()
    }

    fn open(sealed: &[u8], env: &Env<'_>) -> Option<Self> {
        let bytes = env.config.session.sealer.open(Purpose::State, STATE_LABEL, sealed)?;
        let [to, at] = wire::read(&bytes)?;
        let state = Self { to: to.text()?.to_owned(), at: UnixTime::from_secs(at.number()?) };
        (env.now() < state.at.plus(STATE_LIFE)).then_some(state)
    }
}

/// The provider sends the browser back after its sign-out. It may bring back our `state`, another one, or none: the user has
/// signed out in any case.
pub(super) fn handle_post_logout(request: &Request, env: &Env<'_>) -> LocalReply {
    let state = form_urlencoded::parse(request.query().unwrap_or_default()).find(|(name, _)| name == "state");
    let state = state.and_then(|(_, state)| ReturnState::open(state.as_bytes(), env));
    match state.map(|state| state.to).filter(|to| !to.is_empty()) {
        Some(to) => answer::redirect(Redirect::SeeOther, "signed_out", to, Vec::new()),
        None => signed_out_page(&Caller::of(request), AtProvider::Yes, Vec::new(), env),
    }
}

/// Whether the user is signed out at the provider too.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AtProvider {
    /// The provider was not known in time. `again` is the link that tries once more.
    No {
        again: Option<String>,
    },
    Perhaps,
    Yes,
}

fn signed_out_page(caller: &Caller, at_provider: AtProvider, cookies: Vec<String>, env: &Env<'_>) -> LocalReply {
    let (title, more) = match &at_provider {
        AtProvider::No { .. } => (Text::SignedOutHereOnly, Some(Text::StillSignedInThere)),
        AtProvider::Perhaps => (Text::SignedOut, Some(Text::ServiceMayKnowYou)),
        AtProvider::Yes => (Text::SignedOut, None),
    };
    let mut page = Page::new(title, &[Text::SessionOver]);
    page.texts.extend(more);
    page.action = Some(match at_provider {
        AtProvider::No { again: Some(href) } => Action::link(Text::TryAgain, href),
        AtProvider::No { again: None } | AtProvider::Perhaps | AtProvider::Yes => {
            Action::link(Text::SignInAgain, "/".to_owned())
        }
    });
    answer::page(200, "signed_out", &page, caller, env, cookies)
}
