//! The wall clock of a program that this library is preloaded into (`LD_PRELOAD`), moved while it runs.
//!
//! The environment variable `VESTIBULE_CLOCK` names a file of two signed numbers of eight bytes, in the machine's byte
//! order: the seconds to add, and the second since 1970 at which the clock stands, or 0 while it goes. The file is
//! mapped, so a change holds from the next call on. Timers do not notice: only `CLOCK_REALTIME` is moved. Nothing here
//! allocates or takes a lock, since a program asks for the time anywhere.
//!
//! The interface of the C library is unsafe code, which only this crate and `envoy/abi` allow.

use std::{
    ptr::null_mut,
    sync::atomic::{AtomicI64, AtomicPtr, Ordering},
};

use libc::{c_int, c_long, c_void, clockid_t, time_t, timespec, timeval};

/// The content of the file.
#[repr(C)]
struct Clock {
    /// The seconds to add.
    ahead: AtomicI64,
    /// The second since 1970 at which the clock stands; 0 while it goes.
    stands_at: AtomicI64,
}

/// The size of the file.
const SIZE: usize = size_of::<Clock>();

/// The mapped file; null before the first call.
static CLOCK: AtomicPtr<Clock> = AtomicPtr::new(null_mut());
/// A clock without a file.
static NONE: Clock = Clock { ahead: AtomicI64::new(0), stands_at: AtomicI64::new(0) };

/// `clock_gettime(2)`
///
/// # Safety
/// As the C library's: `time` is null or points to a `timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the system call takes any clock and any pointer, and refuses bad ones.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) };
    if result == 0 && (clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE) && !time.is_null() {
        // SAFETY: the call has just written there.
        unsafe { *time = shown(*time) };
    }
    if result == 0 { 0 } else { -1 }
}

/// `gettimeofday(2)`
///
/// # Safety
/// As the C library's: `time` is null or points to a `timeval`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, _zone: *mut c_void) -> c_int {
    let now = now();
    if !time.is_null() {
        // SAFETY: the caller says that it points to a timeval.
        unsafe { *time = timeval { tv_sec: now.tv_sec, tv_usec: now.tv_nsec / 1000 } };
    }
    0
}

/// `time(2)`
///
/// # Safety
/// As the C library's: `time` is null or points to a `time_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    let now = now().tv_sec;
    if !time.is_null() {
        // SAFETY: the caller says that it points to a time_t.
        unsafe { *time = now };
    }
    now
}

fn now() -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it points to a timespec.
    unsafe { clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    now
}

/// The time to show at this time of the machine's clock.
fn shown(machine: timespec) -> timespec {
    let mut mapped = CLOCK.load(Ordering::Acquire);
    if mapped.is_null() {
        mapped = map();
        // Two threads may both have mapped it: it is the same file, and either will do.
        CLOCK.store(mapped, Ordering::Release);
    }
    // SAFETY: it is a mapping that is never undone, or a static.
    let clock = unsafe { &*mapped };
    let time = match clock.stands_at.load(Ordering::Relaxed) {
        0 => machine,
        second => timespec { tv_sec: second, tv_nsec: 0 },
    };
    timespec { tv_sec: time.tv_sec.wrapping_add(clock.ahead.load(Ordering::Relaxed)), ..time }
}

fn map() -> *mut Clock {
    let none = (&raw const NONE).cast_mut();
    // SAFETY: getenv's text is handed to open as it is; the mapping has the size of the file, and is checked.
    unsafe {
        let path = libc::getenv(c"VESTIBULE_CLOCK".as_ptr());
        if path.is_null() {
            return none;
        }
        let file = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return none;
        }
        let mapped = libc::mmap(null_mut(), SIZE, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::close(file);
        if mapped == libc::MAP_FAILED { none } else { mapped.cast() }
    }
}
