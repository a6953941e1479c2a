//! Child processes that never outlive us, and waiting for them without sleeping longer than needed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything we start or wait for may take. Generous: two busy cores compile the filter on the way, and a browser
/// that goes from page to page is waited for as a whole.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Runs its arguments and kills them as soon as its standard input closes: when we drop the child, or a signal kills
/// us.
const LEASH: &str = r#"exec 3<&0
"$@" 3<&- </dev/null & child=$!
{ trap '' HUP INT TERM; cat <&3 >/dev/null; kill -9 $child; } 2>/dev/null & leash=$!
wait $child; status=$?
kill -9 $leash 2>/dev/null
exit $status"#;

/// A running program, with its output in a file. Dropping it ends the program.
#[derive(Debug)]
pub struct Running {
    leash: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `program`, with standard output and error going to the file `log`.
    ///
    /// # Panics
    /// If the program cannot be started at all.
    #[must_use]
    pub fn start(program: &Command, log: &Path) -> Self {
        let file = File::create(log).expect("the log file can be written");
        let mut leash = Command::new("/bin/sh");
        leash.args(["-c", LEASH, "leash"]).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => leash.env(name, value),
                None => leash.env_remove(name),
            };
        }
        if let Some(folder) = program.get_current_dir() {
            leash.current_dir(folder);
        }
        let errors = file.try_clone().expect("a file handle can be cloned");
        leash.stdin(Stdio::piped()).stdout(file).stderr(errors);
        let leash = leash.spawn().unwrap_or_else(|error| panic!("cannot start {program:?}: {error}"));
        Self { leash, log: log.to_owned() }
    }

    /// Everything the program has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        read_text(&self.log)
    }

    /// The exit code, once the program has ended by itself.
    pub fn exited(&mut self) -> Option<i32> {
        self.leash.try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1))
    }

    /// Polls `ready` until it has a value; fails as soon as the program has ended.
    ///
    /// # Errors
    /// The name of the condition and the program's log, if the program ended or [`PATIENCE`] ran out.
    pub fn until<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            if let Some(code) = self.exited() {
                return Err(format!("ended with code {code} while waiting for {what}:\n{}", tail(&self.log())));
            }
            if Instant::now() > deadline {
                return Err(format!("no {what} within {PATIENCE:?}:\n{}", tail(&self.log())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        let _ = self.leash.wait();
    }
}

/// Polls `ready` until it has a value.
///
/// # Panics
/// If there is none within [`PATIENCE`].
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// So many connections miss a given one of two workers less than once in ten million times. Polled many times, a few of
/// them would miss it often.
const EVERY_WORKER: usize = 24;

/// Polls `holds` until it is true so many times in a row that every worker was asked.
///
/// # Panics
/// If it is not within [`PATIENCE`].
pub fn until_everywhere(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || (0..EVERY_WORKER).all(|_| holds()).then_some(()));
}

/// A folder for the files of one run. It is removed on drop, unless the test failed.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder with a name that starts with `name`.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = crate::tools::target().join("harness").join(format!("{name}-{}-{count}", std::process::id()));
        // A failed run may have left it, in a process with the same id.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    /// A file in the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The text of a file, with bytes that are not UTF-8 replaced; empty if there is no file yet.
#[must_use]
pub fn read_text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The first JSON object that a process has written on a line of its own.
#[must_use]
pub fn said_in_json(log: &Path) -> Option<serde_json::Value> {
    read_text(log).lines().find_map(|line| serde_json::from_str(line).ok().filter(serde_json::Value::is_object))
}

/// The last lines of a log, which hold the reason of a failure.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
