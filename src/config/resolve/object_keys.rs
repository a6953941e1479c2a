//! Claims that count as the list of their keys.

use super::{
    super::fault::{At, Faults, Faulty},
    limit_entries, resolve_each,
};
use crate::{
    claims::{CLAIM_NAMES, ClaimPath, ObjectKeys},
    oidc::userinfo::OF_THE_TOKEN,
};

#[inline(never)]
pub(super) fn object_keys(places: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<ObjectKeys, Faulty> {
    let Some(places) = places else { return Ok(ObjectKeys::default()) };
    limit_entries(places.len(), at, faults)?;
    if places.is_empty() {
        return Err(faults.wrong(at, "at least one claim"));
    }
    resolve_each(places, at, faults, place).map(ObjectKeys::at)
}

fn place(text: String, at: &At<'_>, faults: &mut Faults) -> Result<ClaimPath, Faulty> {
    let path = ClaimPath::parse(&text)
        .filter(|_| text.trim() == text)
        .ok_or_else(|| faults.wrong_value(at, "the name of a claim, or a JSON Pointer such as /my_app/roles", &text))?;
    if path.name() == CLAIM_NAMES || OF_THE_TOKEN.contains(&path.name()) {
        return Err(faults.wrong_value(at, "a claim about the user, such as roles", &text));
    }
    Ok(path)
}
