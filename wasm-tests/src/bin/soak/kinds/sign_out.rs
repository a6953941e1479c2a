//! Ends of sessions, after which no copy of their cookies is good.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasm_tests::{issuer::Signing, user_agent::Outgoing, world::logout_request};

use super::{
    Checked, Visitor,
    pages::{CUT_OFF, NOBODY},
};
use crate::{ledger::Right, users::User};

/// So many new connections reach both workers, mostly.
const TRIES: usize = 4;
/// A sign-out counts at once in its own worker, and within a second in the others; later on a machine that is busy with more
/// than this run.
const EVERYWHERE: Duration = Duration::from_secs(3);

pub fn by_user(visitor: &mut Visitor<'_>) -> Checked {
    let Some(user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let send = Outgoing::navigation("/oauth2/sign_out").header("cookie", user.cookies());
    let Some(answer) = visitor.ask_filter(&send)? else { return Ok(CUT_OFF) };
    if !answer.is(303, "signed_out") {
        return Err(answer.wrong("a sign-out"));
    }
    thread::sleep(EVERYWHERE);
    is_over(visitor, user, "signed out")
}

pub fn by_provider(visitor: &mut Visitor<'_>) -> Checked {
    let Some(user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let from = Instant::now();
    let token = {
        let issuer = visitor.soak.issuer();
        let sid = issuer.sid_of(&user.name);
        let (sub, sid) = match visitor.rng.u8(0..3) {
            0 => (Some(user.name.as_str()), None),
            1 => (None, sid.as_deref()),
            _ => (Some(user.name.as_str()), sid.as_deref()),
        };
        issuer.logout_token_for(sub, sid, |_| {})
    };
    let Some(answer) = visitor.ask_filter(&logout_request(&token))? else { return Ok(CUT_OFF) };
    if answer.is(200, "logged_out") {
        return is_over(visitor, user, "logged out");
    }
    let may_fail = !visitor.soak.conditions.are_keys_known_since(from);
    if may_fail && answer.is_refusal(&[400, 503]) { Ok("refused: new keys") } else { Err(answer.wrong("a logout")) }
}

/// A logout token that nobody signed: the session goes on.
pub fn forged(visitor: &mut Visitor<'_>) -> Checked {
    let Some(mut user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let token = visitor.soak.issuer().logout_token_for(Some(&user.name), None, |token| token.signing = Signing::None);
    let Some(answer) = visitor.ask_filter(&logout_request(&token))? else { return Ok(CUT_OFF) };
    if !answer.is_refusal(&[400, 503]) {
        return Err(answer.wrong("a refusal"));
    }
    let Some(page) = visitor.ask_as(&mut user, "/app", Outgoing::fetch)? else { return Ok(CUT_OFF) };
    if page.is_apps() {
        visitor.soak.users.put(user);
        Ok("refused")
    } else if visitor.soak.issuer().was_reused(&user.name) {
        Ok("ended: refresh token lost")
    } else {
        Err(page.wrong("a session that goes on"))
    }
}

/// Checks that copies of the cookies are refused, now and later.
fn is_over(visitor: &mut Visitor<'_>, user: User, outcome: &'static str) -> Checked {
    let cookies = user.cookies();
    for _ in 0..TRIES {
        visitor.client.reconnect();
        let build = |target| Outgoing::fetch(target).header("cookie", &cookies);
        let Some(answer) = visitor.ask("/app", &Right::Nobody, build)? else { continue };
        if !answer.is_refusal(&[401]) {
            return Err(answer.wrong(&format!("a session of {} that is over ({outcome})", user.name)));
        }
    }
    visitor.soak.users.end(user);
    Ok(outcome)
}
