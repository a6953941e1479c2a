//! The nearest known name to a misspelt one.

/// The known name that was meant, where one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|known| (strsim::osa_distance(name, known), known));
    distances.filter(|(distance, known)| distance.saturating_mul(3) <= known.len().max(3)).min().map(|(_, known)| known)
}

/// The end of a message on an unknown name: the nearest known name, or else the known names.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; it has {}", known.join(", ")),
    }
}
