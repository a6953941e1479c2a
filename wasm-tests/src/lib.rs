//! The harness of the tests in the real Envoy: the tools it needs, the processes it runs, what it asks them.

pub mod chromium;
pub mod envoy;
pub mod ports;
pub mod process;
pub mod provider;
pub mod tools;
