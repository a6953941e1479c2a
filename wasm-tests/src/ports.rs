//! Free loopback ports that stay ours: the configuration of the filter names the port before Envoy binds it.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Mutex;

use crate::tools;

/// Below the range from which the kernel takes the ports of outgoing connections.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Lock files of the ports handed out, kept until this process ends so that no parallel run takes the same one.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on which nothing listens, reserved for this process.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free() -> u16 {
    let folder = tools::local().join("ports");
    fs::create_dir_all(&folder).expect("the .local folder can be written");
    let start = RandomState::new().build_hasher().finish();
    let size = u64::from(RANGE.end - RANGE.start);
    for step in 0..size {
        let offset = u16::try_from(start.wrapping_add(step) % size).expect("the range fits a port");
        let port = RANGE.start + offset;
        let lock = File::create(folder.join(port.to_string())).expect("a lock file can be written");
        if lock.try_lock().is_ok() && is_free(port) {
            TAKEN.lock().expect("nobody panics while holding it").push(lock);
            return port;
        }
    }
    panic!("no free port in {RANGE:?}");
}

/// Whether nobody listens on this loopback port now. `localhost` is both addresses, and browsers try the second first.
#[must_use]
pub fn is_free(port: u16) -> bool {
    let six = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && !six.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}
