//! Records in the data that the workers of a process share, and in the login-loop cookie: what is read is written the same.

use vestibule::{
    session::login_loop_guard::LoginLoopGuard,
    shared::{denylist::Entries, document::SharedDocument, lease::Lease, renewals::Record},
};

/// More entries than any list has.
const CAPACITY: usize = 1 << 20;

pub(crate) fn run(bytes: &[u8]) {
    if let Some(lease) = Lease::read(bytes) {
        assert_eq!(lease.write().as_slice(), bytes);
    }
    if let Some(document) = SharedDocument::read(bytes) {
        assert_eq!(document.write().as_slice(), bytes);
    }
    if let Some(record) = Record::read(bytes) {
        assert_eq!(record.write().as_slice(), bytes);
    }
    let written = Entries::read(bytes).write(CAPACITY);
    assert!(written.len() <= bytes.len().max(8));
    assert_eq!(Entries::read(&written).write(CAPACITY), written);
    let _ = LoginLoopGuard::parse(bytes);
}
