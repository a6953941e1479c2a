use serde_json::json;

use super::*;
use crate::platform::testing::TestPlatform;

#[test]
fn claims_round_trip_with_and_without_compression() {
    let groups: Vec<String> = (0..400).map(|group| format!("/departments/engineering/team-{group:03}")).collect();
    for (claims, is_compressed) in [
        (json!({}), false),
        (json!({ "email": "alice@example.com" }), false),
        (json!({ "name": "É👩‍🚀 \u{1}" }), false),
        (json!({ "groups": groups }), true),
    ] {
        let claims = claims.as_object().unwrap().clone();
        let (bytes, compressed) = write_claims(&claims, &TestPlatform::default());
        assert_eq!(compressed, is_compressed);
        assert_eq!(read_claims(&bytes, compressed, &TestPlatform::default()), Some(claims));
    }
}

#[test]
fn claims_stay_uncompressed_without_zlib() {
    let claims = json!({ "groups": vec!["a"; 400] }).as_object().unwrap().clone();
    let machine = TestPlatform::default();
    machine.without_zlib.set(true);
    let (bytes, compressed) = write_claims(&claims, &machine);
    assert!(!compressed);
    assert_eq!(read_claims(&bytes, compressed, &machine), Some(claims));
    assert_eq!(read_claims(&bytes, true, &machine), None);
}

#[test]
fn malformed_bytes_are_no_session() {
    for bytes in [&b""[..], b"\x00", b"{\"i\":[1]}", b"\x0a\x02ab", &[0xff; 64]] {
        assert!(decode(bytes, &TestPlatform::default()).is_none(), "{bytes:?}");
    }
}

#[test]
fn the_claims_of_the_app_round_trip() {
    let session = crate::session::tests::session_of_app(json!({ "plan": "pro", "seats": vec!["seat"; 200] }));
    let again = decode(&encode(&session, &TestPlatform::default()), &TestPlatform::default()).unwrap();
    assert_eq!(again.app_claims, session.app_claims);
    assert_eq!(again.app_claims["attributes"]["plan"], "pro");
}
