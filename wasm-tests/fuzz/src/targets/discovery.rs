//! Provider metadata (Discovery 4.2), and the metadata of a token issuer with introspection.

use vestibule::oidc::discovery::endpoint_of;

use crate::fixture::{ISSUER, check_line, config, object, provider};

pub(crate) fn run(bytes: &[u8]) {
    match provider().read_metadata(bytes) {
        Err(error) => check_line(&error),
        Ok(metadata) => {
            // The issuer is the configured one (Discovery 4.3), and no endpoint receives secrets in plain text.
            assert_eq!(object(bytes).expect("it is an object")["issuer"], ISSUER);
            let required = [&metadata.authorization_endpoint, &metadata.token_endpoint];
            let optional = [
                &metadata.jwks_uri,
                &metadata.end_session_endpoint,
                &metadata.revocation_endpoint,
                &metadata.userinfo_endpoint,
            ];
            for endpoint in required.into_iter().chain(optional.into_iter().flatten()) {
                let url = endpoint.url();
                assert!(url.scheme() == "https" && url.fragment().is_none() && url.username().is_empty());
                assert!(endpoint.path_and_query().starts_with('/') && !endpoint.authority().is_empty());
            }
            metadata.left_out.iter().for_each(|endpoint| check_line(endpoint));
        }
    }
    for issuer in &config().token_issuers {
        match endpoint_of(issuer, bytes) {
            Err(error) => check_line(&error),
            Ok(endpoint) => assert_eq!(endpoint.url().scheme(), "https"),
        }
    }
}
