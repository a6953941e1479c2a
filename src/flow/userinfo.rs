//! The user, for scripts of the app: claims that the operator lists, and the end of the session. It shows no token, and asking
//! does not keep the session alive: a tab in the background must not.

use serde_json::{Map, Value};

use crate::{
    claims::{Claim, Claims},
    http::{LocalReply, Request},
    session::{Session, open::FreshSession},
};

use super::{
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    context::Env,
    event::failure::Failure,
};

/// Decides a request for the userinfo path.
pub(super) fn decide(request: &Request, session: Option<&FreshSession>, env: &mut Env<'_>) -> LocalReply {
    let caller = Caller { kind: Kind::Program, ..Caller::of(request) };
    if !matches!(request.method(), "GET" | "HEAD") {
        return answer::refuse(Failure::UserinfoMethod, &caller, Offer::default(), env);
    }
    let Some(session) = session.map(FreshSession::session) else {
        return answer::refuse(Failure::SignInRequired, &caller, Offer::default(), env);
    };
    let ends = session.ends(&env.config.session.lifetimes);
    let mut body = Map::new();
    body.insert("claims".to_owned(), Value::Object(claims(session, &env.config.userinfo_claims)));
    body.insert("expires_at".to_owned(), ends.as_secs().into());
    body.insert("expires_in".to_owned(), ends.since(env.now()).as_secs().into());
    answer::json(200, "userinfo", &Value::Object(body))
}

fn claims(session: &Session, listed: &[String]) -> Map<String, Value> {
    let value = |name: &str| match session.claim(name)? {
        Claim::Text(text) => Some(Value::String(text.to_owned())),
        Claim::Json(value) => Some(value.clone()),
    };
    let names = ["sub"].into_iter().chain(listed.iter().map(String::as_str));
    // Not collected: what a map is made of is sorted first, with 6 KB of code that nothing else needs.
    let mut claims = Map::new();
    claims.extend(names.filter_map(|name| Some((name.to_owned(), value(name)?))));
    claims
}
