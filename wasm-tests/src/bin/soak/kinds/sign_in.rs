//! Sign-ins, whole and spoilt.

use std::time::Instant;

use wasm_tests::{
    http1::{Answering, Connection},
    issuer::Endpoint,
    user_agent::Outgoing,
    world::{changed, set_parameter},
};

use super::{Checked, Visitor, ask::Answer, pages::CUT_OFF};
use crate::{ledger::Right, users::User};

/// How long the provider's own page may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A user who stands before the callback.
pub struct Arriving {
    /// The user, with the cookie of the sign-in.
    pub user: User,
    /// Path and query of the callback.
    pub callback: String,
    /// The number of the page he wants.
    page: u64,
    /// When he asked for it.
    from: Instant,
}

/// How far a sign-in has come.
pub enum Step<T> {
    /// As far as this.
    At(T),
    /// It ended with this outcome.
    Over(&'static str),
}

/// Signs a new user in, who then belongs to the run.
pub fn whole(visitor: &mut Visitor<'_>) -> Checked {
    match signed_in(visitor)? {
        Step::At((user, _)) => {
            visitor.soak.users.put(user);
            Ok("signed in")
        }
        Step::Over(outcome) => Ok(outcome),
    }
}

/// A page without a session is sent to the provider, and nobody goes there.
pub fn abandoned(visitor: &mut Visitor<'_>) -> Checked {
    let mut user = User::new(visitor.soak.new_name());
    match begin(visitor, &mut user)? {
        Step::At(_) => Ok("sent to sign in"),
        Step::Over(outcome) => Ok(outcome),
    }
}

/// The state of the callback is changed.
pub fn forged_state(visitor: &mut Visitor<'_>) -> Checked {
    let Step::At(Arriving { user, callback, .. }) = arrive(visitor)? else { return Ok("no sign-in begun") };
    let url = changed(&format!("http://app{callback}"), |parameters| {
        let state =
            parameters.iter().find(|(name, _)| name == "state").map_or(String::new(), |(_, value)| value.clone());
        let at = visitor.rng.usize(0..state.len().max(1));
        let other = if state[at..].starts_with('A') { "B" } else { "A" };
        set_parameter(parameters, "state", format!("{}{other}{}", &state[..at], &state[at + 1..]));
    });
    let send = Outgoing::navigation(url.trim_start_matches("http://app")).header("cookie", user.cookies());
    let Some(answer) = visitor.ask_filter(&send)? else { return Ok(CUT_OFF) };
    if answer.is_refusal(&[302, 303, 400]) { Ok("refused") } else { Err(answer.wrong("a refusal")) }
}

/// A callback in a browser that did not begin the sign-in.
pub fn other_browser(visitor: &mut Visitor<'_>) -> Checked {
    let Step::At(Arriving { callback, .. }) = arrive(visitor)? else { return Ok("no sign-in begun") };
    let Some(answer) = visitor.ask_filter(&Outgoing::navigation(&callback))? else { return Ok(CUT_OFF) };
    if answer.is_refusal(&[302, 303]) || may_refuse(visitor, &answer) {
        Ok("begins anew")
    } else {
        Err(answer.wrong("another sign-in"))
    }
}

/// The callback comes again, in the same browser and in one without cookies.
pub fn replayed(visitor: &mut Visitor<'_>) -> Checked {
    let Step::At((user, callback)) = signed_in(visitor)? else { return Ok("no sign-in done") };
    for cookies in [user.cookies(), Vec::new()] {
        let send = Outgoing::navigation(&callback).header("cookie", cookies);
        let Some(answer) = visitor.ask_filter(&send)? else { continue };
        if !answer.is_refusal(&[302, 303]) && !may_refuse(visitor, &answer) {
            return Err(answer.wrong("a redirect without a session"));
        }
    }
    visitor.soak.users.put(user);
    Ok("redeemed once")
}

/// A user who has signed in and seen his page, and the callback he came by.
pub fn signed_in(visitor: &mut Visitor<'_>) -> Result<Step<(User, String)>, String> {
    let Arriving { mut user, callback, page, from } = match arrive(visitor)? {
        Step::At(arriving) => arriving,
        Step::Over(outcome) => return Ok(Step::Over(outcome)),
    };
    user.since = Instant::now();
    let send = Outgoing::navigation(&callback).header("cookie", user.cookies());
    let Some(answer) = visitor.ask_filter(&send)? else { return Ok(Step::Over(CUT_OFF)) };
    user.keep(&answer.response);
    if !answer.is(303, "signed_in") || !user.has_session() {
        let refused =
            answer.is_refusal(&[302, 303, 400, 502, 503, 504]) && !visitor.soak.conditions.is_calm_since(from);
        return if refused { Ok(Step::Over("refused: provider")) } else { Err(answer.wrong("a session")) };
    }
    if answer.response.location().is_none_or(|to| !to.ends_with(&format!("/app/{page}"))) {
        return Err(answer.wrong("the way back to the page"));
    }
    let Some(page) = visitor.ask_as(&mut user, "/app", Outgoing::navigation)? else { return Ok(Step::Over(CUT_OFF)) };
    if page.is_apps() { Ok(Step::At((user, callback))) } else { Err(page.wrong("the app's answer after a sign-in")) }
}

/// Goes to the provider, up to the redirect to the callback.
pub fn arrive(visitor: &mut Visitor<'_>) -> Result<Step<Arriving>, String> {
    let mut user = User::new(visitor.soak.new_name());
    let (to, page, from) = match begin(visitor, &mut user)? {
        Step::At(begun) => begun,
        Step::Over(outcome) => return Ok(Step::Over(outcome)),
    };
    let port = visitor.soak.issuer().port();
    let Some(query) = to.split_once('?').map(|(_, query)| query) else { return Err(format!("no query in {to}")) };
    let target = format!("{}?{query}&login_hint={}", Endpoint::Authorization.path(), user.name);
    let answer = Connection::open(([127, 0, 0, 1], port).into(), PATIENCE).and_then(|mut connection| {
        connection.send(&Outgoing::navigation(target).bytes("issuer"))?;
        connection.read_response(Answering::Other)
    });
    let back = match answer {
        Ok(response) => response.location().ok_or_else(|| format!("the issuer does not take {to}: {response:?}"))?,
        Err(_) if !visitor.soak.conditions.is_calm_since(from) => return Ok(Step::Over("provider down")),
        Err(error) => return Err(format!("no answer from the issuer: {error}")),
    };
    let origin = format!("http://{}", visitor.client.host());
    let Some(callback) = back.strip_prefix(&origin) else { return Err(format!("the way back is {back}")) };
    Ok(Step::At(Arriving { user, callback: callback.to_owned(), page, from }))
}

/// Asks for a page: the authorization request, the number of the page, and when it was asked for.
fn begin(visitor: &mut Visitor<'_>, user: &mut User) -> Result<Step<(String, u64, Instant)>, String> {
    let Some(answer) = visitor.ask("/app", &Right::Nobody, Outgoing::navigation)? else {
        return Ok(Step::Over(CUT_OFF));
    };
    user.keep(&answer.response);
    let to = answer.response.location().unwrap_or_default();
    let provider = format!("{}{}", visitor.soak.issuer().url(), Endpoint::Authorization.path());
    if answer.is(302, "sign_in_started") && answer.is_refusal(&[302]) && to.starts_with(&provider) {
        return Ok(Step::At((to, answer.number, answer.from)));
    }
    if may_refuse(visitor, &answer) { Ok(Step::Over("refused: provider")) } else { Err(answer.wrong("a sign-in")) }
}

/// Whether an answer refuses because the provider is in trouble.
fn may_refuse(visitor: &Visitor<'_>, answer: &Answer) -> bool {
    answer.is_refusal(&[502, 503, 504]) && !visitor.soak.conditions.is_calm_since(answer.from)
}
