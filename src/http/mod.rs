//! HTTP as values: requests, edits, local replies and callouts. Header values are bytes, because Envoy allows every
//! byte from 0x80 up.

pub mod trace_context;

mod callout;
mod edits;
mod header_names;
mod request;
mod unreachable;
mod url;

pub use self::url::{parameter, parse_url};
pub use callout::{CalloutError, CalloutRequest, CalloutResponse, Cluster, DPOP, MAX_CALLOUT_BODY};
pub use edits::{Edits, HeaderEdit, IdentityEdits};
pub use header_names::{HeaderNames, folded};
pub use request::{Request, RouteMetadata};
pub use unreachable::{Unreachable, describe_status};

/// A local reply; the request does not go upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// The status code.
    pub status: u16,
    /// The stable code, in the response-code details and a response header.
    pub code: &'static str,
    /// Headers; a name may repeat (`Set-Cookie`).
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}
