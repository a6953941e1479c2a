//! CPU time and memory of a process, as Linux counts them.

use std::{fs, time::Duration};

/// The CPU time of all threads of a process so far; `None` where it has ended.
#[must_use]
pub fn cpu(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanoseconds.sum()))
}

/// The resident memory of a process, in bytes; `None` where it has ended.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
    Some(kib * 1024)
}

/// The process of this program with this argument. Each program runs below the `leash` process, so it is not a child of
/// the test process.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn find(program: &str, argument: &str) -> u32 {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0);
        words.next().is_some_and(|word| word.ends_with(program.as_bytes()))
            && words.any(|word| word == argument.as_bytes())
    };
    pids.find(is_it).unwrap_or_else(|| panic!("{program} with {argument} does not run"))
}
