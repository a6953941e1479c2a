//! A session as it stands in its cookie: a protobuf message, with the claims as JSON, compressed where that makes them
//! shorter.
//!
//! Only claims are compressed, never beside a token: what somebody chose themselves (a display name) must not tell by
//! the length of the whole what a secret next to it looks like (CRIME; RFC 8725, 3.6).

use prost::Message;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::{Grant, Session, handed::AppToken};
use crate::{
    claims::IssuerId,
    jose::json,
    oidc::id_token::Authentication,
    secret::{AccessToken, RawIdToken, RefreshToken},
    time::UnixTime,
};

/// Claims shorter than this are left as they are: a few names do not get shorter.
const WORTH_COMPRESSING: usize = 512;
/// How hard to try, of ten; more costs time and wins a few bytes.
const LEVEL: u8 = 6;
/// The longest claims that are looked at after decompression.
const MAX_CLAIMS: usize = 256 * 1024;

#[derive(Clone, PartialEq, Message)]
struct Sealed {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    provider: Vec<u8>,
    #[prost(string, tag = "3")]
    subject: String,
    #[prost(bytes = "vec", tag = "4")]
    claims: Vec<u8>,
    #[prost(bool, tag = "5")]
    compressed: bool,
    #[prost(uint64, tag = "6")]
    begun: u64,
    #[prost(uint64, tag = "7")]
    ends: u64,
    #[prost(uint64, tag = "8")]
    seen: u64,
    #[prost(bytes = "vec", tag = "9")]
    nonce: Vec<u8>,
    #[prost(uint64, tag = "10")]
    auth_time: u64,
    #[prost(string, tag = "11")]
    sid: String,
    #[prost(string, tag = "12")]
    refresh_token: String,
    #[prost(uint32, tag = "13")]
    generation: u32,
    #[prost(uint64, tag = "14")]
    granted: u64,
    #[prost(uint64, tag = "15")]
    expires: u64,
    #[prost(string, tag = "16")]
    id_token: String,
    #[prost(uint64, tag = "17")]
    id_token_ends: u64,
    #[prost(string, tag = "18")]
    app_token: String,
    #[prost(uint64, tag = "19")]
    app_token_ends: u64,
    #[prost(bytes = "vec", tag = "20")]
    further: Vec<u8>,
    #[prost(bool, tag = "21")]
    further_compressed: bool,
}

/// Writes a session.
pub(super) fn encode(session: &Session) -> Zeroizing<Vec<u8>> {
    let (claims, compressed) = write_claims(&session.claims);
    let (further, further_compressed) = write_claims(&session.further);
    let (grant, app_token) = (session.grant.as_ref(), session.app_token.as_ref());
    let mut sealed = Sealed {
        id: session.id.0.to_vec(),
        provider: session.provider.as_bytes().to_vec(),
        subject: session.subject.clone(),
        claims,
        compressed,
        begun: session.begun.as_secs(),
        ends: session.ends.as_secs(),
        seen: session.seen.as_secs(),
        nonce: session.authentication.nonce.to_vec(),
        auth_time: session.authentication.time.unwrap_or_default(),
        sid: session.authentication.sid.clone().unwrap_or_default(),
        refresh_token: grant.map(|grant| grant.refresh_token.expose().to_owned()).unwrap_or_default(),
        generation: session.generation,
        granted: grant.map(|grant| grant.granted.as_secs()).unwrap_or_default(),
        expires: grant.map(|grant| grant.expires.as_secs()).unwrap_or_default(),
        id_token: session.id_token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default(),
        id_token_ends: session.id_token.as_ref().map(|_| session.id_token_ends.as_secs()).unwrap_or_default(),
        app_token: app_token.map(|kept| kept.token.expose().to_owned()).unwrap_or_default(),
        app_token_ends: app_token.map(|kept| kept.ends.as_secs()).unwrap_or_default(),
        further,
        further_compressed,
    };
    let bytes = Zeroizing::new(sealed.encode_to_vec());
    sealed.refresh_token.zeroize();
    sealed.id_token.zeroize();
    sealed.app_token.zeroize();
    bytes
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Option<Session> {
    let sealed = Sealed::decode(bytes).ok()?;
    let text = |text: String| (!text.is_empty()).then_some(text);
    let (granted, expires) = (UnixTime::from_secs(sealed.granted), UnixTime::from_secs(sealed.expires));
    let grant = text(sealed.refresh_token).map(|token| Grant::from_to(RefreshToken::new(token), granted, expires));
    Some(Session {
        id: super::SessionId(sealed.id.try_into().ok()?),
        provider: IssuerId::read(&sealed.provider)?,
        subject: text(sealed.subject)?,
        claims: read_claims(&sealed.claims, sealed.compressed)?,
        further: read_claims(&sealed.further, sealed.further_compressed)?,
        begun: UnixTime::from_secs(sealed.begun),
        ends: UnixTime::from_secs(sealed.ends),
        seen: UnixTime::from_secs(sealed.seen),
        authentication: Authentication {
            nonce: sealed.nonce.try_into().ok()?,
            time: (sealed.auth_time > 0).then_some(sealed.auth_time),
            sid: text(sealed.sid),
        },
        generation: sealed.generation,
        grant,
        app_token: text(sealed.app_token)
            .map(|token| AppToken { token: AccessToken::new(token), ends: UnixTime::from_secs(sealed.app_token_ends) }),
        id_token: text(sealed.id_token).map(RawIdToken::new),
        id_token_ends: UnixTime::from_secs(sealed.id_token_ends),
    })
}

fn write_claims(claims: &Map<String, Value>) -> (Vec<u8>, bool) {
    if claims.is_empty() {
        return (Vec::new(), false);
    }
    let json = serde_json::to_vec(claims).unwrap_or_default();
    if json.len() < WORTH_COMPRESSING {
        return (json, false);
    }
    let shorter = miniz_oxide::deflate::compress_to_vec(&json, LEVEL);
    if shorter.len() < json.len() { (shorter, true) } else { (json, false) }
}

fn read_claims(bytes: &[u8], compressed: bool) -> Option<Map<String, Value>> {
    if bytes.is_empty() {
        return Some(Map::new());
    }
    if !compressed {
        return json::parse_object(bytes, MAX_CLAIMS).ok();
    }
    let text = miniz_oxide::inflate::decompress_to_vec_with_limit(bytes, MAX_CLAIMS).ok()?;
    json::parse_object(&text, MAX_CLAIMS).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_come_back_compressed_or_not() {
        let groups: Vec<String> = (0..400).map(|group| format!("/departments/engineering/team-{group:03}")).collect();
        for (claims, is_compressed) in [
            (json!({}), false),
            (json!({ "email": "alice@example.com" }), false),
            (json!({ "name": "É👩‍🚀 \u{1}" }), false),
            (json!({ "groups": groups }), true),
        ] {
            let claims = claims.as_object().unwrap().clone();
            let (bytes, compressed) = write_claims(&claims);
            assert_eq!(compressed, is_compressed);
            assert_eq!(read_claims(&bytes, compressed), Some(claims));
        }
    }

    #[test]
    fn a_decompression_bomb_ends_at_the_limit() {
        let bomb = miniz_oxide::deflate::compress_to_vec(format!("[\"{}\"]", "x".repeat(64 << 20)).as_bytes(), 9);
        assert!(bomb.len() < 100_000);
        assert_eq!(read_claims(&bomb, true), None);
    }

    #[test]
    fn what_is_no_session_is_none() {
        for bytes in [&b""[..], b"\x00", b"{\"i\":[1]}", b"\x0a\x02ab", &[0xff; 64]] {
            assert!(decode(bytes).is_none(), "{bytes:?}");
        }
    }
}
