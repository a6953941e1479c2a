//! Bodies that must be read before their request can be decided. Envoy hands over a body while the headers are held only
//! where `allow_on_headers_stop_iteration` is set, so a body that does not come in time is reported. Nothing of it goes
//! upstream.

use std::cell::{Cell, RefCell};

use crate::http::Request;

use super::event::failure::Failure;

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The reason that there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Too many others are being read.
    Crowded,
    /// It did not come in time.
    Missing,
    /// It is longer than [`MAX_BODY`].
    TooLong,
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Crowded => Self::Busy,
            BodyError::Missing => Self::BodyMissing,
            BodyError::TooLong => Self::BodyTooLong,
        }
    }
}

/// Passes the body of one request from the host to the flow that waits for it.
#[derive(Debug, Default)]
pub(super) struct BodySlot {
    is_expected: Cell<bool>,
    body: RefCell<Option<Result<Vec<u8>, BodyError>>>,
}

impl BodySlot {
    pub(super) fn expect(&self) {
        self.is_expected.set(true);
    }

    pub(super) fn close(&self) {
        self.is_expected.set(false);
    }

    pub(super) const fn is_expected(&self) -> bool {
        self.is_expected.get()
    }

    pub(super) fn give(&self, body: Result<Vec<u8>, BodyError>) {
        self.body.replace(Some(body));
    }

    pub(super) fn take(&self) -> Option<Result<Vec<u8>, BodyError>> {
        self.body.take()
    }
}

/// Whether the body is a form as browsers send it.
pub(super) fn is_form(request: &Request) -> bool {
    has_media_type(request, "application/x-www-form-urlencoded")
}

/// Whether the body is of this media type, with any parameters.
pub(super) fn has_media_type(request: &Request, expected: &str) -> bool {
    let content_type = request.text("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(expected)
}
