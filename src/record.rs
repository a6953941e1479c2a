//! Records of fixed layout: a version byte, then numbers (little-endian) and bytes of known length; only the last field may
//! be of any length. A record of another version, or one that is too long, too short or longer than its fields, is none.

use zeroize::Zeroizing;

use crate::time::UnixTime;

/// The fields of a record that are not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(&'a [u8]);

/// Reads the version byte of a record of at most `max` bytes. `None` where it is of another version.
pub fn read(version: u8, bytes: &[u8], max: usize) -> Option<Fields<'_>> {
    let (found, rest) = bytes.split_first().filter(|_| bytes.len() <= max)?;
    (*found == version).then_some(Fields(rest))
}

/// Writes a record. The buffer never grows, so that no copy of a secret stays behind.
pub fn write(version: u8, fields: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = fields.iter().fold(1_usize, |sum, field| sum.saturating_add(field.len()));
    let mut record = Zeroizing::new(Vec::with_capacity(length));
    record.push(version);
    fields.iter().for_each(|field| record.extend_from_slice(field));
    record
}

impl<'a> Fields<'a> {
    /// The fields of a record without a version byte.
    pub const fn unversioned(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes of known length.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A number of 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Seconds since the epoch, in 64 bits.
    pub fn time(&mut self) -> Option<UnixTime> {
        self.u64().map(UnixTime::from_secs)
    }

    /// The last field, of any length.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Checks that all fields were read.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: u8 = 3;

    fn record() -> Zeroizing<Vec<u8>> {
        write(VERSION, &[&[7], &8_u32.to_le_bytes(), &9_u64.to_le_bytes(), b"rest"])
    }

    fn fields(bytes: &[u8]) -> Option<(u8, u32, UnixTime, &[u8])> {
        let mut fields = read(VERSION, bytes, 18)?;
        Some((fields.byte()?, fields.u32()?, fields.time()?, fields.rest()))
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        assert_eq!(fields(&record()), Some((7, 8, UnixTime::from_secs(9), &b"rest"[..])));
        assert_eq!(record().capacity(), record().len());
    }

    #[test]
    fn a_record_of_another_version_or_length_is_none() {
        assert_eq!(fields(&[&[VERSION + 1], &record()[1..]].concat()), None);
        assert_eq!(fields(&[&record()[..], b"x"].concat()), None, "longer than the bound");
        for end in 0..14 {
            assert_eq!(fields(&record()[..end]), None, "cut to {end}");
        }
        assert_eq!(read(VERSION, &[VERSION], 1).unwrap().end(), Some(()));
        assert_eq!(read(VERSION, &[VERSION, 0], 2).unwrap().end(), None);
    }
}
