//! The store: before a scenario keeps a session in it, Redis and Webdis must do what they are told.

use wasm_tests::{envoy::get, store::Store};

#[test]
fn redis_answers_over_http_and_can_be_lost_and_found() {
    let mut store = Store::start();
    let ask = |store: &Store, path: &str| get(store.port(), path).expect("an answer");
    assert_eq!(ask(&store, "/SET/one/1/EX/60"), (200, r#"{"SET":[true,"OK"]}"#.to_owned()));
    assert_eq!(ask(&store, "/GET/one"), (200, r#"{"GET":"1"}"#.to_owned()));
    assert_eq!(ask(&store, "/GET/other"), (200, r#"{"GET":null}"#.to_owned()));
    store.put("two", "a.b/c \r\n\u{fc}");
    assert_eq!((store.keys(), store.count()), (vec!["one".to_owned(), "two".to_owned()], 2));
    assert_eq!((store.value("two").as_deref(), store.value("other")), (Some("a.b/c \r\n\u{fc}"), None));
    assert!(store.seconds_left("one").is_some_and(|seconds| (1..=60).contains(&seconds)));
    assert_eq!(store.seconds_left("two"), None);

    // Without Redis there is an answer all the same; without Webdis there is none.
    store.save();
    store.stop_redis();
    assert_eq!(ask(&store, "/GET/one").0, 503);
    store.start_redis();
    wasm_tests::process::until("Webdis that has found Redis", || (ask(&store, "/GET/one").0 == 200).then_some(()));
    assert_eq!(store.count(), 2);
    store.stop_webdis();
    assert_eq!(get(store.port(), "/GET/one"), None);
    store.start_webdis();
    assert_eq!(ask(&store, "/GET/one").0, 200);

    store.flush();
    assert_eq!(store.count(), 0);
}
