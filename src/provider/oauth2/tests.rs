use serde_json::json;

use super::*;
use crate::{
    oidc::{
        PlainHttp,
        testing::{self, TestPlatform},
    },
    time::UnixTime,
};

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

fn question(claims: &[(&str, &str)]) -> Question {
    Question {
        endpoint: Endpoint::parse("https://api.example.com/me?fields=id,name", PlainHttp::Never).unwrap(),
        select: Vec::new(),
        claims: claims.iter().map(|(name, at)| ((*name).to_owned(), path(at))).collect(),
    }
}

fn questions(claims: &[(&str, &str)]) -> Questions {
    Questions {
        userinfo: question(claims),
        further: Vec::new(),
        token_place: TokenPlace::Header,
        email_is_verified: false,
    }
}

fn answer(body: &Value) -> Result<CalloutResponse, CalloutError> {
    Ok(CalloutResponse::new(200, body.to_string().into_bytes()))
}

/// Follows the questions with these answers.
fn ask(questions: Questions, answers: &[Value]) -> Result<(Vec<CalloutRequest>, Userinfo), UserinfoError> {
    let mut inquiry = Rc::new(questions).about(AccessToken::new("a/b"));
    let mut requests = Vec::new();
    let platform = TestPlatform::default();
    let context = CallContext::new(UnixTime::default(), &platform);
    loop {
        let body = answers.get(requests.len()).expect("a question too many");
        requests.push(inquiry.request(&testing::relying_party(), context).unwrap());
        match inquiry.read(answer(body))? {
            Progress::Ask(next) => inquiry = next,
            Progress::Known(userinfo) => return Ok((requests, *userinfo)),
        }
    }
}

fn claim(userinfo: &Userinfo, name: &str) -> Option<Value> {
    userinfo.claim(name, &Map::new())
}

#[test]
fn the_mapped_subject_is_a_string_or_an_integer() {
    for (claims, body, expected) in [
        (&[][..], json!({ "sub": "alice" }), Some("alice")),
        (&[("sub", "id")], json!({ "id": 7, "sub": "mallory" }), Some("7")),
        (&[("sub", "/data/user/id")], json!({ "data": { "user": { "id": "u-1" } } }), Some("u-1")),
        (&[("sub", "id")], json!({ "id": 18_446_744_073_709_551_615_u64 }), Some("18446744073709551615")),
        (&[("sub", "id")], json!({ "id": -1 }), Some("-1")),
        (&[("sub", "id")], json!({ "id": 7.5 }), None),
        (&[("sub", "id")], json!({ "id": true }), None),
        (&[("sub", "id")], json!({ "id": ["7"] }), None),
        (&[("sub", "id")], json!({ "id": "" }), None),
        (&[("sub", "id")], json!({ "id": " alice" }), None),
        (&[("sub", "id")], json!({ "id": "a\nb" }), None),
        (&[("sub", "id")], json!({ "id": "x".repeat(256) }), None),
        (&[("sub", "id")], json!({ "sub": "alice" }), None),
        (&[("sub", "id")], json!({ "id": null }), None),
        (&[], json!({ "id": 7 }), None),
    ] {
        let asked = ask(questions(claims), std::slice::from_ref(&body));
        match expected {
            Some(subject) => assert_eq!(asked.unwrap().1.subject(), subject, "{body}"),
            None => assert!(matches!(asked, Err(UserinfoError::NoSubject(_))), "{body}"),
        }
    }
    let error = ask(questions(&[("sub", "/data/id")]), &[json!({})]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the userinfo response has no text or whole number at /data/id, which was to be the subject; say under `claims` where \
         it is, such as sub: /id"
    );
}

#[test]
fn response_members_become_claims_by_name_or_json_pointer() {
    let body = json!({
        "id": "1", "name": "Alice", "mail": "alice@example.com", "picture": { "data": { "url": "https://p.example/1" } },
    });
    let mapped = [("sub", "id"), ("email", "mail"), ("picture", "/picture/data/url"), ("nickname", "/no/such")];
    let (_, userinfo) = ask(questions(&mapped), &[body]).unwrap();
    assert_eq!(claim(&userinfo, "name"), Some(json!("Alice")));
    assert_eq!(claim(&userinfo, "email"), Some(json!("alice@example.com")));
    assert_eq!(claim(&userinfo, "picture"), Some(json!("https://p.example/1")));
    assert_eq!(claim(&userinfo, "nickname"), None);
    // An address that the server does not call verified is not.
    assert_eq!(claim(&userinfo, "email_verified"), None);
    // Claims about a signed token cannot come from here.
    assert_eq!(claim(&userinfo, "sub"), None);
}

#[test]
fn a_mapped_email_does_not_inherit_email_verified() {
    let body = json!({ "sub": "a", "email": "a@example.com", "email_verified": true, "mail": "b@example.com" });
    let (_, userinfo) = ask(questions(&[("email", "mail")]), std::slice::from_ref(&body)).unwrap();
    assert_eq!((claim(&userinfo, "email"), claim(&userinfo, "email_verified")), (Some(json!("b@example.com")), None));
    let (_, userinfo) = ask(questions(&[("email", "/no/such")]), std::slice::from_ref(&body)).unwrap();
    assert_eq!(claim(&userinfo, "email"), None);
    let (_, userinfo) = ask(questions(&[("email", "mail"), ("email_verified", "email_verified")]), &[body]).unwrap();
    assert_eq!(claim(&userinfo, "email_verified"), Some(json!(true)));
}

#[test]
fn email_is_verified_applies_unless_the_server_says_false() {
    let with = |body: Value| {
        let questions = Questions { email_is_verified: true, ..questions(&[]) };
        claim(&ask(questions, &[body]).unwrap().1, "email_verified")
    };
    assert_eq!(with(json!({ "sub": "a", "email": "a@example.com" })), Some(json!(true)));
    assert_eq!(with(json!({ "sub": "a", "email": "a@example.com", "email_verified": null })), Some(json!(true)));
    assert_eq!(with(json!({ "sub": "a", "email": "a@example.com", "email_verified": false })), Some(json!(false)));
    assert_eq!(with(json!({ "sub": "a" })), None);
}

#[test]
fn further_endpoints_add_claims_and_replace_email_verified() {
    let emails = Question {
        endpoint: Endpoint::parse("https://api.example.com/emails", PlainHttp::Never).unwrap(),
        select: vec![("primary".to_owned(), json!(true)), ("rank".to_owned(), json!(1))],
        ..question(&[("email", "address"), ("email_verified", "is_confirmed")])
    };
    let with = |more: &[(&str, &str)], list: Value| {
        let further = Question { claims: question(more).claims, ..emails.clone() };
        let questions = Questions { further: vec![further], ..questions(&[]) };
        let user = json!({ "sub": "a", "email": "old@example.com", "email_verified": true });
        ask(questions, &[user, list]).unwrap()
    };
    let both = [("email", "address"), ("email_verified", "is_confirmed")];
    let list = json!([
        { "address": "other@example.com", "primary": false, "rank": 1 },
        "noise",
        { "address": "new@example.com", "primary": true, "rank": 1, "is_confirmed": true },
    ]);
    let (requests, userinfo) = with(&both, list.clone());
    let paths: Vec<_> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/me?fields=id,name", "/emails"]);
    assert_eq!(claim(&userinfo, "email"), Some(json!("new@example.com")));
    assert_eq!(claim(&userinfo, "email_verified"), Some(json!(true)));
    // The proof belonged to the address that was replaced.
    let (_, userinfo) = with(&[("email", "address")], list);
    assert_eq!(claim(&userinfo, "email"), Some(json!("new@example.com")));
    assert_eq!(claim(&userinfo, "email_verified"), None);
    // No element, or an object in place of the list.
    let (_, userinfo) = with(&both, json!([]));
    assert_eq!(claim(&userinfo, "email"), Some(json!("old@example.com")));
    let (_, userinfo) = with(&both, json!({ "address": "one@example.com", "primary": true, "rank": 1 }));
    assert_eq!(claim(&userinfo, "email"), Some(json!("one@example.com")));
    let (_, userinfo) = with(&both, json!({ "address": "one@example.com", "primary": false, "rank": 1 }));
    assert_eq!(claim(&userinfo, "email"), Some(json!("old@example.com")));
}

#[test]
fn the_access_token_is_sent_in_the_header_or_the_query() {
    let body = json!({ "sub": "a" });
    let (requests, _) = ask(questions(&[]), std::slice::from_ref(&body)).unwrap();
    assert_eq!(requests[0].path, "/me?fields=id,name");
    assert!(requests[0].headers.contains(&("authorization", "Bearer a/b".to_owned())));
    let (requests, _) = ask(Questions { token_place: TokenPlace::Query, ..questions(&[]) }, &[body]).unwrap();
    assert_eq!(requests[0].path, "/me?fields=id,name&access_token=a%2Fb");
    assert!(requests[0].headers.iter().all(|(name, _)| *name != "authorization"));
}

#[test]
fn an_invalid_user_response_identifies_no_user() {
    let read = |status: u16, body: &str| {
        let inquiry = Rc::new(questions(&[])).about(AccessToken::new("a"));
        let response = CalloutResponse::new(status, body.as_bytes().to_vec());
        inquiry.read(Ok(response)).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(read(401, r#"{"sub":"a"}"#), "the userinfo endpoint answered 401");
    assert_eq!(
        read(400, r#"{"error":{"message":"Malformed access token","type":"OAuthException","code":190}}"#),
        r#"the userinfo endpoint answered 400, and says unknown_error "OAuthException" ("Malformed access token")"#
    );
    assert_eq!(
        read(200, r#"{"error":"invalid_token","sub":"a"}"#),
        "the userinfo endpoint answered 200, and says invalid_token"
    );
    assert_eq!(read(200, r#"{"sub":"a","sub":"b"}"#).split(',').next(), Some("the userinfo response is ambiguous"));
    assert_eq!(read(200, "<html>"), "the userinfo response is not JSON");
    assert_eq!(read(200, "[]"), "the userinfo response is not a JSON object");
}

#[test]
fn the_questions_digest_changes_with_the_questions() {
    let of = |questions: Questions| *OAuth2::new(testing::metadata(), questions).questions_digest();
    let base = of(questions(&[("a", "b")]));
    assert_eq!(base, of(questions(&[("a", "b")])));
    for other in [
        questions(&[("a", "c")]),
        questions(&[]),
        Questions { email_is_verified: true, ..questions(&[("a", "b")]) },
        Questions { further: vec![question(&[("c", "d")])], ..questions(&[("a", "b")]) },
    ] {
        assert_ne!(base, of(other));
    }
}
