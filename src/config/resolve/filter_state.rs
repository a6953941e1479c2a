//! Filter state.

use super::{
    super::{
        FilterState, NamedValue,
        fault::{At, Faults, Faulty},
        raw,
    },
    claim_text, limits,
};

#[inline(never)]
pub(super) fn filter_state(raw: raw::FilterState, at: &At<'_>, faults: &mut Faults) -> Result<FilterState, Faulty> {
    let (mut claims, mut fault) = (Vec::new(), None);
    let at = at.key("claims");
    let entries = raw.claims.unwrap_or_default().0;
    if entries.len() > limits::MAX_FILTER_STATE {
        let expected = format!("at most {} entries, got {}", limits::MAX_FILTER_STATE, entries.len());
        return Err(faults.wrong(&at, expected));
    }
    for (name, raw) in entries {
        let at = at.key(&name);
        // Characters that need no escape in access log formats; `vestibule_` is reserved.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_plain
            || !(1..=limits::MAX_RULE_NAME).contains(&name.len())
            || name.starts_with("vestibule_")
            || name.starts_with("wasm.")
        {
            let expected = "letters, digits, `-`, `_` and `.` as the name of this field, and neither `vestibule_` nor `wasm.` \
                            (which Envoy adds) first";
            fault = Some(faults.wrong(&at, expected));
        }
        match claim_text::value(raw, &at, faults) {
            Ok(value) => claims.push(NamedValue { name, value }),
            Err(faulty) => fault = Some(faulty),
        }
    }
    fault.map_or(Ok(FilterState { claims, rule: raw.rule.unwrap_or(false), user: raw.user.unwrap_or(false) }), Err)
}
