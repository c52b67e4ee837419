//! What a running process has used, from `/proc`.

use std::fs::read_to_string;
use std::time::Duration;

/// The processor time of all threads of a process.
///
/// # Panics
/// When the process has ended.
#[must_use]
pub fn cpu(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads.filter_map(|thread| {
        let text = read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The highest resident memory of a process so far, in MiB.
///
/// # Panics
/// When the process has ended.
#[must_use]
pub fn peak_mib(pid: u32) -> f64 {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1_024.0
}
