//! API clients with bearer tokens.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use serde_json::json;
use wasm_tests::{
    issuer::{IdToken, Signing},
    user_agent::Outgoing,
};

use super::{Checked, Visitor, ask::Answer, pages::CUT_OFF};
use crate::{ledger::Right, plan::API};

/// Who the tokens are for.
const ROBOT: &str = "robot";
/// Accepted tokens that are used again.
const MAX_SEEN: usize = 40;
/// How long they are used, well below their lifetime.
const IN_USE: Duration = Duration::from_secs(300);

/// How a token is spoilt.
type Spoil = fn(&mut IdToken);

const SPOILS: [Spoil; 8] = [
    |token| token.set("exp", token.issued_at() - 1000),
    |token| token.set("aud", "https://other.example.com"),
    |token| token.set("iss", "https://evil.example"),
    |token| token.set("nbf", token.issued_at() + 1000),
    |token| token.remove("exp"),
    |token| token.signing = Signing::None,
    |token| token.finish = |compact| compact[..compact.len() - 20].to_owned(),
    |token| {
        token.header.insert("kid".to_owned(), json!("unknown"));
    },
];

pub fn seen(visitor: &mut Visitor<'_>) -> Checked {
    let token = {
        let mut tokens = visitor.soak.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|(_, made)| made.elapsed() < IN_USE);
        let at = visitor.rng.usize(0..tokens.len().max(1));
        tokens.get(at).cloned()
    };
    let Some((token, _)) = token else { return fresh(visitor) };
    good(visitor, &token)
}

pub fn fresh(visitor: &mut Visitor<'_>) -> Checked {
    let made = Instant::now();
    let token = visitor.soak.issuer().access_token(API, |_| {});
    let outcome = good(visitor, &token)?;
    if outcome == "passed" && visitor.soak.conditions.are_keys_known_since(made) {
        let mut tokens = visitor.soak.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() == MAX_SEEN {
            tokens.remove(0);
        }
        tokens.push((token, made));
    }
    Ok(outcome)
}

fn good(visitor: &mut Visitor<'_>, token: &str) -> Checked {
    let from = Instant::now();
    let Some(answer) = ask(visitor, &Right::User(ROBOT.to_owned()), token)? else { return Ok(CUT_OFF) };
    if answer.is_apps() {
        Ok("passed")
    } else if !visitor.soak.conditions.are_keys_known_since(from) && answer.is_refusal(&[401, 503]) {
        Ok("refused: new keys")
    } else {
        Err(answer.wrong("the app's answer"))
    }
}

pub fn invalid(visitor: &mut Visitor<'_>) -> Checked {
    let spoil = SPOILS[visitor.rng.usize(0..SPOILS.len())];
    let token = visitor.soak.issuer().access_token(API, spoil);
    bad(visitor, &token)
}

/// The signature of one token under the claims of another.
pub fn bad_signature(visitor: &mut Visitor<'_>) -> Checked {
    let [one, other] = [(), ()].map(|()| visitor.soak.issuer().access_token(API, |_| {}));
    let (claims, _) = one.rsplit_once('.').expect("a token of three parts");
    let (_, signature) = other.rsplit_once('.').expect("a token of three parts");
    bad(visitor, &format!("{claims}.{signature}"))
}

/// The filter may look for newer keys first, and say that it is busy.
fn bad(visitor: &mut Visitor<'_>, token: &str) -> Checked {
    let Some(answer) = ask(visitor, &Right::Nobody, token)? else { return Ok(CUT_OFF) };
    match answer.response.status {
        400 | 401 if answer.is_refusal(&[400, 401]) => Ok("refused"),
        503 if answer.is_refusal(&[503]) => Ok("503"),
        _ => Err(answer.wrong("a refusal")),
    }
}

fn ask(visitor: &mut Visitor<'_>, right: &Right, token: &str) -> Result<Option<Answer>, String> {
    let authorization = format!("Bearer {token}");
    visitor.ask("/api", right, |target| Outgoing::new("GET", target).header("authorization", &authorization))
}
