//! What people read: on a wide screen, in the dark, on a phone, and without a mouse.

use std::{env, path::PathBuf};

use serde_json::{Value, json};
use wasm_tests::{
    chromium::{screenshots, screenshots_behind},
    http1::{Outcome, Server, response},
    issuer::Issuer,
    process::Scratch,
    world::World,
};

/// WCAG 2.2, 1.4.3, for text of any size.
const CONTRAST: f64 = 4.5;

fn assert_readable(seen: &Value, title: &str, code: &str, control: (&str, &str)) {
    for look in ["light", "dark", "phone"] {
        let page = &seen[look];
        assert_eq!(page["title"], title, "{look}: {page:#}");
        assert!(page["text"].as_str().is_some_and(|text| text.contains(code)), "{look}: {page:#}");
        assert_eq!(page["complaints"], json!([]), "{look}: {page:#}");
        assert_eq!(page["scrolls_sideways"], false, "{look}: {page:#}");
        assert_eq!((&page["focus"]["tag"], &page["focus"]["text"]), (&json!(control.0), &json!(control.1)), "{look}");
        assert_eq!(page["focus"]["outline"], "solid", "{look}: nobody sees where the focus is");
        let texts = page["texts"].as_array().expect("texts");
        assert!(texts.len() >= 4, "{look}: {page:#}");
        for text in texts {
            assert!(text["contrast"].as_f64().is_some_and(|contrast| contrast >= CONTRAST), "{look}: {text}");
        }
    }
    // The style sheet was taken, and knows the dark.
    for property in ["background", "color"] {
        assert_ne!(seen["light"][property], seen["dark"][property], "{property}");
    }
}

#[test]
fn our_pages_are_readable_for_everybody() {
    // On this machine only, or kept where somebody wants to look at them.
    let scratch = Scratch::new("pictures");
    let folder =
        |name: &str| env::var_os("VESTIBULE_PICTURES").map_or(scratch.file(name), |at| PathBuf::from(at).join(name));
    // On http only a host name that stays on this machine keeps the browser from leaving Sec-Fetch-Site out.
    let world = World::around(Issuer::start(), |setup| {
        setup.configuration["external_url"] = json!(setup.external_url());
        setup.configuration["sign_out"] = json!({"at_provider": false});
    });
    let url = |path: &str| format!("http://app.localhost:{}{path}", world.envoy.port());

    let error = screenshots(&url("/oauth2/callback"), None, &folder("error"));
    assert_readable(&error, "The sign-in did not work", "callback_malformed", ("A", "Try again"));

    let signed_out = screenshots(&url("/oauth2/sign_out"), None, &folder("signed_out"));
    assert_readable(&signed_out, "You are signed out", "signed_out", ("A", "Sign in again"));

    let link = format!("<!doctype html><title>Elsewhere</title><a href='{}'>sign out</a>", url("/oauth2/sign_out"));
    let server = Server::start(0, move |_, connection| {
        let sent = connection.send(&response(200, &[("content-type", "text/html")], link.as_bytes()));
        if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
    });
    let elsewhere = format!("http://other.localhost:{}/", server.address().port());
    let confirmation = screenshots_behind(&elsewhere, &folder("sign_out_confirmation"));
    assert_readable(&confirmation, "Sign out?", "sign_out_confirm", ("BUTTON", "Sign out"));
}
