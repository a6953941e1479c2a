//! A key set (RFC 7517, 5).

use serde_json::Value;
use vestibule::jose::jwks::{Jwks, MAX_JWKS};

use crate::fixture::{check_line, object};

/// Members of a private or symmetric key (RFC 7518, 6).
const PRIVATE: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

pub(crate) fn run(bytes: &[u8]) {
    let set = match Jwks::parse(bytes) {
        Ok(set) => set,
        Err(error) => return check_line(&error),
    };
    assert!(bytes.len() <= MAX_JWKS);
    set.left_out().for_each(|key| check_line(key));
    let document = object(bytes).expect("it is an object");
    let keys = document["keys"].as_array().expect("it has keys");
    let is_private = |key: &Value| PRIVATE.iter().any(|name| key.get(name).is_some_and(|it| !it.is_null() && it != ""));
    // A private or symmetric key, with which anyone can sign, is left out.
    assert!(keys.iter().any(|key| !is_private(key)));
}
