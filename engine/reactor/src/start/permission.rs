//! What the system must allow before a shard can start, asked beforehand so that a refusal is one clear sentence.

use std::fs;
use std::io;

use super::StartError;
use crate::sys;

/// glommio refuses to start below this.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;

/// Raises the memory that may be locked to `wanted` where that is allowed, and checks that it is enough.
pub(super) fn memlock(wanted: u64) -> Result<(), StartError> {
    let (soft, hard) = sys::memlock().map_err(StartError::System)?;
    if soft < wanted {
        // First as far as the hard limit goes, which everyone may; then beyond it, which root may.
        let _ = sys::set_memlock(wanted.min(hard).max(soft), hard);
        if hard < wanted {
            let _ = sys::set_memlock(wanted, wanted);
        }
    }
    let (limit_bytes, _) = sys::memlock().map_err(StartError::System)?;
    if limit_bytes < MEMLOCK_BYTES_MIN {
        return Err(StartError::MemlockTooLow {
            limit_bytes,
            needed_bytes: wanted.max(MEMLOCK_BYTES_MIN),
        });
    }
    Ok(())
}

/// Raises the number of files that may be open to the hard limit: the soft one of many systems is 1,024, for the sake
/// of programs that use `select`. Where that is refused, running out is a fault that the callers know.
pub(super) fn descriptors() {
    if let Ok((soft, hard)) = sys::descriptors()
        && soft < hard
    {
        let _ = sys::set_descriptors(hard, hard);
    }
}

/// Tries io_uring.
pub(super) fn io_uring() -> Result<(), StartError> {
    sys::try_io_uring().map_err(refused)
}

/// Why io_uring was refused, and what to do.
pub(super) fn refused(error: io::Error) -> StartError {
    let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    explain(error, setting.trim())
}

fn explain(error: io::Error, setting: &str) -> StartError {
    let forbidden = |reason: &str, remedy: &str| StartError::IoUringForbidden {
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    };
    match (error.raw_os_error(), setting) {
        (Some(libc::EPERM), "1") => forbidden(
            "kernel.io_uring_disabled is 1",
            "set it to 0 as root with `sysctl kernel.io_uring_disabled=0`, or put this process into the group of \
             kernel.io_uring_group",
        ),
        (Some(libc::EPERM), "2") => forbidden(
            "kernel.io_uring_disabled is 2",
            "set it to 0 as root with `sysctl kernel.io_uring_disabled=0`",
        ),
        (Some(libc::EPERM | libc::EACCES), _) => forbidden(
            "a seccomp profile or security module refuses it",
            "run the container with a seccomp profile that allows io_uring_setup, io_uring_enter and \
             io_uring_register, or with --security-opt seccomp=unconfined",
        ),
        (Some(libc::ENOSYS), _) => forbidden(
            "the kernel has no io_uring, or a seccomp profile hides it",
            "use Linux 5.8 or later, and a seccomp profile that allows io_uring_setup, io_uring_enter and \
             io_uring_register",
        ),
        (Some(libc::ENOMEM), _) => StartError::MemlockTooLow {
            limit_bytes: sys::memlock().map_or(0, |(soft, _)| soft),
            needed_bytes: 8 << 20,
        },
        _ => StartError::System(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(errno: i32, setting: &str) -> String {
        explain(io::Error::from_raw_os_error(errno), setting).to_string()
    }

    #[test]
    fn a_refusal_names_its_cause_and_remedy() {
        assert_eq!(
            sentence(libc::EPERM, "2"),
            "io_uring is forbidden here (kernel.io_uring_disabled is 2): set it to 0 as root with \
             `sysctl kernel.io_uring_disabled=0`"
        );
        assert!(sentence(libc::EPERM, "0").contains("seccomp"));
        assert!(sentence(libc::ENOSYS, "").contains("Linux 5.8"));
        assert!(sentence(libc::ENOMEM, "0").contains("ulimit -l"));
    }

    #[test]
    fn too_little_lockable_memory_is_told_in_one_sentence() {
        let error = StartError::MemlockTooLow {
            limit_bytes: 65_536,
            needed_bytes: 8 << 20,
        };
        assert_eq!(
            error.to_string(),
            "only 65536 bytes of memory may be locked and io_uring needs 8388608: raise it with `ulimit -l 8192`, \
             LimitMEMLOCK= in the systemd unit, or --ulimit memlock=8388608 in Docker"
        );
    }
}
