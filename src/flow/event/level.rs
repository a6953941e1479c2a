//! The level of an event in the log.

/// The level of an event in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Counted, not logged.
    Count,
    /// As expected.
    Info,
    /// An operator should look.
    Warn,
    /// A fault of the configuration or of this filter.
    Error,
}
