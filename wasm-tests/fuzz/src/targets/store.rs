//! Answers of the session store (Webdis). `$S` in the input is replaced by the saved session.

use std::time::Duration;

use serde_json::Value;
use vestibule::{
    http::CalloutResponse,
    session::store::{Reference, Store},
};

use crate::fixture::{Host, check_line, config, object, response, session};

pub(crate) fn run(bytes: &[u8]) {
    let (config, host, session) = (config(), Host::default(), session());
    let (sealer, store) = (&config.session.sealer, config.session.store.as_ref().expect("the fixture has one"));
    let saved = store.save(session, Duration::from_secs(60), sealer, &host).expect("it is small").body;
    let answer = response(bytes);
    let body = replaced(&answer.body, &saved);
    let answer = || Ok(CalloutResponse::new(answer.status, body.clone()));

    match Store::load_answer(answer(), &Reference::of(session), sealer, &host) {
        Err(error) => check_line(&error),
        Ok(None) => {}
        Ok(Some(loaded)) => {
            assert_eq!(loaded.digest(), session.digest());
            let values = object(&body).expect("it is an object")["MGET"].clone();
            // The session is the saved one, and no end is recorded.
            assert!(
                values[0].as_str().is_some_and(|text| text.split_once(':').map(|(_, sealed)| sealed) == sealed(&saved))
            );
            assert_eq!(values[1], Value::Null);
        }
    }
    let errors = [
        Store::last_ends_answer(answer()).err(),
        Store::update_answer(answer()).err(),
        Store::end_answer(answer()).err(),
        Store::save_answer(answer()).err(),
        Store::delete_answer(answer()).err(),
        Store::lease_answer(answer()).err(),
    ];
    errors.iter().flatten().for_each(|error| check_line(error));
}

fn sealed(saved: &[u8]) -> Option<&str> {
    std::str::from_utf8(saved).ok()?.split_once(':').map(|(_, sealed)| sealed)
}

fn replaced(body: &[u8], saved: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while let Some(place) = rest.windows(2).position(|two| two == b"$S") {
        out.extend_from_slice(&rest[..place]);
        out.extend_from_slice(saved);
        rest = &rest[place + 2..];
    }
    out.extend_from_slice(rest);
    out
}
