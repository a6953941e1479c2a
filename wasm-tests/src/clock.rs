//! The wall clock of the Envoys of a test, which goes as the machine's does but is ahead of it or behind, or stands still.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use crate::{process::Scratch, tools};

/// A worker ticks every second; the rest is for a busy machine.
const TICK: Duration = Duration::from_millis(1500);
/// Offset in the clock file of the second at which the clock is stopped; the offset from the machine's clock is before
/// it.
const STANDS_AT: u64 = 8;

/// A clock. A clone is the same one, for every Envoy that was started with it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scratch: Scratch,
    file: File,
}

impl Clock {
    /// A clock that shows the machine's time.
    ///
    /// # Panics
    /// If its file cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let scratch = Scratch::new("clock");
        let file = File::options().read(true).write(true).create_new(true).open(scratch.file("seconds"));
        let clock = Self(Arc::new(Inner { scratch, file: file.expect("the target folder can be written") }));
        clock.write(0, STANDS_AT);
        clock.write(0, 0);
        clock
    }

    fn write(&self, number: i64, at: u64) {
        self.0.file.write_all_at(&number.to_ne_bytes(), at).expect("the target folder can be written");
    }

    /// Puts it this many seconds ahead of the machine's. Returns when every worker has ticked: until then it may go by the time of
    /// before where that makes no difference unless the clock jumps.
    ///
    /// # Panics
    /// If its file cannot be written.
    pub fn set(&self, seconds: i64) {
        self.write(seconds, 0);
        thread::sleep(TICK);
    }

    /// Stops the clock until it is started again; it can still be set. On a slow machine, too, nothing expires before
    /// the test moves the clock.
    ///
    /// # Panics
    /// If its file cannot be written.
    pub fn stop(&self) {
        let now = UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
        self.write(now.cast_signed(), STANDS_AT);
    }

    /// Lets it go on, as if it had never stood.
    ///
    /// # Panics
    /// If its file cannot be written.
    pub fn go_on(&self) {
        self.write(0, STANDS_AT);
    }

    /// How many seconds it is ahead of the machine's.
    ///
    /// # Panics
    /// If its file cannot be read.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        let mut bytes = [0; 8];
        self.0.file.read_exact_at(&mut bytes, 0).expect("the file just written");
        i64::from_ne_bytes(bytes)
    }

    /// Lets a program go by this clock.
    pub(crate) fn rule(&self, command: &mut Command) {
        command.env("VESTIBULE_CLOCK", self.0.scratch.file("seconds")).env("LD_PRELOAD", tools::clock());
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
