//! What the browser carries: sealed cookies, and nothing it could read or change.

pub mod cookie;
pub mod return_to;
pub mod seal;
