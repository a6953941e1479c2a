//! Vestibule: sign-in for any app behind Envoy or Istio, as one WebAssembly filter.
//!
//! A pure core decides each request: it goes upstream with a permit, or is answered. [`filter`](self) performs the decision in
//! Envoy. The core has no clock, no log and no host: time comes in as a value; events and calls go out as values.
//!
//! `envoy/docs/architecture.md` walks a request through the rooms and says how to add to them; `envoy/docs/security.md` has
//! the attacks, and the type and test that stop each.
//!
//! | room | what it is for | may import |
//! | --- | --- | --- |
//! | [`time`] | seconds since the epoch | |
//! | [`cache`] | values that a worker remembers, bounded | |
//! | [`secret`] | values that do not print | |
//! | [`platform`] | what the machine lends: randomness, signature checks, zlib, a shared store | |
//! | [`digest`] | names for what must not be written down itself | |
//! | [`quoted`] | text from outside, as the log may show it | |
//! | [`wire`] | messages of protobuf | |
//! | [`record`] | records of fixed layout, with a version byte | time |
//! | [`http`] | requests, answers and calls as values | quoted |
//! | [`page`] | the one page people see | |
//! | [`claims`] | what is claimed of a caller, and conditions on it | time, digest |
//! | [`jose`] | signed tokens and their keys | time, platform, quoted |
//! | [`oidc`] | the provider's endpoints: one request and its response each | claims, jose, time, secret, platform, digest, quoted, http |
//! | [`provider`] | what differs from one provider to the next | claims, jose, oidc, time, secret, platform, digest, http |
//! | [`session`] | what the browser carries, sealed | claims, jose, oidc, provider, time, secret, platform, digest, wire, record, cache, http |
//! | [`shared`] | what all workers of an Envoy process share | time, digest, platform, record, http, session |
//! | [`rules`] | who gets what, by path | claims, http |
//! | [`config`] | a document in, typed settings out | all of the above |
//! | [`flow`] | the sequence: the one room that knows the order of things | all of the above |
//! | `filter` | performs steps in Envoy; decides nothing | all of the above |

pub mod cache;
pub mod claims;
pub mod config;
pub mod digest;
pub mod flow;
pub mod http;
pub mod jose;
pub mod oidc;
pub mod page;
pub mod platform;
pub mod provider;
pub mod quoted;
pub mod record;
pub mod rules;
pub mod secret;
pub mod session;
pub mod shared;
pub mod time;
pub mod wire;

#[cfg(test)]
mod docs;
#[cfg(target_family = "wasm")]
mod filter;
#[cfg(test)]
mod rooms;
