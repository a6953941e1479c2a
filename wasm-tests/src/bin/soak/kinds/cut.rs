//! Connections that end in the middle of a request, or before its answer.

use std::{thread, time::Duration};

use wasm_tests::{user_agent::Outgoing, world::logout_request};

use super::{
    Checked, Visitor,
    pages::NOBODY,
    sign_in::{Step, arrive},
};
use crate::ledger::Right;

/// A connection ends: whose, chosen at random.
pub fn any(visitor: &mut Visitor<'_>) -> Checked {
    match visitor.rng.u8(0..7) {
        0 => {
            let target = numbered(visitor, "/public", Right::Anyone);
            cut(visitor, &Outgoing::navigation(target), "public page")
        }
        1 => {
            let target = numbered(visitor, "/app", Right::Nobody);
            cut(visitor, &Outgoing::navigation(target), "no session")
        }
        2 => session(visitor),
        3 => {
            let target = numbered(visitor, "/app", Right::Nobody);
            cut(visitor, &Outgoing::form(target, &[("text", "typed")]), "form")
        }
        4 => cut(visitor, &logout_request("no.such.token"), "logout token"),
        5 => callback(visitor),
        _ => {
            let target = numbered(visitor, "/api", Right::Nobody);
            cut(visitor, &Outgoing::new("GET", target).header("authorization", "Bearer a.b.c"), "token")
        }
    }
}

/// The session outlives it: what was renewed meanwhile is found again.
fn session(visitor: &mut Visitor<'_>) -> Checked {
    let Some(user) = visitor.soak.users.take(&mut visitor.rng) else { return Ok(NOBODY) };
    let target = numbered(visitor, "/app", Right::User(user.name.clone()));
    let send = Outgoing::form(target, &[("text", &"x".repeat(5000))]).header("cookie", user.cookies());
    visitor.soak.users.put(user);
    cut(visitor, &send, "session")
}

fn callback(visitor: &mut Visitor<'_>) -> Checked {
    let Step::At(arriving) = arrive(visitor)? else { return Ok("no sign-in begun") };
    let send = Outgoing::navigation(&arriving.callback).header("cookie", arriving.user.cookies());
    cut(visitor, &send, "callback")
}

fn numbered(visitor: &Visitor<'_>, folder: &str, right: Right) -> String {
    format!("{folder}/{}", visitor.soak.ledger.expect(right))
}

/// Sends a part of the request or all of it, and resets the connection at once or a little later.
fn cut(visitor: &mut Visitor<'_>, send: &Outgoing, what: &'static str) -> Checked {
    let bytes = send.bytes(visitor.client.host());
    let length = if visitor.rng.bool() { bytes.len() } else { visitor.rng.usize(1..bytes.len()) };
    visitor.soak.measures.count_request();
    match visitor.client.begin(&bytes[..length]) {
        Ok(connection) => {
            thread::sleep(Duration::from_micros(visitor.rng.u64(0..3000)));
            connection.reset();
            Ok(what)
        }
        Err(_) if visitor.soak.conditions.may_cut_off() => Ok(super::pages::CUT_OFF),
        Err(error) => Err(format!("{what}: no connection: {error}")),
    }
}
