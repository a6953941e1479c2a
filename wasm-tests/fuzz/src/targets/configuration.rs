//! The configuration, as JSON text or as a serialized `google.protobuf.Struct`.

use vestibule::{config::Config, flow::Worker};

use crate::fixture::{Host, request};

pub(crate) fn run(bytes: &[u8]) {
    let env = |name: &str| (!name.contains("UNSET")).then(|| "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned());
    let config = match Config::parse(bytes, &env) {
        Ok(config) => config,
        Err(errors) => {
            // A refusal has a reason.
            assert!(!errors.to_string().is_empty());
            return;
        }
    };
    assert!(!config.providers.is_empty() && config.prefix.starts_with('/'));
    for origin in config.origins.all() {
        for provider in &config.providers {
            let redirect_uri =
                url::Url::parse(&config.redirect_uri(origin, provider)).expect("a redirect_uri is a URL");
            assert_eq!(redirect_uri.origin().ascii_serialization(), origin.as_str());
        }
    }
    // Workers find their shared data by the fingerprint.
    let again = Config::parse(bytes, &env).expect("what was good stays good");
    assert_eq!(config.fingerprint, again.fingerprint);
    for target in ["/", "/public/a", "/a%2fb", "//a", "/oauth2/callback?x=y", "*", ""] {
        // No request panics, for any rules.
        let _ = config.rules.evaluate(request(target.as_bytes()), &|| None);
    }
    let worker = Worker::new(config, Box::new(Host::default()));
    let _ = worker.start(request(b"/"));
}
