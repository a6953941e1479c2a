//! The harness of the tests in the real Envoy.

pub mod http1;
pub mod issuer;
pub mod keys;
