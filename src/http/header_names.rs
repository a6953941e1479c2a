//! Names of headers, compared as apps may read them.

/// The names of headers to look for. One that ends in `*` stands for all that begin so.
///
/// Every request is searched for some forty of them, and has none: its lines are told by their first character, then by their
/// length or by [`Marks`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderNames {
    /// The names by their length; the last list has all that are longer.
    by_length: Vec<Vec<String>>,
    beginnings: Vec<String>,
    /// A bit for each first character.
    first: u32,
    /// Those of the beginnings.
    marks: Marks,
}

impl HeaderNames {
    /// The shortest beginning, in bytes, which has all that [`Marks`] look at.
    pub const MIN_BEGINNING: usize = 5;
    /// The length from which on names are in one list.
    const LONG: usize = 63;

    /// Whether a name with this first byte may be among them.
    pub(super) const fn may_have(&self, first: u8) -> bool {
        self.first & 1 << (first & 31) != 0
    }

    pub(super) fn have(&self, found: &[u8]) -> bool {
        let begins = |begin: &String| found.get(..begin.len()).is_some_and(|found| is_alike(found, begin.as_bytes()));
        let of_length = self.by_length.get(found.len().min(Self::LONG)).map(Vec::as_slice).unwrap_or_default();
        of_length.iter().any(|name| is_alike(found, name.as_bytes()))
            || self.marks.have(found) && self.beginnings.iter().any(begins)
    }

    /// Adds a name.
    pub fn add(&mut self, name: String) {
        // Letters and digits have the same five low bits in either case; other characters, which are alike, have not.
        self.first |= match name.as_bytes() {
            [first, ..] if first.is_ascii_alphanumeric() => 1 << (first & 31),
            _ => u32::MAX,
        };
        if let Some(begin) = name.strip_suffix('*') {
            self.marks.add(begin.as_bytes());
            self.beginnings.push(begin.to_owned());
            return;
        }
        let length = name.len().min(Self::LONG);
        if self.by_length.len() <= length {
            self.by_length.resize_with(length.saturating_add(1), Vec::new);
        }
        if let Some(names) = self.by_length.get_mut(length)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
}

impl FromIterator<String> for HeaderNames {
    fn from_iter<T: IntoIterator<Item = String>>(names: T) -> Self {
        let mut headers = Self::default();
        names.into_iter().for_each(|name| headers.add(name));
        headers
    }
}

/// A bit for each beginning, by its first and its fifth character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks(u64);

impl Marks {
    const fn of(name: &[u8]) -> u64 {
        match name {
            [first, _, _, _, fifth, ..] => 1 << (fold(*first).wrapping_add(fold(*fifth)) & 63),
            _ => 0,
        }
    }

    const fn add(&mut self, name: &[u8]) {
        self.0 |= Self::of(name);
    }

    const fn have(self, name: &[u8]) -> bool {
        self.0 & Self::of(name) != 0
    }
}

/// From the end: most headers of one length begin alike, with `x-forwarded-`.
pub(super) fn is_alike(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).rev().all(|(a, b)| fold(*a) == fold(*b))
}

/// A header's name as apps may read it: CGI, WSGI and PHP treat `_` and `-` alike, and some servers every character
/// except letters and digits.
pub fn folded(name: &str) -> String {
    name.bytes().map(|byte| char::from(fold(byte))).collect()
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}
