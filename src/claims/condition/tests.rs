use serde_json::json;

use super::{super::tests::Token, *};

fn claim(path: &str, wanted: Value) -> Condition {
    let Value::Array(wanted) = wanted else { panic!() };
    Condition::Claim(ClaimPath::parse(path).unwrap(), wanted)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_claim_matches_as_one_of_the_values_or_a_list_that_contains_one() {
    let admin = || claim("groups", json!(["admin", 3, true, "3"]));
    let cases = [
        (json!({ "groups": "admin" }), Outcome::Yes),
        (json!({ "groups": ["x", "admin"] }), Outcome::Yes),
        (json!({ "groups": [3.0] }), Outcome::Yes),
        (json!({ "groups": 3 }), Outcome::Yes),
        (json!({ "groups": true }), Outcome::Yes),
        (json!({ "groups": "true" }), Outcome::No),
        (json!({ "groups": 1 }), Outcome::No),
        (json!({ "groups": "Admin" }), Outcome::No),
        (json!({ "groups": "admin " }), Outcome::No),
        (json!({ "groups": "admin,x" }), Outcome::No),
        (json!({ "groups": ["administrators"] }), Outcome::No),
        (json!({ "groups": [["admin"]] }), Outcome::No),
        (json!({ "groups": { "admin": true } }), Outcome::No),
        (json!({ "groups": null }), Outcome::No),
        (json!({ "groups": [] }), Outcome::No),
        (json!({}), Outcome::No),
    ];
    for (token, expected) in cases {
        assert_eq!(admin().outcome(&Token(token.clone())), expected, "{token}");
    }
    // Long numbers are not rounded to an accepted one.
    let long = claim("id", json!([9_007_199_254_740_991.0]));
    assert_eq!(long.outcome(&Token(json!({ "id": 9_007_199_254_740_991_u64 }))), Outcome::Yes);
    assert_eq!(long.outcome(&Token(json!({ "id": 9_007_199_254_740_993_u64 }))), Outcome::No);
    // Only scalars can be accepted values.
    assert_eq!(
        claim("groups", json!([null, [], {}])).outcome(&Token(json!({ "groups": [null, [], {}] }))),
        Outcome::No
    );
}

#[test]
fn an_email_condition_matches_only_a_verified_address() {
    let token = |email: &Value, verified: &Value| Token(json!({ "email": email, "email_verified": verified }));
    let conditions = [
        Condition::Email(texts(&["Alice@Example.com"])),
        Condition::Domain(texts(&["EXAMPLE.com"])),
        Condition::EmailMatches(vec![Expression::parse(".*@example\\.com").unwrap()]),
    ];
    for condition in conditions {
        let outcome = |email: Value, verified: Value| condition.outcome(&token(&email, &verified));
        assert_eq!(outcome(json!("alice@example.com"), json!(true)), Outcome::Yes, "{condition:?}");
        assert_eq!(outcome(json!("alice@example.com"), json!("true")), Outcome::Yes, "{condition:?}");
        for (email, verified) in [
            (json!("alice@example.com"), json!(false)),
            (json!("alice@example.com"), json!("false")),
            (json!("alice@example.com"), json!(1)),
            (json!("alice@example.com"), json!(null)),
            (json!("mallory@example.com.evil.example"), json!(true)),
            (json!("mallory@evil.example@example.com"), json!(true)),
            (json!("mallory@evil.example\n@example.com"), json!(true)),
            (json!("alice@sub.example.com"), json!(true)),
            (json!("@example.com"), json!(true)),
            (json!("example.com"), json!(true)),
            (json!("alice@"), json!(true)),
            (json!(["alice@example.com"]), json!(true)),
            (json!(""), json!(true)),
        ] {
            assert_eq!(outcome(email.clone(), verified.clone()), Outcome::No, "{condition:?} {email} {verified}");
        }
        assert_eq!(condition.outcome(&Token(json!({ "email": "alice@example.com" }))), Outcome::No);
    }
}

#[test]
fn a_negated_email_condition_fails_without_a_verified_address() {
    let is_other = Conditions(vec![Condition::Not(Box::new(Condition::Any(vec![
        Condition::Email(vec!["trainee@example.com".to_owned()]),
        claim("groups", json!(["guests"])),
    ])))]);
    for (claims, expected) in [
        (json!({ "email": "alice@example.com", "email_verified": true }), Outcome::Yes),
        (json!({ "email": "trainee@example.com", "email_verified": true }), Outcome::No),
        (json!({ "email": "trainee@example.com", "email_verified": false }), Outcome::No),
        (json!({ "email": "trainee@example.com" }), Outcome::No),
        (json!({}), Outcome::No),
    ] {
        assert_eq!(is_other.outcome(&Token(claims.clone())), expected, "{claims}");
    }
}

#[test]
fn a_left_out_claim_never_fulfils_a_condition() {
    let group = || claim("groups", json!(["admin"]));
    let not = |condition| Condition::Not(Box::new(condition));
    let other = || claim("role", json!(["x"]));
    for overage in [
        json!({ "_claim_names": { "groups": "src1" }, "role": "x" }),
        json!({ "hasgroups": true, "role": "x" }),
        json!({ "hasgroups": "true", "role": "x" }),
    ] {
        let token = Token(overage.clone());
        let cases = [
            (group(), Outcome::LeftOut),
            (not(group()), Outcome::LeftOut),
            (not(not(group())), Outcome::LeftOut),
            (Condition::All(vec![group(), other()]), Outcome::LeftOut),
            (Condition::All(vec![group(), not(other())]), Outcome::No),
            (Condition::Any(vec![group(), other()]), Outcome::Yes),
            (Condition::Any(vec![group(), not(other())]), Outcome::LeftOut),
            (not(Condition::Any(vec![group(), not(other())])), Outcome::LeftOut),
            (claim("/groups/0", json!(["admin"])), Outcome::LeftOut),
            (claim("roles", json!(["admin"])), Outcome::No),
        ];
        for (condition, expected) in cases {
            assert_eq!(condition.outcome(&token), expected, "{condition:?} {overage}");
        }
    }
    // A claim that is present counts.
    let token = Token(json!({ "groups": ["admin"], "hasgroups": true, "_claim_names": { "groups": "src1" } }));
    assert_eq!(group().outcome(&token), Outcome::Yes);
    let token = Token(json!({ "hasgroups": false, "_claim_names": { "other": "src1" } }));
    assert_eq!((group().outcome(&token), not(group()).outcome(&token)), (Outcome::No, Outcome::Yes));
}

#[test]
fn each_claim_lists_all_claims_of_nested_conditions() {
    let conditions = Conditions(vec![Condition::Any(vec![
        Condition::Not(Box::new(claim("/realm_access/roles", json!(["x"])))),
        Condition::Domain(texts(&["example.com"])),
    ])]);
    let mut names = Vec::new();
    conditions.each_claim(&mut |name| names.push(name.to_owned()));
    assert_eq!(names, ["realm_access", "_claim_names", "hasgroups", "email", "email_verified"]);
}
