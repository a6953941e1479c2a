//! Requests that want to reach the app, with a session, with a bad one, and without.

use wasm_tests::{http1::Answering, http2, user_agent::Outgoing};

use super::{
    Checked, Visitor,
    ask::{Answer, readable},
};
use crate::{ledger::Right, plan::Rules, users::User};

/// What a reload has cut off.
pub const CUT_OFF: &str = "cut off by a reload";
/// Nobody is signed in yet.
pub const NOBODY: &str = "no session there";
/// How long HTTP/2 waits.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

pub fn public(visitor: &mut Visitor<'_>) -> Checked {
    passes(visitor, "/public", &Right::Anyone, Outgoing::navigation)
}

/// An escaped slash, which Envoy's path normalisation refuses. What it takes is the latency of the machine.
pub fn before_the_filter(visitor: &mut Visitor<'_>) -> Checked {
    let build = |target| Outgoing::fetch(target);
    let Some(answer) = visitor.ask("/public%2Fpage", &Right::Nobody, build)? else { return Ok(CUT_OFF) };
    let is_envoys = answer.response.status == 400 && answer.response.code().is_none() && answer.arrived == 0;
    if is_envoys { Ok("400") } else { Err(answer.wrong("400 by Envoy itself")) }
}

pub fn large_headers(visitor: &mut Visitor<'_>) -> Checked {
    let large = vec![b'x'; visitor.rng.usize(8_000..40_000)];
    passes(visitor, "/public", &Right::Anyone, |target| Outgoing::fetch(target).header("x-large", &large))
}

pub fn too_large_headers(visitor: &mut Visitor<'_>) -> Checked {
    let large = vec![b'x'; 70_000];
    let answer = visitor.ask("/public", &Right::Nobody, |target| Outgoing::fetch(target).header("x-large", &large))?;
    visitor.client.reconnect();
    let Some(answer) = answer else { return Ok(CUT_OFF) };
    if answer.response.status == 431 && answer.arrived == 0 { Ok("431") } else { Err(answer.wrong("431")) }
}

/// A request that needs no session.
fn passes(visitor: &mut Visitor<'_>, folder: &str, right: &Right, build: impl Fn(String) -> Outgoing) -> Checked {
    let Some(answer) = visitor.ask(folder, right, build)? else { return Ok(CUT_OFF) };
    if answer.is_apps() { Ok("passed") } else { Err(answer.wrong("the app's answer")) }
}

pub fn page(visitor: &mut Visitor<'_>) -> Checked {
    with_session(visitor, Outgoing::navigation)
}

pub fn script(visitor: &mut Visitor<'_>) -> Checked {
    with_session(visitor, Outgoing::fetch)
}

pub fn image(visitor: &mut Visitor<'_>) -> Checked {
    with_session(visitor, image_of)
}

pub fn spoofed(visitor: &mut Visitor<'_>) -> Checked {
    with_session(visitor, |target| {
        Outgoing::fetch(target).header("X-Forwarded-User", "admin").header("x_forwarded_user", "admin")
    })
}

fn image_of(target: String) -> Outgoing {
    Outgoing::new("GET", target)
        .header("accept", "image/avif,image/webp,image/*")
        .header("sec-fetch-mode", "no-cors")
        .header("sec-fetch-dest", "image")
        .header("sec-fetch-site", "same-origin")
}

/// A request with a session, which must pass whatever the provider does.
fn with_session(visitor: &mut Visitor<'_>, build: impl Fn(String) -> Outgoing) -> Checked {
    let Some(mut user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let answer = visitor.ask_as(&mut user, "/app", build)?;
    finish(visitor, user, answer)
}

/// The outcome of a request with a session; the user goes on with it.
fn finish(visitor: &Visitor<'_>, user: User, answer: Option<Answer>) -> Checked {
    let Some(answer) = answer else {
        visitor.soak.users.put(user);
        return Ok(CUT_OFF);
    };
    if answer.is_apps() {
        let is_renewed = answer.response.headers.has("set-cookie");
        visitor.soak.users.put(user);
        return Ok(if is_renewed { "passed, new cookie" } else { "passed" });
    }
    // The answer with the next refresh token was lost when a connection closed: the provider was down, or Envoy gave up the
    // old configuration.
    if visitor.soak.issuer().was_reused(&user.name) && answer.is_refusal(&[302, 401]) {
        return Ok("ended: refresh token lost");
    }
    Err(answer.wrong(&format!("the app's answer for {}, signed in for {:?}", user.name, user.since.elapsed())))
}

/// Four requests at once, which all find the session, also where one of them renews it.
pub fn tabs(visitor: &mut Visitor<'_>) -> Checked {
    let Some(mut user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let (cookies, right) = (user.cookies(), Right::User(user.name.clone()));
    let mut open = Vec::new();
    for _ in 0..4 {
        let number = visitor.soak.ledger.expect(right.clone());
        let send = Outgoing::fetch(format!("/app/{number}")).header("cookie", &cookies);
        visitor.soak.measures.count_request();
        let connection = visitor.client.begin(&send.bytes(visitor.client.host()));
        open.push((number, send, std::time::Instant::now(), connection));
    }
    for (number, send, from, connection) in open {
        let response = match connection.and_then(|mut connection| connection.read_response(Answering::Other)) {
            Ok(response) => response,
            Err(_) if visitor.soak.conditions.may_cut_off() => continue,
            Err(error) => return Err(format!("no answer to {}: {error}", readable(&send))),
        };
        user.keep(&response);
        let arrived = visitor.soak.ledger.settle(number);
        let answer = Answer { request: readable(&send), response, arrived, number, from };
        if !answer.is_apps() {
            return finish(visitor, user, Some(answer));
        }
    }
    visitor.soak.users.put(user);
    Ok("passed")
}

pub fn userinfo(visitor: &mut Visitor<'_>) -> Checked {
    let Some(mut user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let send = Outgoing::fetch("/oauth2/userinfo").header("cookie", user.cookies());
    let Some(answer) = visitor.ask_filter(&send)? else {
        visitor.soak.users.put(user);
        return Ok(CUT_OFF);
    };
    user.keep(&answer.response);
    let names_user = answer.response.text().contains(&format!("\"sub\":\"{}\"", user.name));
    if answer.response.status == 200 && names_user {
        visitor.soak.users.put(user);
        return Ok("200");
    }
    if visitor.soak.issuer().was_reused(&user.name) && answer.response.status == 401 {
        return Ok("ended: refresh token lost");
    }
    Err(answer.wrong(&format!("the claims of {}", user.name)))
}

pub fn public_http2(visitor: &mut Visitor<'_>) -> Checked {
    over_http2(visitor, "/public", Right::Anyone, None)
}

pub fn http2(visitor: &mut Visitor<'_>) -> Checked {
    let Some(user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let right = Right::User(user.name.clone());
    over_http2(visitor, "/app", right, Some(user))
}

fn over_http2(visitor: &mut Visitor<'_>, folder: &str, right: Right, user: Option<User>) -> Checked {
    let number = visitor.soak.ledger.expect(right);
    let mut send = Outgoing::fetch(format!("{folder}/{number}"));
    if let Some(user) = &user {
        send = send.header("cookie", user.cookies());
    }
    visitor.soak.measures.count_request();
    let from = std::time::Instant::now();
    let response = match http2::exchange(visitor.client.address(), visitor.client.host(), &send, PATIENCE) {
        Ok(response) => Some(response),
        Err(_) if visitor.soak.conditions.may_cut_off() => None,
        Err(error) => return Err(format!("no answer to {}: {error}", readable(&send))),
    };
    let answer = response.map(|response| {
        let arrived = visitor.soak.ledger.settle(number);
        Answer { request: readable(&send), response, arrived, number, from }
    });
    match (user, answer) {
        (Some(mut user), answer) => {
            if let Some(answer) = &answer {
                user.keep(&answer.response);
            }
            finish(visitor, user, answer)
        }
        (None, None) => Ok(CUT_OFF),
        (None, Some(answer)) if answer.is_apps() => Ok("passed"),
        (None, Some(answer)) => Err(answer.wrong("the app's answer")),
    }
}

pub fn without_session_program(visitor: &mut Visitor<'_>) -> Checked {
    is_refused(visitor, "/app", &[401], |target| Outgoing::new("GET", target).header("accept", "*/*"))
}

pub fn without_session_image(visitor: &mut Visitor<'_>) -> Checked {
    is_refused(visitor, "/app", &[401], image_of)
}

pub fn closed(visitor: &mut Visitor<'_>) -> Checked {
    is_refused(visitor, "/closed", &[403], Outgoing::navigation)
}

/// A form is kept: the page for it repeats what was typed.
pub fn form(visitor: &mut Visitor<'_>) -> Checked {
    let text = format!("typed in visit {}", visitor.number);
    let build = |target| Outgoing::form(target, &[("text", &text)]);
    let Some(answer) = visitor.ask("/app", &Right::Nobody, build)? else { return Ok(CUT_OFF) };
    let keeps = answer.is_refusal(&[401]) && answer.response.text().contains(&text);
    if keeps { Ok("kept") } else { Err(answer.wrong("a page with the form")) }
}

pub fn over(visitor: &mut Visitor<'_>) -> Checked {
    let Some(user) = visitor.soak.users.over(&mut visitor.rng) else { return Ok("no such session yet") };
    bad_session(visitor, &user)
}

pub fn tampered(visitor: &mut Visitor<'_>) -> Checked {
    let Some(user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let mut changed = user.clone();
    visitor.soak.users.put(user);
    changed.tamper(&mut visitor.rng);
    bad_session(visitor, &changed)
}

fn bad_session(visitor: &mut Visitor<'_>, user: &User) -> Checked {
    let cookies = user.cookies();
    is_refused(visitor, "/app", &[401], |target| Outgoing::fetch(target).header("cookie", &cookies))
}

/// A request that must be refused with one of these statuses.
fn is_refused(
    visitor: &mut Visitor<'_>,
    folder: &str,
    statuses: &[u16],
    build: impl Fn(String) -> Outgoing,
) -> Checked {
    let Some(answer) = visitor.ask(folder, &Right::Nobody, build)? else { return Ok(CUT_OFF) };
    if answer.is_refusal(statuses) { Ok("refused") } else { Err(answer.wrong(&format!("{statuses:?}"))) }
}

/// A path that one of the two configurations makes public. On a new connection, the rules are those in force.
pub fn flip(visitor: &mut Visitor<'_>) -> Checked {
    visitor.client.reconnect();
    let Some(answer) = visitor.ask("/flip", &Right::Anyone, Outgoing::fetch)? else { return Ok(CUT_OFF) };
    let (passed, refused) = (answer.is_apps(), answer.is_refusal(&[401]));
    match visitor.soak.conditions.rules_since(answer.from) {
        Some(Rules::Open) if passed => Ok("passed"),
        Some(Rules::Closed) if refused => Ok("refused"),
        None if passed || refused => Ok("while the rules changed"),
        rules => Err(answer.wrong(&format!("what {rules:?} says"))),
    }
}
