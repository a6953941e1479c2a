//! Why nothing could be converted.

use std::fmt;

/// Why nothing could be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionError(pub(crate) String);

impl fmt::Display for ConversionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
