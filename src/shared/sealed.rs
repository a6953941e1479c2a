//! Sealed values in the shared store: other filters of the process can read and write the store too, but can neither read
//! nor forge these. A value is bound to its key by its label, so that none can stand under another.

use zeroize::Zeroizing;

use crate::{
    platform::{Conflict, Platform, SharedValue},
    session::seal::{Purpose, Sealer},
};

/// Opens a value with this label. One that does not open was written without our session keys, and counts as absent.
pub(super) fn open(label: &str, value: &SharedValue, sealer: &Sealer) -> Option<Zeroizing<Vec<u8>>> {
    sealer.open_bytes(Purpose::SharedDocument, label, &value.bytes)
}

/// Seals and writes a value with this label, provided that the key is still at `version` (`None`: whatever it is).
///
/// # Errors
/// [`Conflict`], also where there is no randomness to seal with: nothing was written either way.
pub(super) fn set(
    key: &str,
    label: &str,
    bytes: &[u8],
    version: Option<u32>,
    sealer: &Sealer,
    platform: &dyn Platform,
) -> Result<(), Conflict> {
    let sealed = sealer.seal_bytes(Purpose::SharedDocument, label, bytes, platform).map_err(|_| Conflict)?;
    platform.shared_set(key, &sealed, version)
}
