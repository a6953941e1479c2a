//! Values that all workers of an Envoy process share, in its store: who fetches a document, the document, what was ended
//! or used up, what became of renewals. Nothing here knows of requests.
//!
//! Envoy keeps the store as long as the process lives, also when another version of the module replaces this one. A
//! record of another version counts as absent. That is safe for leases, documents and renewals: they are made again. It is
//! not safe for the denylist, see there.

pub mod denylist;
pub mod document;
pub mod lease;
pub mod renewals;

mod sealed;
