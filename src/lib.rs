//! Vestibule: sign-in for any app behind Envoy or Istio, as one WebAssembly filter.
//!
//! A pure core decides each request: it goes upstream with a permit, or is answered. [`filter`](self) performs the decision in
//! Envoy. The core has no clock, no log and no host: time comes in as a value, which `flow` asks the platform for; events and
//! calls go out as values.
//!
//! `envoy/docs/architecture.md` walks a request through the rooms and says how to add to them; `envoy/docs/security.md` has
//! the attacks, and the type and test that stop each.
//!
//! | room | purpose | may import |
//! | --- | --- | --- |
//! | [`time`] | seconds since the epoch | |
//! | [`cache`] | bounded cache of a worker | |
//! | [`secret`] | secrets, which do not print | |
//! | [`platform`] | services of the host: the clock, randomness, signature checks, zlib, a shared store | time |
//! | [`digest`] | digests that stand in for secret or long values | |
//! | [`quoted`] | untrusted text for the log | |
//! | [`wire`] | protobuf messages | |
//! | [`record`] | records of fixed layout, with a version byte | time |
//! | [`http`] | requests, replies and callouts as values | quoted |
//! | [`origin`] | the origins at which browsers reach the app | http |
//! | [`page`] | the HTML page of local replies | |
//! | [`claims`] | claims of a caller, and conditions on them | time, digest |
//! | [`jose`] | signed tokens and their keys | time, platform, quoted |
//! | [`oidc`] | the provider's endpoints: one request and its response each | claims, jose, time, secret, platform, digest, quoted, http |
//! | [`provisioning`] | asks the app about a user: one request and its response | claims, jose, oidc, secret, quoted, http |
//! | [`provider`] | one enum for all kinds of providers: OpenID Connect, OAuth 2.0 alone, GitHub | claims, jose, oidc, provisioning, page, time, secret, platform, digest, http |
//! | [`session`] | sessions and pending sign-ins in sealed cookies, and the session store | claims, jose, oidc, provisioning, provider, time, secret, platform, digest, wire, record, cache, http, origin |
//! | [`shared`] | state shared by all workers of an Envoy process | time, digest, platform, record, http, session |
//! | [`rules`] | access rules by method, host, path and headers | claims, oidc, time, http |
//! | [`config`] | parses a document into typed settings | all of the above |
//! | [`flow`] | the order of all steps of a request | all of the above |
//! | `filter` | performs steps in Envoy; decides nothing | all of the above |

pub mod cache;
pub mod claims;
pub mod config;
pub mod digest;
pub mod flow;
pub mod http;
pub mod jose;
pub mod oidc;
pub mod origin;
pub mod page;
pub mod platform;
pub mod provider;
pub mod provisioning;
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
