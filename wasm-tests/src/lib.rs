//! The harness of the tests in the real Envoy.
