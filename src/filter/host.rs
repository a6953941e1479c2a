//! The only file that calls the host. The SDK's text getters die on a byte that is not UTF-8, and most of its
//! convenience methods on a status they did not expect: only byte getters are used, each map only in its own phase.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use proxy_wasm::{
    hostcalls,
    types::{BufferType, LogLevel, MapType, MetricType, Status},
};
use vestibule_abi::HeaderMap;

use crate::{
    http::{
        CalloutError, CalloutRequest, CalloutResponse, HeaderEdit, LocalReply, MAX_CALLOUT_BODY, Request, RouteMetadata,
    },
    platform::{Conflict, HashFunction, NoRandomness, Platform, SharedValue, SignError, parse_address},
    quoted::Quoted,
    time::UnixTime,
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

/// The host as the core's platform.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host;

impl Platform for Host {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(now().as_secs())
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }

    fn verify_signature(&self, hash: HashFunction, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        // Envoy's `VerifySignatureArguments`; of its `VerifySignatureResult`, the first field.
        let arguments = wire::write(&[Bytes(hash.name().as_bytes()), Bytes(spki), Bytes(signature), Bytes(text)]);
        match hostcalls::call_foreign_function("verify_signature", Some(&arguments)) {
            Ok(answer) => {
                let result = wire::read(&answer.unwrap_or_default()).and_then(|[result]| result.number());
                Some(result.is_some_and(|result| result != 0))
            }
            Err(Status::NotFound) => None,
            Err(_) => Some(false),
        }
    }

    fn sign(&self, hash: HashFunction, pkcs8: &[u8], text: &[u8]) -> Result<Vec<u8>, SignError> {
        // Envoy's `SignArguments`; of its `SignResult`, the first two fields.
        let arguments = wire::write(&[Bytes(hash.name().as_bytes()), Bytes(pkcs8), Bytes(text)]);
        let answer = hostcalls::call_foreign_function("sign", Some(&arguments)).map_err(|status| match status {
            Status::NotFound => SignError::NotOffered,
            _ => SignError::Refused,
        })?;
        let answer = answer.unwrap_or_default();
        let [result, signature] = wire::read(&answer).ok_or(SignError::Refused)?;
        match (result.number(), signature.bytes()) {
            (Some(1..), Some(signature)) if !signature.is_empty() => Ok(signature.to_vec()),
            _ => Err(SignError::Refused),
        }
    }

    fn compress(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        hostcalls::call_foreign_function("compress", Some(bytes)).ok().flatten()
    }

    fn decompress(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        hostcalls::call_foreign_function("uncompress", Some(bytes)).ok().flatten()
    }

    fn shared_get(&self, key: &str) -> SharedValue {
        match hostcalls::get_shared_data(key) {
            Ok((bytes, version)) => SharedValue { bytes: bytes.unwrap_or_default(), version },
            Err(_) => SharedValue { bytes: Vec::new(), version: None },
        }
    }

    fn route_name(&self) -> Option<String> {
        let name = hostcalls::get_property(vec!["xds", "route_name"]).ok().flatten();
        name.map(|name| String::from_utf8_lossy(&name).into_owned())
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name).ok().flatten()
    }

    fn client_address(&self) -> Option<IpAddr> {
        let address = hostcalls::get_property(vec!["source", "address"]).ok().flatten().unwrap_or_default();
        parse_address(&String::from_utf8_lossy(&address))
    }

    fn shared_set(&self, key: &str, bytes: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        hostcalls::set_shared_data(key, Some(bytes), version).map_err(|_| Conflict)
    }
}

/// The host's clock: the time since the Unix epoch.
pub(super) fn now() -> Duration {
    let now = hostcalls::get_current_time().unwrap_or(SystemTime::UNIX_EPOCH);
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn configuration(size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default()
}

/// The headers, or the trailers, of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Headers,
    Trailers,
}

impl Part {
    const fn map(self) -> MapType {
        match self {
            Self::Headers => MapType::HttpRequestHeaders,
            Self::Trailers => MapType::HttpRequestTrailers,
        }
    }
}

/// The part, whole: one call costs less than three single ones, and none dies on odd bytes. `None` where it cannot be
/// read.
pub(super) fn request(part: Part) -> Option<Request> {
    Request::from_pairs(vestibule_abi::header_pairs(match part {
        Part::Headers => HeaderMap::Request,
        Part::Trailers => HeaderMap::RequestTrailers,
    }))
}

/// The metadata of the request's route. It is read whole: for `policy` alone, the host gives the same answer whether it is
/// empty or absent.
pub(super) fn route_metadata() -> RouteMetadata {
    match hostcalls::get_property(vec!["xds", "route_metadata", "filter_metadata", "vestibule"]) {
        Ok(None) => RouteMetadata::Absent,
        Ok(Some(members)) => {
            Request::from_pairs(members).map_or(RouteMetadata::Unreadable, |members| RouteMetadata::read(&members))
        }
        Err(_) => RouteMetadata::Unreadable,
    }
}

/// Changes this part of the request; possible only until it is resumed. `false` when the host refused one, and the
/// request must then not pass.
#[must_use]
pub(super) fn edit_request<'a>(part: Part, mut edits: impl Iterator<Item = &'a HeaderEdit>) -> bool {
    let map = part.map();
    edits.all(|edit| {
        match edit {
            HeaderEdit::Add(name, value) => hostcalls::add_map_value_bytes(map, name, value),
            HeaderEdit::Remove(name) => hostcalls::set_map_value_bytes(map, name, None),
            HeaderEdit::Set(name, value) => hostcalls::set_map_value_bytes(map, name, Some(value)),
        }
        .is_ok()
    })
}

pub(super) fn resume() {
    // Envoy knows no failure here; and a request that stays paused has not passed.
    let _ = hostcalls::resume_http_request();
}

/// The body of the request, as much as there is of it by now.
pub(super) fn request_body(size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::HttpRequestBody, 0, size).ok().flatten().unwrap_or_default()
}

/// Response headers beside `cache-control` that let a cache store; removed when cookies are set.
const CACHED_BY: [&str; 3] = ["cdn-cache-control", "expires", "surrogate-control"];

/// Sets cookies with the app's answer, beside its own. No cache may keep it, for it would give them to others.
pub(super) fn add_cookies(cookies: &[String]) {
    let map = MapType::HttpResponseHeaders;
    // The host refuses nothing here; were a cookie lost, the next answer brings it.
    for cookie in cookies {
        let _ = hostcalls::add_map_value_bytes(map, "set-cookie", cookie.as_bytes());
    }
    for name in CACHED_BY {
        let _ = hostcalls::set_map_value_bytes(map, name, None);
    }
    let _ = hostcalls::set_map_value_bytes(map, "cache-control", Some(b"private, no-store"));
}

pub(super) fn reply(reply: &LocalReply) {
    let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    if vestibule_abi::send_local_response(reply.status, reply.code, &headers, &reply.body).is_err() {
        log(LogLevel::Error, "the host did not take a reply; the request stays where it is");
    }
}

pub(super) fn dispatch(request: &CalloutRequest) -> Result<u32, CalloutError> {
    let headers = request.all_headers().collect();
    let body = (!request.body.is_empty()).then_some(request.body.as_slice());
    hostcalls::dispatch_http_call(request.cluster.as_str(), headers, body, Vec::new(), request.timeout).map_err(
        |status| match status {
            Status::BadArgument => CalloutError::NoCluster(Quoted::new(request.cluster.as_str())),
            _ => CalloutError::Dispatch,
        },
    )
}

/// The result of this call. No headers means no response: asking for them would end the VM.
pub(super) fn response(
    request: &CalloutRequest,
    num_headers: usize,
    body_size: usize,
) -> Result<CalloutResponse, CalloutError> {
    if num_headers == 0 {
        return Err(CalloutError::NoResponse);
    }
    if body_size > MAX_CALLOUT_BODY {
        return Err(CalloutError::TooLarge);
    }
    let header = |name: &str| hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name).ok().flatten();
    let status = header(":status").and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
    let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size).ok().flatten();
    let status = status.ok_or(CalloutError::NoResponse)?;
    CalloutResponse::received(request, status, header, body.unwrap_or_default())
}

/// Acts for this context from here on; `false` when it is gone.
#[must_use]
pub(super) fn act_for(context_id: u32) -> bool {
    hostcalls::set_effective_context(context_id).is_ok()
}

pub(super) fn tick_every(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// The key of the credentials that outlive an internal redirect: each filter of a chain has its own.
pub(super) fn credentials_key(fingerprint: &str) -> String {
    format!("vestibule_credentials_{fingerprint}")
}

/// Has Envoy keep credentials under this key for all passes of a request; `false` where it cannot.
#[must_use]
pub(super) fn declare_credentials(key: &str) -> bool {
    /// `LifeSpan.DownstreamRequest`; the fields between stand for bytes that may be replaced.
    const REQUEST: u64 = 1;
    let arguments = wire::write(&[Bytes(key.as_bytes()), Number(0), Number(0), Bytes(b""), Number(REQUEST)]);
    hostcalls::call_foreign_function("declare_property", Some(&arguments)).is_ok()
}

pub(super) fn keep_credentials(key: &str, credentials: &[u8]) {
    let _ = vestibule_abi::set_property(key, credentials);
}

/// The credentials that an earlier pass of this request kept.
pub(super) fn kept_credentials(key: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec![key]).ok().flatten()
}

/// Sets filter state for Envoy's other filters and logs, which find the key behind `wasm.`; nothing where there is no request.
pub(super) fn set_state(key: &str, value: &str) {
    let _ = vestibule_abi::set_property(key, value.as_bytes());
}

pub(super) fn log(level: LogLevel, line: &str) {
    let _ = hostcalls::log(level, line);
}

pub(super) fn define(kind: MetricType, name: &str) -> Option<u32> {
    hostcalls::define_metric(kind, name).ok()
}

pub(super) fn count(metric: u32, by: i64) {
    let _ = hostcalls::increment_metric(metric, by);
}

pub(super) fn record(metric: u32, value: u64) {
    let _ = hostcalls::record_metric(metric, value);
}
