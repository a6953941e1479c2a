//! The headers of a request.

use std::ops::Range;

use super::header_names::{HeaderNames, is_alike};

/// The headers of a request from Envoy: names in lower case, with pseudo-headers, every line kept.
///
/// They share one buffer: two allocations for each of some twenty headers would cost more than their evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// The lengths of their names: most look-ups are for headers that are not there.
    lengths: Lengths,
    more_follows: bool,
    route: RouteMetadata,
}

/// The metadata of a request's route under this filter's key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RouteMetadata {
    /// The route has no such metadata.
    #[default]
    Absent,
    /// The name of a policy.
    Policy(String),
    /// The metadata has another form.
    Unreadable,
}

impl RouteMetadata {
    /// Reads the members: exactly one, which names a policy.
    pub fn read(members: &Request) -> Self {
        let policy = members.text("policy").filter(|_| members.lines.len() == 1);
        policy.map_or(Self::Unreadable, |name| Self::Policy(name.to_owned()))
    }
}

/// The ranges of a line's name and value in the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

impl AsRef<Self> for Request {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Request {
    /// A request with these header lines.
    pub fn new<'a>(lines: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut request = Self::default();
        for (name, value) in lines {
            let (start, middle) = (request.bytes.len(), request.bytes.len().saturating_add(name.len()));
            request.bytes.extend_from_slice(name.as_bytes());
            request.bytes.extend_from_slice(value);
            request.lengths.add(name.len());
            request.lines.push(Line { name: start..middle, value: middle..request.bytes.len() });
        }
        request
    }

    /// Reads a header map as the proxy-wasm ABI lays it out: the number of pairs, the lengths of name and value of each,
    /// then each name and value with a NUL behind; numbers are 32 bits, little-endian. `None` where a length reaches
    /// beyond the end, or a name is not ASCII, as every name is (RFC 9110, 5.1).
    pub fn from_pairs(bytes: Vec<u8>) -> Option<Self> {
        let lines = lines_of_pairs(&bytes)?;
        let mut lengths = Lengths::default();
        for line in &lines {
            bytes.get(line.value.clone())?;
            if !bytes.get(line.name.clone())?.is_ascii() {
                return None;
            }
            lengths.add(line.name.len());
        }
        Some(Self { bytes, lines, lengths, ..Self::default() })
    }

    /// Sets whether a body or trailers follow.
    #[must_use]
    pub fn with_more_following(self, more_follows: bool) -> Self {
        Self { more_follows, ..self }
    }

    /// Sets the metadata of the request's route.
    #[must_use]
    pub fn with_route(self, route: RouteMetadata) -> Self {
        Self { route, ..self }
    }

    /// The metadata of its route; `Absent` unless it was read.
    pub const fn route(&self) -> &RouteMetadata {
        &self.route
    }

    /// Whether no body and no trailers follow.
    pub const fn ends_with_headers(&self) -> bool {
        !self.more_follows
    }

    /// Every header line in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| (self.name(line), self.part(&line.value)))
    }

    fn name(&self, line: &Line) -> &str {
        std::str::from_utf8(self.part(&line.name)).unwrap_or_default()
    }

    fn part(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    /// The lines to search for this header.
    fn lines_for(&self, name: &str) -> &[Line] {
        if self.lengths.have(name.len()) { &self.lines } else { &[] }
    }

    /// The next line of this header in the remaining lines. A request has some thirty look-ups: comparing the length
    /// first skips most lines.
    fn next_line<'a>(&'a self, name: &[u8], rest: &mut &'a [Line]) -> Option<&'a [u8]> {
        while let Some((line, after)) = rest.split_first() {
            *rest = after;
            if line.name.len() == name.len() && self.part(&line.name) == name {
                return Some(self.part(&line.value));
            }
        }
        None
    }

    /// Every line of one header, in order.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.lines_for(name);
        std::iter::from_fn(move || self.next_line(name.as_bytes(), &mut rest))
    }

    /// The value of a header with exactly one line. Duplicates count as absent: two parsers would read different ones.
    pub fn single(&self, name: &str) -> Option<&[u8]> {
        let (name, mut rest) = (name.as_bytes(), self.lines_for(name));
        let first = self.next_line(name, &mut rest)?;
        self.next_line(name, &mut rest).is_none().then_some(first)
    }

    /// Like [`Self::single`], as UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.single(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The names of lines that an app may take for this header ([`folded`](super::folded)).
    pub fn names_like(&self, name: &str) -> Vec<&str> {
        let alike = self.lines.iter().filter(|line| is_alike(self.part(&line.name), name.as_bytes()));
        alike.map(|line| self.name(line)).collect()
    }

    /// The names of lines that an app may take for one of these headers, in one pass.
    pub fn names_like_any(&self, headers: &HeaderNames) -> Vec<&str> {
        let first = |line: &Line| self.bytes.get(line.name.start).copied().unwrap_or_default();
        let listed =
            self.lines.iter().filter(|line| headers.may_have(first(line)) && headers.have(self.part(&line.name)));
        listed.map(|line| self.name(line)).collect()
    }

    /// Whether the header is present, with any value.
    pub fn has(&self, name: &str) -> bool {
        self.next_line(name.as_bytes(), &mut self.lines_for(name)).is_some()
    }

    /// The method; empty if missing or not UTF-8.
    pub fn method(&self) -> &str {
        self.text(":method").unwrap_or_default()
    }

    /// The request target: path and query. Empty for CONNECT.
    pub fn target(&self) -> &[u8] {
        self.single(":path").unwrap_or_default()
    }

    /// The query of the target, without its question mark.
    pub fn query(&self) -> Option<&[u8]> {
        self.target().splitn(2, |byte| *byte == b'?').nth(1)
    }

    /// The `:authority`: host and optional port; empty if missing.
    pub fn authority(&self) -> &str {
        self.text(":authority").unwrap_or_default()
    }
}

/// The lengths of some names, a bit for each; those from 63 on share one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lengths(u64);

impl Lengths {
    const fn of(length: usize) -> Self {
        Self(1 << if length < 63 { length } else { 63 })
    }

    const fn add(&mut self, length: usize) {
        self.0 |= Self::of(length).0;
    }

    /// Whether a name of this length may be among them.
    const fn have(self, length: usize) -> bool {
        self.0 & Self::of(length).0 != 0
    }
}

fn lines_of_pairs(pairs: &[u8]) -> Option<Vec<Line>> {
    let (count, rest) = pairs.split_first_chunk::<4>()?;
    let lengths = rest.as_chunks::<4>().0.as_chunks::<2>().0;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let lengths = lengths.get(..count)?;
    let mut lines = Vec::with_capacity(count);
    let mut start = count.checked_mul(8)?.checked_add(4)?;
    for [name, value] in lengths {
        let name = start..start.checked_add(usize::try_from(u32::from_le_bytes(*name)).ok()?)?;
        let value_start = name.end.checked_add(1)?;
        let value = value_start..value_start.checked_add(usize::try_from(u32::from_le_bytes(*value)).ok()?)?;
        start = value.end.checked_add(1)?;
        lines.push(Line { name, value });
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header map as the ABI lays it out.
    fn pairs(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut bytes = number(headers.len()).to_vec();
        for (name, value) in headers {
            bytes.extend([number(name.len()), number(value.len())].as_flattened());
        }
        for part in headers.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn headers_are_read_from_the_layout_of_the_abi() {
        let headers: [(&[u8], &[u8]); 3] = [(b":path", b"/"), (b"cookie", b""), (b"cookie", b"a=\xff\0;b")];
        let request = Request::from_pairs(pairs(&headers)).unwrap();
        let read: Vec<_> = request.headers().map(|(name, value)| (name.as_bytes(), value)).collect();
        assert_eq!(read, headers);
        assert_eq!(Request::from_pairs(pairs(&[])).unwrap().headers().count(), 0);
    }

    #[test]
    fn a_truncated_or_inconsistent_header_map_is_rejected() {
        let whole = pairs(&[(b"a", b"b"), (b"cookie", b"value")]);
        // The last byte is a NUL, which nothing reads.
        for length in 0..whole.len() - 1 {
            assert_eq!(Request::from_pairs(whole[..length].to_vec()), None, "{length}");
        }
        for place in [0, 4, 8, 12, 16] {
            for number in [100, u32::MAX] {
                let mut bytes = whole.clone();
                bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
                assert_eq!(Request::from_pairs(bytes), None, "{place}: {number}");
            }
        }
        for name in [b"\xff".as_slice(), "\u{e9}".as_bytes()] {
            assert_eq!(Request::from_pairs(pairs(&[(b"a", b"b"), (name, b"b")])), None, "{name:?}");
        }
    }
}
