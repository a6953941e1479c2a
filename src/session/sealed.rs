//! The encoding of a session: a protobuf message, with the claims as JSON, compressed if that is shorter.
//!
//! Only claims are compressed, never together with a token: the length of text that an attacker chooses (a display
//! name) must not reveal a secret next to it (CRIME; RFC 8725, 3.6).

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{EarlierEnds, Grant, Session, absent::Absent, app_tokens::AppToken};
use crate::{
    claims::IssuerId,
    jose::json,
    oidc::id_token::Authentication,
    origin::SiteId,
    platform::Platform,
    secret::{AccessToken, RawIdToken, RefreshToken},
    time::UnixTime,
    wire::{
        self, Field,
        Value::{Bytes, Number},
    },
};

/// Shorter claims, in bytes, are not compressed.
const WORTH_COMPRESSING: usize = 512;
/// The longest accepted claims after decompression, in bytes.
const MAX_CLAIMS: usize = 256 * 1024;

pub(super) fn encode(session: &Session, platform: &dyn Platform) -> Zeroizing<Vec<u8>> {
    let (claims, compressed) = write_claims(&session.claims, platform);
    let (userinfo_claims, userinfo_compressed) = write_claims(&session.userinfo_claims, platform);
    let (app_claims, app_compressed) = write_claims(&session.app_claims, platform);
    let (grant, app_token) = (session.grant.as_ref(), session.app_token.as_ref());
    let absent: Vec<_> = session.absent.names.iter().map(String::as_bytes).collect();
    let absent = wire::write_list(&absent);
    let at = |time: UnixTime| Number(time.as_secs());
    wire::write(&[
        Bytes(&session.id.0),
        Bytes(session.provider.as_bytes()),
        Bytes(session.subject.as_bytes()),
        Bytes(&claims),
        Number(compressed.into()),
        at(session.begun),
        at(session.ends),
        at(session.seen),
        Bytes(&session.authentication.nonce),
        Number(session.authentication.time.unwrap_or_default()),
        Bytes(session.authentication.sid.as_deref().unwrap_or_default().as_bytes()),
        Bytes(grant.map(|grant| grant.refresh_token.expose()).unwrap_or_default().as_bytes()),
        Number(session.generation.into()),
        Number(grant.map(|grant| grant.granted.as_secs()).unwrap_or_default()),
        Number(grant.map(|grant| grant.expires.as_secs()).unwrap_or_default()),
        Bytes(session.id_token.as_ref().map(RawIdToken::expose).unwrap_or_default().as_bytes()),
        at(session.id_token.as_ref().map(|_| session.id_token_ends).unwrap_or_default()),
        Bytes(app_token.map(|kept| kept.token.expose()).unwrap_or_default().as_bytes()),
        at(app_token.map(|kept| kept.ends).unwrap_or_default()),
        Bytes(&userinfo_claims),
        Number(userinfo_compressed.into()),
        Bytes(&session.earlier_ends.map(|ends| ends.encode()).unwrap_or_default()),
        Bytes(&absent),
        Bytes(&session.absent.claims_request),
        Number(session.absent.userinfo.into()),
        Bytes(&app_claims),
        Number(app_compressed.into()),
        Bytes(session.site.sealed().as_bytes()),
    ])
}

pub(super) fn decode(bytes: &[u8], platform: &dyn Platform) -> Option<Session> {
    let [
        id,
        provider,
        subject,
        claims,
        compressed,
        begun,
        ends,
        seen,
        nonce,
        auth_time,
        sid,
        refresh_token,
        generation,
        granted,
        expires,
        id_token,
        id_token_ends,
        app_token,
        app_token_ends,
        userinfo_claims,
        userinfo_compressed,
        earlier_ends,
        absent,
        claims_request,
        userinfo,
        app_claims,
        app_compressed,
        site,
    ] = wire::read(bytes)?;
    let at = |field: Field<'_>| field.number().map(UnixTime::from_secs);
    let text = |field: Field<'_>| field.text().map(|text| (!text.is_empty()).then(|| text.to_owned()));
    let name = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let (granted, expires) = (at(granted)?, at(expires)?);
    Some(Session {
        id: super::SessionId(id.bytes()?.try_into().ok()?),
        provider: IssuerId::from_bytes(provider.bytes()?)?,
        subject: text(subject)??,
        claims: read_claims(claims.bytes()?, compressed.number()? != 0, platform)?,
        userinfo_claims: read_claims(userinfo_claims.bytes()?, userinfo_compressed.number()? != 0, platform)?,
        // Sessions of earlier versions have none.
        app_claims: read_claims(app_claims.bytes()?, app_compressed.number()? != 0, platform)?,
        absent: Absent {
            names: wire::read_list(absent.bytes()?)?.into_iter().map(name).collect::<Option<_>>()?,
            // Sessions of earlier versions have none.
            claims_request: claims_request.bytes()?.try_into().unwrap_or_default(),
            userinfo: userinfo.number()? != 0,
        },
        begun: at(begun)?,
        ends: at(ends)?,
        seen: at(seen)?,
        authentication: Authentication {
            nonce: nonce.bytes()?.try_into().ok()?,
            time: Some(auth_time.number()?).filter(|time| *time > 0),
            sid: text(sid)?,
        },
        generation: u32::try_from(generation.number()?).ok()?,
        grant: text(refresh_token)?.map(|token| Grant::from_to(RefreshToken::new(token), granted, expires)),
        app_token: match (text(app_token)?, at(app_token_ends)?) {
            (Some(token), ends) => Some(AppToken { token: AccessToken::new(token), ends }),
            (None, _) => None,
        },
        id_token: text(id_token)?.map(RawIdToken::new),
        id_token_ends: at(id_token_ends)?,
        earlier_ends: match earlier_ends.bytes()? {
            [] => None,
            ends => Some(EarlierEnds::decode(ends)?),
        },
        site: SiteId::from_sealed(site.text()?),
    })
}

fn write_claims(claims: &Map<String, Value>, platform: &dyn Platform) -> (Vec<u8>, bool) {
    if claims.is_empty() {
        return (Vec::new(), false);
    }
    let json = serde_json::to_vec(claims).unwrap_or_default();
    if json.len() < WORTH_COMPRESSING {
        return (json, false);
    }
    let shorter = platform.compress(&json).filter(|shorter| shorter.len() < json.len());
    shorter.map_or((json, false), |shorter| (shorter, true))
}

fn read_claims(bytes: &[u8], compressed: bool, platform: &dyn Platform) -> Option<Map<String, Value>> {
    if bytes.is_empty() {
        return Some(Map::new());
    }
    if !compressed {
        return json::parse_object(bytes, MAX_CLAIMS).ok();
    }
    json::parse_object(&platform.decompress(bytes)?, MAX_CLAIMS).ok()
}

#[cfg(test)]
mod tests;
