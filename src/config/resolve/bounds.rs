//! Numbers and lists within their bounds.

use super::{
    super::fault::{At, Faults, Faulty},
    limits::{self, Bounds},
};

/// Refuses lists and maps with more than [`limits::MAX_ENTRIES`] entries, because they are searched linearly.
pub(super) fn limit_entries(entries: usize, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
    if entries <= limits::MAX_ENTRIES {
        return Ok(());
    }
    Err(faults.wrong(at, format!("at most {} entries, got {entries}", limits::MAX_ENTRIES)))
}

/// Every element of a list of conditions. An empty list is refused: it reads like "none", but would match all.
pub(super) fn condition_list<T>(
    list: Option<Vec<String>>,
    at: &At<'_>,
    noun: &str,
    faults: &mut Faults,
    read: impl Fn(String, &At<'_>, &mut Faults) -> Result<T, Faulty>,
) -> Result<Vec<T>, Faulty> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(faults.wrong(at, format!("at least one {noun}; leave this field out to accept any")));
    }
    limit_entries(list.len(), at, faults)?;
    resolve_each(list, at, faults, read)
}

/// Reads every element of a list before the first fault returns.
pub(super) fn resolve_each<R, T>(
    list: Vec<R>,
    at: &At<'_>,
    faults: &mut Faults,
    mut read: impl FnMut(R, &At<'_>, &mut Faults) -> Result<T, Faulty>,
) -> Result<Vec<T>, Faulty> {
    let (mut known, mut fault) = (Vec::new(), None);
    for (place, element) in list.into_iter().enumerate() {
        match read(element, &at.index(place), faults) {
            Ok(element) => known.push(element),
            Err(faulty) => fault = Some(faulty),
        }
    }
    fault.map_or(Ok(known), Err)
}

/// The number, or its default, if within bounds.
pub(super) fn bounded(
    value: Option<u64>,
    bounds: Bounds,
    unit: &str,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<u64, Faulty> {
    let value = value.unwrap_or(bounds.default);
    if (bounds.min..=bounds.max).contains(&value) {
        return Ok(value);
    }
    Err(faults.wrong(at, format!("{} to {} {unit}, got {value}", bounds.min, bounds.max)))
}
