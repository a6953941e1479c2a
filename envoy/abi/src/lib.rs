//! `proxy_send_local_response` with response-code details, which proxy-wasm 0.2.5 always leaves empty.
//!
//! It is a crate of its own so that the filter itself can forbid `unsafe`: this file is all there is to review.
#![cfg(target_family = "wasm")]

use std::ffi::c_int;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: c_int,
    ) -> u32;
}

/// The host refused the reply; the number is the ABI's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub u32);

/// Answers the request of the current context: status, response-code details (for `%RESPONSE_CODE_DETAILS%`),
/// headers and body. Nothing is sent to the app.
///
/// # Errors
/// [`Refused`] when the host does not take the reply, for example because one was already sent.
pub fn send_local_response(status: u16, details: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Result<(), Refused> {
    let headers = serialize(headers);
    // SAFETY: each pointer and length pair describes a live slice; the host only reads them during the call, and
    // checks them against the bounds of this module's memory. -1 says "no gRPC status": Envoy maps the HTTP one.
    let outcome = unsafe {
        proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(Refused(outcome)) }
}

/// The ABI's form of a header map: count, then the lengths of each pair, then each name and value, NUL-terminated.
fn serialize(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = Vec::new();
    out.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (name, value) in headers {
        out.extend_from_slice(&length(name.as_bytes()));
        out.extend_from_slice(&length(value));
    }
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            out.extend_from_slice(part);
            out.push(0);
        }
    }
    out
}
