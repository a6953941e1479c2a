//! Vestibule: sign-in for any app behind Envoy or Istio, as one WebAssembly filter.

pub mod config;
pub mod flow;
pub mod http;
pub mod jose;
pub mod oidc;
pub mod page;
pub mod platform;
pub mod rules;
pub mod secret;
pub mod session;
pub mod time;

#[cfg(target_family = "wasm")]
mod filter;
