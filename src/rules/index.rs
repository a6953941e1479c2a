//! Finds candidate rules for a path by the literal prefixes of their patterns, so that a thousand rules cost about as
//! much as ten.

use super::Rule;

/// The most segments of a prefix that are distinguished.
const MAX_DEPTH: usize = 14;

/// Rules by the literal prefixes of their paths, in whole segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Prefixes and the indices of their rules, sorted.
    places: Vec<(String, Vec<usize>)>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            match &rule.path {
                Some(pattern) => pattern.literal_prefixes().for_each(|beginning| index.add(beginning, number)),
                None => index.add("", number),
            }
        }
        index
    }

    fn add(&mut self, beginning: &str, number: usize) {
        let end = beginning.match_indices('/').nth(MAX_DEPTH).map_or(beginning.len(), |(end, _)| end);
        let beginning = beginning.get(..end).unwrap_or_default();
        let place = self.places.partition_point(|(known, _)| known.as_str() < beginning);
        match self.places.get_mut(place).filter(|(known, _)| known == beginning) {
            Some((_, numbers)) if numbers.last() == Some(&number) => {}
            Some((_, numbers)) => numbers.push(number),
            None => self.places.insert(place, (beginning.to_owned(), vec![number])),
        }
    }

    /// The indices of the rules that may match this path, in order.
    pub(super) fn candidates(&self, path: &str) -> Candidates<'_> {
        let mut candidates = Candidates::default();
        // Prefixes of `/a/b` are the empty text, `/a` and `/a/b`.
        let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(end, _)| end);
        let ends = slashes.take(MAX_DEPTH + 1).chain([path.len()]);
        let lists = ends.filter_map(|end| {
            let beginning = path.get(..end)?;
            let place = self.places.binary_search_by(|(known, _)| known.as_str().cmp(beginning)).ok()?;
            self.places.get(place).map(|(_, numbers)| numbers.as_slice())
        });
        for (slot, list) in candidates.lists.iter_mut().zip(lists) {
            *slot = list;
            candidates.used = candidates.used.saturating_add(1);
        }
        candidates
    }
}

/// Candidate rules, in order.
#[derive(Default)]
pub(super) struct Candidates<'a> {
    /// For each prefix that has rules, those that have not been returned yet.
    lists: [&'a [usize]; MAX_DEPTH + 2],
    /// The number of prefixes that have rules.
    used: usize,
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lists = self.lists.get_mut(..self.used)?;
        let next = lists.iter().filter_map(|list| list.first()).min().copied()?;
        for list in lists {
            if list.first() == Some(&next) {
                *list = list.get(1..).unwrap_or_default();
            }
        }
        Some(next)
    }
}
