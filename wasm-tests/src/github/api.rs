//! The REST API, as far as it identifies a user.

use serde_json::{Value, json};

use super::{State, json_response, nothing};
use crate::http1::{Request, single};

/// The answer at this path of the API.
pub(super) fn answer(state: &State, path: &str, request: &Request) -> Vec<u8> {
    if !request.headers.has("user-agent") {
        return json_response(403, &json!({"message": "Request forbidden by administrative rules."}));
    }
    let authorization = request.headers.text("authorization").unwrap_or_default();
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    let Some((_, scope)) = state.tokens.iter().find(|(known, _)| known == token) else {
        return json_response(401, &json!({"message": "Bad credentials"}));
    };
    let has = |wanted: &str| scope.split(',').any(|scope| scope == wanted);
    match path {
        "/user" => json_response(
            200,
            &json!({
                "login": "octocat", "id": 583_231, "node_id": "MDQ6VXNlcjU4MzIzMQ==", "type": "User", "site_admin": false,
                "name": "The Octocat", "email": "shown@example.com", "plan": {"name": "pro"},
            }),
        ),
        "/user/emails" if has("user:email") => page(request, state.emails.as_array().expect("a list")),
        "/user/orgs" if has("read:org") => {
            let org = |(id, login): (usize, &String)| json!({"login": login, "id": id, "description": "x".repeat(200)});
            page(request, &state.orgs.iter().enumerate().map(org).collect::<Vec<_>>())
        }
        "/user/teams" if has("read:org") => {
            let team =
                |(org, slug): &(String, String)| json!({"slug": slug, "name": slug, "organization": {"login": org}});
            page(request, &state.teams.iter().map(team).collect::<Vec<_>>())
        }
        "/user/orgs" | "/user/teams" => json_response(403, &json!({"message": "You need at least read:org scope"})),
        _ => nothing(),
    }
}

/// A page of a list: 30 elements unless asked for others, and at most 100.
fn page(request: &Request, all: &[Value]) -> Vec<u8> {
    let query = request.query();
    let number =
        |name: &str, otherwise: usize| single(&query, name).map_or(Ok(otherwise), str::parse).unwrap_or(otherwise);
    let size = number("per_page", 30).clamp(1, 100);
    let page = all.chunks(size).nth(number("page", 1).max(1) - 1).unwrap_or_default();
    json_response(200, &json!(page))
}
