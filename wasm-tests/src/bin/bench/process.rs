//! What a process has used: CPU time and memory, as Linux counts them.

use std::fs;

/// The CPU time of all threads of a process so far, in microseconds.
pub fn spent(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs").flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e3
}

/// The resident memory of a process, in MB of a million bytes.
pub fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.expect("the resident memory in /proc") * 1024.0 / 1e6
}

/// The process of this program with this argument. Each runs below a leash, so that it is no child of ours.
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
