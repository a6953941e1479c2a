use super::*;

const OFFLINE: &str = "openid offline_access";

/// Signs in, and returns the token response.
fn sign_in(issuer: &Issuer, scope: &str) -> Value {
    let response = redeem(issuer, &code_for(issuer, scope), |_| {});
    assert_eq!(response.status, 200, "{response:?}");
    parsed(&response)
}

fn refresh(issuer: &Issuer, token: &Value) -> Response {
    post(issuer, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())])
}

fn claims(issuer: &Issuer, answer: &Value) -> Value {
    let (_, claims, valid) = read(issuer, answer["id_token"].as_str().unwrap());
    assert!(valid, "{answer}");
    claims
}

#[test]
fn a_refresh_continues_the_session_and_consumes_the_refresh_token() {
    let issuer = Issuer::start();
    let first = sign_in(&issuer, OFFLINE);
    issuer.set_clock(1000);
    let second = parsed(&refresh(&issuer, &first["refresh_token"]));
    let (before, after) = (claims(&issuer, &first), claims(&issuer, &second));
    for name in ["iss", "sub", "aud", "sid", "auth_time"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert!(before["sid"].is_string() && before["nonce"] == "n" && after.get("nonce").is_none(), "{after}");
    let issued = |claims: &Value| claims["iat"].as_i64().unwrap();
    assert!((1000..1030).contains(&(issued(&after) - issued(&before))), "{after}");
    for name in ["access_token", "refresh_token", "id_token"] {
        assert_ne!(first[name], second[name], "{name}");
        assert!(issuer.secrets().contains(&second[name].as_str().unwrap().to_owned()), "{name}");
    }

    assert_eq!(refresh(&issuer, &first["refresh_token"]).status, 400);
    assert_eq!(refresh(&issuer, &second["refresh_token"]).status, 200);
    assert_eq!(refresh(&issuer, &json!("unknown")).status, 400);
    assert_eq!(issuer.refreshes(), Refreshes { asked: 4, granted: 2, refused: 2, reused: 1 });
    assert_eq!(issuer.access_tokens().len(), 3);
}

#[test]
fn the_terms_decide_issue_and_rotation_of_refresh_tokens() {
    let issuer = Issuer::start();
    assert_eq!(sign_in(&issuer, "openid").get("refresh_token"), None);
    issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Never);
    assert_eq!(sign_in(&issuer, OFFLINE).get("refresh_token"), None);
    issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let token = sign_in(&issuer, "openid")["refresh_token"].clone();
    for (rotation, repeated) in [(Rotation::Kept, None), (Rotation::Repeated, Some(&token))] {
        issuer.terms(|terms| terms.rotation = rotation);
        for _ in 0..2 {
            assert_eq!(parsed(&refresh(&issuer, &token)).get("refresh_token"), repeated, "{rotation:?}");
        }
    }
    issuer.terms(|terms| terms.rotation = Rotation::RotatingOrEnding);
    let next = parsed(&refresh(&issuer, &token))["refresh_token"].clone();
    assert_eq!((refresh(&issuer, &token).status, refresh(&issuer, &next).status), (400, 400));
}

#[test]
fn the_terms_decide_the_members_of_a_refresh_response() {
    let issuer = Issuer::start();
    issuer.terms(|terms| {
        terms.rotation = Rotation::Kept;
        terms.expires_in = Some(json!(60));
    });
    let first = sign_in(&issuer, OFFLINE);
    assert_eq!(first["expires_in"], 60);
    for value in [json!(0), json!("3600"), json!(1.5), json!(-1), json!(1e18), Value::Null] {
        issuer.terms(|terms| terms.refresh_expires_in = Some(value.clone()));
        assert_eq!(parsed(&refresh(&issuer, &first["refresh_token"]))["expires_in"], value);
    }
    issuer.terms(|terms| {
        terms.refresh_expires_in = None;
        terms.refresh_id_token = false;
    });
    let bare = parsed(&refresh(&issuer, &first["refresh_token"]));
    assert_eq!((bare.get("expires_in"), bare.get("id_token")), (None, None));
    issuer.terms(|terms| {
        terms.refresh_id_token = true;
        terms.refresh_nonce = true;
        terms.id_token_seconds = 5;
    });
    let claims = claims(&issuer, &parsed(&refresh(&issuer, &first["refresh_token"])));
    assert_eq!(claims["nonce"], "n");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 5);
}

#[test]
fn a_refresh_returns_new_claims_of_the_same_user() {
    let issuer = Issuer::start();
    let first = sign_in(&issuer, OFFLINE);
    issuer.sign_in_as(json!({"sub": "alice", "groups": ["new"]}));
    let second = parsed(&refresh(&issuer, &first["refresh_token"]));
    assert_eq!(claims(&issuer, &second)["groups"], json!(["new"]));
    issuer.sign_in_as(json!({"sub": "bob"}));
    assert_eq!(claims(&issuer, &parsed(&refresh(&issuer, &second["refresh_token"])))["sub"], "alice");
}

#[test]
fn faults_of_refreshes_do_not_affect_sign_ins() {
    let issuer = Issuer::start();
    issuer.misbehave(Fault::RefreshIdToken(|token| token.set("sub", "mallory")));
    issuer.misbehave(Fault::Refresh(Answer::Edited(|body| body["x"] = json!(1))));
    let first = sign_in(&issuer, OFFLINE);
    assert_eq!((claims(&issuer, &first)["sub"].as_str(), first.get("x")), (Some("alice"), None));
    let second = parsed(&refresh(&issuer, &first["refresh_token"]));
    assert_eq!((claims(&issuer, &second)["sub"].as_str(), second["x"].as_i64()), (Some("mallory"), Some(1)));
    issuer.behave();
    issuer.misbehave(Fault::Refresh(Answer::status(503)));
    assert_eq!(refresh(&issuer, &second["refresh_token"]).status, 503);
    sign_in(&issuer, OFFLINE);
    assert_eq!(issuer.refreshes(), Refreshes { asked: 2, granted: 1, refused: 0, reused: 0 });
}

#[test]
fn a_revoked_refresh_token_is_refused() {
    let issuer = Issuer::start();
    let (one, other) = (sign_in(&issuer, OFFLINE), sign_in(&issuer, OFFLINE));
    let revoke = |token: &str| post(&issuer, "/revoke", &[("token", token), ("token_type_hint", "refresh_token")]);
    assert_eq!(revoke(one["refresh_token"].as_str().unwrap()).status, 200);
    assert_eq!(revoke("unknown").status, 200);
    assert_eq!(post(&issuer, "/revoke", &[("x", "y")]).status, 400);
    assert_eq!(ask(&issuer, "POST /revoke HTTP/1.1\r\ncontent-length: 0\r\n\r\n").unwrap().status, 400);
    assert_eq!(issuer.revoked(), [one["refresh_token"].as_str().unwrap(), "unknown"]);
    assert_eq!(refresh(&issuer, &one["refresh_token"]).status, 400);

    let other = parsed(&refresh(&issuer, &other["refresh_token"]));
    issuer.revoke_all();
    assert_eq!(refresh(&issuer, &other["refresh_token"]).status, 400);
    assert_eq!(issuer.refreshes(), Refreshes { asked: 3, granted: 1, refused: 2, reused: 0 });
    sign_in(&issuer, OFFLINE);
}
