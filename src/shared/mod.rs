//! Values that all workers of an Envoy process share, in its store. Nothing here knows of requests.
//!
//! Envoy keeps the store for as long as the process lives, also when the module is replaced by another version.

pub mod denylist;
pub mod document;
pub mod lease;
pub mod renewals;
