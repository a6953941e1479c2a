//! A cache of bounded number and length, for values that can be made again: a worker remembers what it has opened or
//! verified. Each value has one slot, found by its hash; a new value replaces the one in its slot.

/// The cache.
#[derive(Debug)]
pub struct Cache<T> {
    slots: Vec<Option<(T, usize)>>,
    length: usize,
    max_length: usize,
}

impl<T> Cache<T> {
    /// An empty cache of so many slots. Where the lengths of all values together would exceed `max_length`, it is emptied.
    pub fn new(slots: usize, max_length: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(slots).collect(), length: 0, max_length }
    }

    /// The value with this hash, if it is the one.
    pub fn find(&self, hash: u64, is_it: impl FnOnce(&T) -> bool) -> Option<&T> {
        let (value, _) = self.slots.get(self.place(hash))?.as_ref()?;
        is_it(value).then_some(value)
    }

    /// Adds a value of this length. One that is longer than all may be is not kept.
    pub fn insert(&mut self, hash: u64, value: T, length: usize) {
        if length > self.max_length {
            return;
        }
        if self.length.saturating_add(length) > self.max_length {
            self.slots.fill_with(|| None);
            self.length = 0;
        }
        let place = self.place(hash);
        let Some(slot) = self.slots.get_mut(place) else { return };
        let before = slot.replace((value, length));
        self.length = self.length.saturating_add(length).saturating_sub(before.map_or(0, |(_, length)| length));
    }

    /// Removes the value with this hash, if it is the one.
    pub fn remove(&mut self, hash: u64, is_it: impl FnOnce(&T) -> bool) {
        let place = self.place(hash);
        let Some(slot) = self.slots.get_mut(place) else { return };
        let gone = slot.take_if(|(value, _)| is_it(value));
        self.length = self.length.saturating_sub(gone.map_or(0, |(_, length)| length));
    }

    fn place(&self, hash: u64) -> usize {
        usize::try_from(hash.checked_rem(self.slots.len() as u64).unwrap_or_default()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 64;
    const MAX_LENGTH: usize = 1000;

    fn assert_bounded(cache: &Cache<u64>) {
        let lengths: usize = cache.slots.iter().flatten().map(|(_, length)| length).sum();
        assert_eq!(cache.length, lengths);
        assert!(cache.slots.len() == SLOTS && lengths <= MAX_LENGTH, "{lengths}");
    }

    #[test]
    fn a_cache_is_bounded_in_number_and_in_length() {
        let mut cache = Cache::new(SLOTS, MAX_LENGTH);
        for length in [1, MAX_LENGTH / 3, MAX_LENGTH] {
            for number in 0..500 {
                cache.insert(number, number, length);
                assert_eq!(cache.find(number, |value| *value == number), Some(&number));
                assert_eq!(cache.find(number, |value| *value != number), None);
                assert_bounded(&cache);
            }
        }
        cache.insert(7, 7, MAX_LENGTH + 1);
        assert_eq!(cache.find(7, |value| *value == 7), None);
        for number in 0..500 {
            cache.remove(number, |value| *value == number);
            assert_eq!(cache.find(number, |value| *value == number), None);
            assert_bounded(&cache);
        }
        assert!(cache.length == 0 && cache.slots.iter().all(Option::is_none));
    }
}
