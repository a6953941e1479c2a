//! Refusals: a failure is counted, logged, and answered with a page for a person or JSON for a program.

use serde_json::{Map, Value};

use crate::{
    http::LocalReply,
    origin::Origin,
    page::{Action, Link, Page, text::Text},
    provisioning::ProvisioningError,
    rules::RouteError,
    session::SealError,
};

use super::{
    super::{
        context::{Env, TaskContext},
        event::{Event, EventContext, failure::Failure},
    },
    caller::{Caller, Kind},
    reply::{self, empty, json},
};

/// How long a caller should wait before it tries again, in seconds.
const RETRY_AFTER: &str = "5";

/// The ways on that a refusal offers, and its cookies.
#[derive(Debug, Default)]
pub(in crate::flow) struct Offer {
    /// The link or button of its page.
    pub(in crate::flow) action: Option<Action>,
    /// The links below the action.
    pub(in crate::flow) secondary_links: Vec<Link>,
    /// The signed-in user.
    pub(in crate::flow) user: Option<String>,
    /// Cookies to set or delete; a program gets none.
    pub(in crate::flow) cookies: Vec<String>,
    /// The start URL of the sign-in that a script's request needs.
    pub(in crate::flow) sign_in_url: Option<String>,
}

impl Offer {
    /// A link that begins a sign-in.
    pub(in crate::flow) fn sign_in(href: String) -> Self {
        Self { action: Some(Action::link(Text::SignIn, href)), ..Self::default() }
    }

    /// A link that starts again at the first page of this origin.
    pub(in crate::flow) fn home(origin: &Origin) -> Self {
        Self::again(format!("{}/", origin.as_str()), Vec::new())
    }

    /// A link that starts again at `href`.
    pub(in crate::flow) fn again(href: String, cookies: Vec<String>) -> Self {
        Self { action: Some(Action::link(Text::TryAgain, href)), cookies, ..Self::default() }
    }
}

/// Refuses: counted, logged, and answered as the caller can read it.
pub(in crate::flow) fn refuse(failure: Failure, caller: &Caller, offer: Offer, env: &mut Env<'_>) -> LocalReply {
    refuse_user(failure, caller, None, offer, env)
}

/// [`refuse`], with the subject for the audit log.
pub(in crate::flow) fn refuse_user(
    failure: Failure,
    caller: &Caller,
    subject: Option<String>,
    offer: Offer,
    env: &mut Env<'_>,
) -> LocalReply {
    let reply = match caller.kind {
        Kind::Frame | Kind::Navigation | Kind::Page => for_person(&failure, caller, offer, env),
        Kind::Program => {
            let start = || (failure == Failure::SignInRequired).then(|| env.config.start_uri(env.origin()));
            for_program(&failure, caller, offer.sign_in_url.or_else(start))
        }
    };
    let reply = finish(&failure, reply, env.origin().as_str());
    report(failure, caller, subject, env);
    reply
}

impl TaskContext {
    /// [`refuse`], for a flow.
    pub(in crate::flow) fn refuse(&self, failure: Failure, caller: &Caller, offer: Offer) -> LocalReply {
        self.with(|env| refuse(failure, caller, offer, env)).unwrap_or_else(|bug| self::bug(&bug))
    }
}

/// The answer where the state of the worker cannot be used.
pub(in crate::flow) fn bug(bug: &Failure) -> LocalReply {
    empty(bug.status(), bug.code())
}

/// The answer to a request whose route does not name one policy: it does not pass.
pub(in crate::flow) fn misrouted(error: RouteError, caller: &Caller, env: &mut Env<'_>) -> LocalReply {
    let failure = Failure::Route(env.platform.route_name(), error);
    refuse(failure, caller, Offer::default(), env)
}

/// Refuses with a page that says more than the table does.
pub(in crate::flow) fn refuse_with_page<'a>(
    failure: Failure,
    mut page: Page<'a>,
    caller: &'a Caller,
    env: &mut Env<'_>,
) -> LocalReply {
    complete(&mut page, &failure, caller);
    let reply = reply::page(failure.status(), failure.code(), &page, caller, env, Vec::new());
    let reply = finish(&failure, reply, env.origin().as_str());
    report(failure, caller, None, env);
    reply
}

fn report(failure: Failure, caller: &Caller, subject: Option<String>, env: &mut Env<'_>) {
    let issuer = caller.issuer.map(|id| env.issuers.name(id));
    let context = EventContext { issuer, subject, session: None, request_id: caller.request_id.clone() };
    env.events.push(Event::Refused { failure, operation: caller.operation, context: Box::new(context) });
}

/// Adds the code and the request id, which each page of a failure shows.
fn complete<'a>(page: &mut Page<'a>, failure: &Failure, caller: &'a Caller) {
    page.code = Some(failure.code());
    page.request_id = caller.request_id.as_deref();
    page.is_framed = caller.kind == Kind::Frame;
}

fn for_person(failure: &Failure, caller: &Caller, offer: Offer, env: &Env<'_>) -> LocalReply {
    let words = failure.words();
    let mut content = Page::new(words.title, words.texts);
    content.action = offer.action;
    content.secondary_links = offer.secondary_links;
    content.user = offer.user;
    complete(&mut content, failure, caller);
    if let Failure::Provisioning(ProvisioningError::Refused(message)) = failure
        && !message.as_str().is_empty()
    {
        content.message = Some(message.as_str());
    }
    if let Failure::NotWritten(SealError::TooLarge { .. }) = failure {
        content.detail = Some(format!("({failure}.)"));
    }
    reply::page(failure.status(), failure.code(), &content, caller, env, offer.cookies)
}

fn for_program(failure: &Failure, caller: &Caller, sign_in_url: Option<String>) -> LocalReply {
    let error = failure.words().error();
    let mut body = Map::new();
    let mut say = |name: &str, value: &str| drop(body.insert(name.to_owned(), value.into()));
    say("error", error);
    say("code", failure.code());
    if let Some(code) = failure.security_event_code() {
        say("err", code);
        say("description", error);
    }
    // A script of the app adds `rd`, the way back, and sends its page there.
    if let Some(url) = &sign_in_url {
        say("sign_in_url", url);
    }
    if let Some(id) = &caller.request_id {
        say("request_id", id);
    }
    json(failure.status(), failure.code(), &Value::Object(body))
}

fn finish(failure: &Failure, mut reply: LocalReply, origin: &str) -> LocalReply {
    // RFC 9110, 11.6.1: a 401 names a scheme that would be taken. The realm is our own origin; the rest is RFC 6750, 3.
    let error = match failure {
        Failure::BearerMalformed => Some(", error=\"invalid_request\"".to_owned()),
        Failure::BearerExpired(_)
        | Failure::BearerInactive
        | Failure::BearerRefused(_)
        | Failure::BearerSignature(_)
        | Failure::BearerUnknown => Some(", error=\"invalid_token\"".to_owned()),
        Failure::InsufficientScope(scopes) => Some(format!(", error=\"insufficient_scope\", scope=\"{scopes}\"")),
        // RFC 9470, 3.
        Failure::StepUpRequired(_, step_up) => Some(
            [("error".to_owned(), "insufficient_user_authentication".to_owned())]
                .into_iter()
                .chain(step_up.parameters())
                .map(|(name, value)| format!(", {name}=\"{value}\""))
                .collect(),
        ),
        _ if failure.status() == 401 => Some(String::new()),
        _ => None,
    };
    if let Some(error) = error {
        reply.headers.push(("www-authenticate", format!("Bearer realm=\"{origin}\"{error}")));
    }
    if failure.is_transient() {
        reply.headers.push(("retry-after", RETRY_AFTER.to_owned()));
    }
    match failure {
        Failure::CallbackMethod | Failure::ClientScriptMethod | Failure::UserinfoMethod => {
            reply.headers.push(("allow", "GET".to_owned()));
        }
        Failure::LogoutMethod(method) => reply.headers.push(("allow", (*method).to_owned())),
        Failure::SignOutMethod => reply.headers.push(("allow", "GET, POST".to_owned())),
        _ => {}
    }
    reply
}

/// The answer in place of the app's to a request that Envoy has sent on another route than the one it was permitted on.
pub(in crate::flow) fn route_changed(env: &mut Env<'_>) -> LocalReply {
    misrouted(RouteError::Changed, &Caller::unknown(), env)
}

/// The answer to a permitted request whose headers the host would not let us change: it must not pass as it is.
pub(in crate::flow) fn headers_refused(env: &mut Env<'_>) -> LocalReply {
    refuse(Failure::HeadersRefused, &Caller::unknown(), Offer::default(), env)
}
