//! What a process has used: CPU time and resident memory, read from `/proc`. Knows nothing of what it did with them.
//!
//! The CPU time of a process counts all of its threads, the kernel's io_uring workers for it included, since those are
//! threads of the process.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds in user mode since the process began.
    pub(crate) user_s: f64,
    /// Seconds in the kernel on its behalf.
    pub(crate) system_s: f64,
    /// Resident bytes now.
    pub(crate) resident_bytes: u64,
    /// The most resident bytes so far.
    pub(crate) resident_bytes_peak: u64,
    /// Context switches of all threads that live, voluntary and not.
    pub(crate) switches: u64,
}

impl Usage {
    /// Both kinds of CPU seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    /// The CPU seconds used since `earlier`.
    pub(crate) fn cpu_s_since(&self, earlier: &Usage) -> f64 {
        self.cpu_s() - earlier.cpu_s()
    }
}

/// Linux counts CPU time for `/proc` in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the usage of process `pid`. Errors when there is no such process.
pub(crate) fn usage(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut usage = parse(&stat, &status)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc entry"))?;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        if let Ok(status) = fs::read_to_string(thread.path().join("status")) {
            usage.switches += field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
                + field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    Ok(usage)
}

/// The CPU time of this process so far, of all its threads, user and system: what `getrusage` says, in nanoseconds.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The command's name may hold blanks and parentheses: count from behind its last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some(Usage {
        user_s: ticks(11)? / TICKS_PER_SECOND,
        system_s: ticks(12)? / TICKS_PER_SECOND,
        resident_bytes: field(status, "VmRSS:")? * 1024,
        resident_bytes_peak: field(status, "VmHWM:")? * 1024,
        switches: 0,
    })
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 0 0";
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = parse(stat, status).unwrap();
        assert_eq!((usage.user_s, usage.system_s), (2.5, 0.5));
        assert_eq!(
            (usage.resident_bytes, usage.resident_bytes_peak),
            (1 << 20, 2 << 20)
        );
    }

    #[test]
    fn this_process_has_used_something_and_one_that_is_not_there_is_an_error() {
        assert!(usage(std::process::id()).unwrap().resident_bytes > 0);
        assert!(usage(u32::MAX).is_err());
    }
}
