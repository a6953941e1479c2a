//! Free loopback ports that stay ours: the configuration of the filter names the port before Envoy binds it.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

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
    reserve(|port| is_free(port).then_some(port))
}

/// A listener on a port that is reserved for this process.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn listener() -> TcpListener {
    reserve(|port| is_free(port).then(|| bind(port).ok())?)
}

fn reserve<T>(take: impl Fn(u16) -> Option<T>) -> T {
    let folder = tools::local().join("ports");
    fs::create_dir_all(&folder).expect("the .local folder can be written");
    let start = RandomState::new().build_hasher().finish();
    let size = u64::from(RANGE.end - RANGE.start);
    for step in 0..size {
        let offset = u16::try_from(start.wrapping_add(step) % size).expect("the range fits a port");
        let port = RANGE.start + offset;
        let lock = File::create(folder.join(port.to_string())).expect("a lock file can be written");
        if lock.try_lock().is_err() {
            continue;
        }
        if let Some(taken) = take(port) {
            TAKEN.lock().expect("no thread panicked").push(lock);
            return taken;
        }
    }
    panic!("no free port in {RANGE:?}");
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// Whether this loopback port is free now. `localhost` is both addresses, and browsers try the second first.
///
/// It connects and does not listen: a process that another thread starts just then would keep the port for a moment more.
#[must_use]
pub fn is_free(port: u16) -> bool {
    [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)]
        .into_iter()
        .all(|address| TcpStream::connect((address, port)).is_err())
}

/// How long [`listen`] waits for a port that is still in use.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens on this loopback port, which is reserved for the caller (see [`free`]).
///
/// It may be taken for a moment all the same: a process that another thread starts holds copies of every socket of
/// ours between its fork and its exec, also of one that has just been closed.
///
/// # Panics
/// When it stays taken.
#[must_use]
pub fn listen(port: u16) -> TcpListener {
    let begun = Instant::now();
    loop {
        match bind(port) {
            Ok(listener) => return listener,
            Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("nothing can listen on port {port}: {error}"),
        }
    }
}
