//! What a thread has used of a processor: CPU time, so that a busy machine does not show.

/// Nanoseconds this thread has been on a CPU.
pub(crate) fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says it");
    text.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
