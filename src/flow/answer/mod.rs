//! Answers of our own: redirects, pages for people, JSON for programs, and the module for scripts, which alone may be stored.
//! None may be taken for another type, or leak where it came from; none may be framed but what answers a frame.

use serde_json::{Map, Value};

pub(super) mod caller;

use crate::{
    http::{LocalReply, Request, parameter},
    origin::Origin,
    page::{Action, Link, Page, text::Text},
    provisioning::ProvisioningError,
    rules::RouteError,
    session::SealError,
};

use super::{
    context::{Env, TaskContext},
    event::{Event, EventContext, failure::Failure},
};
use caller::{Caller, Kind};

/// How long a caller should wait before it tries again, in seconds.
const RETRY_AFTER: &str = "5";
/// The Content-Security-Policy of what is no page.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// The headers of every answer that must not be stored.
fn common(code: &'static str) -> Vec<(&'static str, String)> {
    common_with("no-store", code)
}

/// The headers of every answer, with this `cache-control`.
fn common_with(cache_control: &'static str, code: &'static str) -> Vec<(&'static str, String)> {
    vec![
        ("cache-control", cache_control.to_owned()),
        // RFC 9700, 4.2: a callback's URL holds a code.
        ("referrer-policy", "no-referrer".to_owned()),
        ("vestibule-code", code.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ]
}

/// A redirect that turns every method into GET. 307 and 308 are never used: they would send a form's body to the
/// provider (RFC 9700, 4.12).
pub(super) fn redirect(status: Redirect, code: &'static str, location: String, cookies: Vec<String>) -> LocalReply {
    let mut headers = common(code);
    headers.push(("location", location));
    headers.extend(cookies.into_iter().map(|cookie| ("set-cookie", cookie)));
    LocalReply { status: status as u16, code, headers, body: Vec::new() }
}

/// The redirects we send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Redirect {
    /// To the provider.
    Found = 302,
    /// Back to the app.
    SeeOther = 303,
}

/// A page for a person, in their language.
pub(super) fn page(
    status: u16,
    code: &'static str,
    page: &Page<'_>,
    caller: &Caller,
    env: &Env<'_>,
    cookies: Vec<String>,
) -> LocalReply {
    let look = &env.config.look;
    let language = caller.language.unwrap_or(look.language).unpacked(&|packed| env.platform.decompress(packed));
    let mut headers = common(code);
    headers.push(("content-type", "text/html; charset=utf-8".to_owned()));
    headers.push(("content-language", language.tag().to_owned()));
    headers.push(("content-security-policy", page.content_security_policy(look)));
    headers.extend(cookies.into_iter().map(|cookie| ("set-cookie", cookie)));
    LocalReply { status, code, headers, body: page.html(look, language).into_bytes() }
}

/// A JSON document for a program.
pub(super) fn json(status: u16, code: &'static str, body: &serde_json::Value) -> LocalReply {
    let mut headers = common(code);
    headers.push(("content-type", "application/json".to_owned()));
    headers.push(("content-security-policy", NO_PAGE.to_owned()));
    LocalReply { status, code, headers, body: serde_json::to_vec(body).unwrap_or_default() }
}

/// A module for scripts of our origin, or 304 to a browser that has it. It may be stored for a while: a new version of the filter
/// brings its own.
pub(super) fn script(code: &'static str, script: &[u8], tag: String, has_it: bool) -> LocalReply {
    let mut headers = common_with("public, max-age=300", code);
    headers.push(("etag", tag));
    if has_it {
        return LocalReply { status: 304, code, headers, body: Vec::new() };
    }
    let of_script = [
        ("content-type", "text/javascript; charset=utf-8"),
        ("content-security-policy", NO_PAGE),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    headers.extend(of_script.map(|(name, value)| (name, value.to_owned())));
    LocalReply { status: 200, code, headers, body: script.to_vec() }
}

/// A page that the provider may frame.
pub(super) fn framed(status: u16, code: &'static str, page: &Page<'_>, caller: &Caller, env: &Env<'_>) -> LocalReply {
    let mut reply = self::page(status, code, page, caller, env, Vec::new());
    let origins: Vec<_> = env.config.providers.iter().map(|p| p.issuer().discovery().origin()).collect();
    for (name, value) in &mut reply.headers {
        if *name == "content-security-policy" {
            *value = value.replace("frame-ancestors 'none'", &format!("frame-ancestors {}", origins.join(" ")));
        }
    }
    reply
}

/// `rd` of the query: the page to go to afterwards. A parameter that is there twice does not count.
pub(super) fn return_target(request: &Request) -> Option<String> {
    parameter(request.query()?, "rd")
}

/// A reply without a body.
pub(super) fn empty(status: u16, code: &'static str) -> LocalReply {
    LocalReply { status, code, headers: common(code), body: Vec::new() }
}

/// The ways on that a refusal offers, and its cookies.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// The link or button of its page.
    pub(super) action: Option<Action>,
    /// The links below the action.
    pub(super) secondary_links: Vec<Link>,
    /// The signed-in user.
    pub(super) user: Option<String>,
    /// Cookies to set or delete; a program gets none.
    pub(super) cookies: Vec<String>,
    /// The start URL of the sign-in that a script's request needs.
    pub(super) sign_in_url: Option<String>,
}

impl Offer {
    /// A link that begins a sign-in.
    pub(super) fn sign_in(href: String) -> Self {
        Self { action: Some(Action::link(Text::SignIn, href)), ..Self::default() }
    }

    /// A link that starts again at the first page of this origin.
    pub(super) fn home(origin: &Origin) -> Self {
        Self::again(format!("{}/", origin.as_str()), Vec::new())
    }

    /// A link that starts again at `href`.
    pub(super) fn again(href: String, cookies: Vec<String>) -> Self {
        Self { action: Some(Action::link(Text::TryAgain, href)), cookies, ..Self::default() }
    }
}

/// Refuses: counted, logged, and answered as the caller can read it.
pub(super) fn refuse(failure: Failure, caller: &Caller, offer: Offer, env: &mut Env<'_>) -> LocalReply {
    refuse_user(failure, caller, None, offer, env)
}

/// [`refuse`], with the subject for the audit log.
pub(super) fn refuse_user(
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

/// The same answer with these cookies.
pub(super) fn with_cookies(mut reply: LocalReply, cookies: Vec<String>) -> LocalReply {
    reply.headers.extend(cookies.into_iter().map(|cookie| ("set-cookie", cookie)));
    reply
}

impl TaskContext {
    /// [`refuse`], for a flow.
    pub(super) fn refuse(&self, failure: Failure, caller: &Caller, offer: Offer) -> LocalReply {
        self.with(|env| refuse(failure, caller, offer, env)).unwrap_or_else(|bug| self::bug(&bug))
    }
}

/// The answer where the state of the worker cannot be used.
pub(super) fn bug(bug: &Failure) -> LocalReply {
    empty(bug.status(), bug.code())
}

/// The answer to a request whose route does not name one policy: it does not pass.
pub(super) fn misrouted(error: RouteError, caller: &Caller, env: &mut Env<'_>) -> LocalReply {
    let failure = Failure::Route(env.platform.route_name(), error);
    refuse(failure, caller, Offer::default(), env)
}

/// Refuses with a page that says more than the table does.
pub(super) fn refuse_with_page<'a>(
    failure: Failure,
    mut page: Page<'a>,
    caller: &'a Caller,
    env: &mut Env<'_>,
) -> LocalReply {
    complete(&mut page, &failure, caller);
    let reply = self::page(failure.status(), failure.code(), &page, caller, env, Vec::new());
    let reply = finish(&failure, reply, env.origin().as_str());
    report(failure, caller, None, env);
    reply
}

fn report(failure: Failure, caller: &Caller, subject: Option<String>, env: &mut Env<'_>) {
    let issuer = caller.issuer.map(|id| env.issuers.name(id));
    let context = EventContext { issuer, subject, session: None, request_id: caller.request_id.clone() };
    env.events.push(Event::Refused { failure, operation: caller.operation, context: Box::new(context) });
}

/// Adds what each page of a failure has.
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
    page(failure.status(), failure.code(), &content, caller, env, offer.cookies)
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
pub(super) fn route_changed(env: &mut Env<'_>) -> LocalReply {
    misrouted(RouteError::Changed, &Caller::unknown(), env)
}

/// The answer to a permitted request whose headers the host would not let us change: it must not pass as it is.
pub(super) fn headers_refused(env: &mut Env<'_>) -> LocalReply {
    refuse(Failure::HeadersRefused, &Caller::unknown(), Offer::default(), env)
}
