//! What a check finds: faults, with which the filter does not start or reaches no provider, and warnings.

use std::fmt;

use crate::tree::Position;

/// A fault or a warning, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) at: Position,
    pub(crate) severity: Severity,
    /// The path of the setting, before a colon; empty where the finding is about no setting.
    pub(crate) path: String,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The filter would not start, or reach no provider.
    Fault,
    /// The filter starts, and something is not as it seems.
    Warning,
}

impl Finding {
    pub(crate) fn fault(at: Position, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, severity: Severity::Fault, path: path.into(), message: message.into() }
    }

    pub(crate) fn warning(at: Position, message: impl Into<String>) -> Self {
        Self { at, severity: Severity::Warning, path: String::new(), message: message.into() }
    }

    /// The finding without its place.
    pub(crate) fn said(&self) -> String {
        let severity = if self.severity == Severity::Warning { "warning: " } else { "" };
        let colon = if self.path.is_empty() { "" } else { ": " };
        format!("{severity}{}{colon}{}", self.path, self.message)
    }

    pub(crate) fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.at;
        write!(f, "{line}:{column}: {}", self.said())
    }
}
