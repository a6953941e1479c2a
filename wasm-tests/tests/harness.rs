//! The harness itself: before a test of the filter may fail, Envoy and the provider must do what they are told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use wasm_tests::envoy::{Envoy, Setup};
use wasm_tests::process::until;

/// An app that answers every request with one word.
fn app() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    port
}

#[test]
fn envoy_starts_serves_counts_logs_and_stops() {
    let envoy = Envoy::start(Setup::new(app()));
    let url = format!("http://127.0.0.1:{}/page?q", envoy.port());
    let answer = minreq::get(&url).send().expect("an answer");
    assert_eq!((answer.status_code, answer.as_str().expect("text")), (200, "hello"));
    assert_eq!(envoy.stats("http.front.downstream_rq_completed"), 1);
    assert_eq!(envoy.stats("no.such.counter"), 0);
    let line = until("access log", || envoy.access_log().lines().next().map(str::to_owned));
    assert_eq!(line, "GET /page?q 200 via_upstream -");
    assert!(envoy.log().contains("starting main dispatch loop"), "{}", envoy.log());

    let port = envoy.port();
    envoy.stop();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the listener outlived Envoy");
}

#[test]
fn envoy_validates_a_setup_without_starting_it() {
    let (accepted, said) = Envoy::validate(&Setup::new(1));
    assert!(accepted, "{said}");

    let refused = Setup::new(1).connection_manager("no_such_field", json!(true));
    let (accepted, said) = Envoy::validate(&refused);
    assert!(!accepted && said.contains("no_such_field"), "{said}");
}
