//! Inline styles and scripts in a Content-Security-Policy.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// The source expression that permits this inline text in a Content-Security-Policy (CSP Level 3, 2.3.1).
pub(super) fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
