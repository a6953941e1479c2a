//! Three calls of the proxy-wasm ABI that the SDK (proxy-wasm 0.2.5) offers in a form that does not serve:
//! `proxy_send_local_response`, whose response-code details it always leaves empty, `proxy_get_header_map_pairs`, of
//! which it makes two allocations for each header, and `proxy_set_property`, for which it ends the VM where there is no request.
//!
//! And libc's allocator ([`allocator`]).
//!
//! It is a crate of its own so that the filter itself can forbid `unsafe`: its two files are all there is to review.
#![cfg(target_family = "wasm")]

mod allocator;

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

    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;

    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
}

/// Which headers: the numbers are the ABI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderMap {
    /// Those of the request.
    Request = 0,
    /// Its trailers.
    RequestTrailers = 1,
}

/// All pairs of a header map, as the host lays them out: their number, the lengths of name and value of each, then
/// each name and value with a NUL behind. Empty where there is no such map.
pub fn header_pairs(map: HeaderMap) -> Vec<u8> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: both pointers are to live variables that the host writes once, before it returns.
    let outcome = unsafe { proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) };
    if outcome != 0 || data.is_null() {
        return Vec::new();
    }
    // SAFETY: on success the host hands over `size` bytes that it has filled, in memory that it took from this module's
    // own `proxy_on_memory_allocate`, which makes a `Vec<u8>` of exactly that capacity and forgets it.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

/// The host refused the call; the number is the ABI's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub u32);

/// Sets a property of one segment for the request of the current context.
///
/// # Errors
/// [`Refused`] where there is no request.
pub fn set_property(name: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: each pointer and length pair describes a live slice; the host only reads them during the call.
    let outcome = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    if outcome == 0 { Ok(()) } else { Err(Refused(outcome)) }
}

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
