//! A clock that is cheap enough to read on every tick of the loop.

/// Milliseconds of the kernel's coarse monotonic clock, wrapping after 49 days; good to a scheduler tick.
///
/// It ages operations in the in-flight dump. Reading it costs about 5 ns and never a system call.
pub(crate) fn coarse_millis() -> u32 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // By libc: rustix looks into the vDSO, which is not there under valgrind.
    // SAFETY: `now` is a timespec that lives across the call, and the call only writes to it. It cannot fail with a
    // clock that has existed since Linux 2.6.32; if it did, `now` would stay zero.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    (now.tv_sec as u32)
        .wrapping_mul(1000)
        .wrapping_add((now.tv_nsec / 1_000_000) as u32)
}
