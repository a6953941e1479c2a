//! The harness of the tests in the real Envoy: the tools it needs, the processes it runs, what it asks them; and the
//! three parties around the filter, each of which misbehaves on request.

pub mod api_client;
pub mod chromium;
pub mod clock;
pub mod dex;
pub mod emulated;
pub mod envoy;
pub mod github;
pub mod glewlwyd;
pub mod html;
pub mod http1;
pub mod http2;
pub mod issuer;
pub mod keycloak;
pub mod keys;
pub mod logout;
pub mod machine;
pub mod matrix;
pub mod oauth2_server;
pub mod ports;
pub mod process;
pub mod provider;
pub mod python_provider;
pub mod renewal;
pub mod sample;
pub mod site;
pub mod statistics;
pub mod store;
pub mod table;
pub mod token_issuer;
pub mod tools;
pub mod two_providers;
pub mod upstream;
pub mod usage;
pub mod user_agent;
pub mod world;
