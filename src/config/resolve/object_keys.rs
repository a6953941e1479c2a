//! Claims that count as the list of their keys.

use super::{
    super::{
        NamedValue,
        fault::{At, Faults, Faulty},
    },
    bounds::{limit_entries, resolve_each},
    kept_claims::each_path,
};
use crate::{
    claims::{CLAIM_NAMES, ClaimPath, ObjectKeys},
    oidc::userinfo::OF_THE_TOKEN,
    provider::Provider,
    rules::Rules,
};

#[inline(never)]
pub(super) fn object_keys(places: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<ObjectKeys, Faulty> {
    let Some(places) = places else { return Ok(ObjectKeys::default()) };
    // An empty list takes those of a preset away.
    limit_entries(places.len(), at, faults)?;
    resolve_each(places, at, faults, place).map(ObjectKeys::at)
}

/// Refuses objects that conditions or headers look into: nothing would be found there, and a condition with `not` would hold.
pub(super) fn refuse_hidden(
    providers: &[Provider],
    rules: &Rules,
    values: &[&[NamedValue]],
    at: &At<'_>,
    faults: &mut Faults,
) {
    for (place, provider) in providers.iter().enumerate() {
        let mut hidden = None;
        let mut look = |path: &ClaimPath| {
            if provider.object_keys.hides(path) {
                hidden = Some(path.text());
            }
        };
        rules.each_path(&mut look);
        provider.allow.iter().for_each(|allow| allow.each_path(&mut look));
        values.iter().for_each(|values| each_path(values, &mut look));
        if let Some(path) = hidden {
            let expected = format!("no claim that a condition or a header looks into, as {path} does");
            faults.wrong(&at.index(place).key("object_keys"), expected);
        }
    }
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
