//! The authorization endpoint.

use serde_json::{Map, Value, json};
use url::Url;

use super::{CLIENT_ID, Fault, State, sign_in::Grant};
use crate::http1::{Request, response, single};

/// Signs the user in at once and sends the browser back (RFC 6749, 4.1.2, and RFC 9207): the one whom `login_hint` names (OIDC
/// Core 3.1.2.1), or the one who is set.
pub(super) fn authorize(state: &mut State, request: &Request) -> Vec<u8> {
    let query = request.query();
    let parameter = |name: &str| single(&query, name).map(str::to_owned);
    let wanted = [("response_type", "code"), ("client_id", CLIENT_ID), ("code_challenge_method", "S256")];
    for (name, value) in wanted {
        if parameter(name).as_deref() != Some(value) {
            return response(400, &[], format!("{name} is not {value}").as_bytes());
        }
    }
    let (Some(redirect_uri), Some(challenge), Some(scope)) =
        (parameter("redirect_uri"), parameter("code_challenge"), parameter("scope"))
    else {
        return response(400, &[], b"redirect_uri, code_challenge or scope is missing");
    };
    let Ok(mut back) = Url::parse(&redirect_uri) else { return response(400, &[], b"redirect_uri is no URL") };
    state.origins.insert(back.origin().ascii_serialization());
    let code = state.secret("code");
    let user = parameter("login_hint").map(|sub| named(&sub));
    let grant = Grant { redirect_uri, challenge, nonce: parameter("nonce"), scope, user, redeemed: false };
    state.grants.insert(code.clone(), grant);

    let mut answer = vec![("code".to_owned(), code)];
    answer.extend(parameter("state").map(|state| ("state".to_owned(), state)));
    answer.push(("iss".to_owned(), state.url.clone()));
    for fault in &state.faults {
        if let Fault::Response(change) = fault {
            change(&mut answer);
        }
    }
    back.query_pairs_mut().extend_pairs(answer);
    response(302, &[("location", back.as_str()), ("cache-control", "no-store")], b"")
}

/// The claims of a user of this name.
fn named(sub: &str) -> Map<String, Value> {
    [("sub", json!(sub)), ("email", json!(format!("{sub}@example.com"))), ("groups", json!(["staff"]))]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}
