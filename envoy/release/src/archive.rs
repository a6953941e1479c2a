//! Archives that hold names and bytes only: no time, no owner, no machine.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

use crate::ReleaseError;

/// A tar archive of these files, in this order. All can be read by everybody and belong to root.
///
/// # Errors
/// If a name is too long.
pub fn tar(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, ReleaseError> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(u64::try_from(bytes.len()).map_err(io::Error::other).map_err(ReleaseError::Archive)?);
        archive.append_data(&mut header, name, bytes.as_slice()).map_err(ReleaseError::Archive)?;
    }
    archive.into_inner().map_err(ReleaseError::Archive)
}

/// These bytes in gzip's format.
///
/// # Errors
/// None that is known: memory takes what is written.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>, ReleaseError> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes).map_err(ReleaseError::Archive)?;
    encoder.finish().map_err(ReleaseError::Archive)
}
