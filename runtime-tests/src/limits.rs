//! Limits of the process and of a thread, and who is held to them.

use std::io;

use saferring::fs::FixedBufPool;

use crate::spin_until;

/// Sets a limit of the process, for good.
///
/// # Panics
///
/// If it cannot be set.
#[track_caller]
pub fn limit(resource: libc::__rlimit_resource_t, to: u64) {
    let limit = libc::rlimit {
        rlim_cur: to,
        rlim_max: to,
    };
    // SAFETY: the call reads the limit, which lives across it.
    let set = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// Keeps the calling thread on a CPU, and those that it starts from then on: their stacks are begun by it.
///
/// # Panics
///
/// If the process may not use that CPU.
#[track_caller]
pub fn pin(cpu: usize) {
    // SAFETY: a set of CPUs is numbers, of which all may be zero.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is one of a machine's, which the set has room for; the call reads as many bytes as the set has.
    let pinned = unsafe {
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    assert_eq!(pinned, 0, "CPU {cpu}: {}", io::Error::last_os_error());
}

/// A small pool of registered buffers, of the runtime that runs.
///
/// Where little memory may be locked, it waits until there is some: kernels give it back some time after a ring is gone.
///
/// # Panics
///
/// If there is none for another reason, or in the end.
#[track_caller]
pub fn small_pool(buffers: u32, size: usize) -> FixedBufPool {
    let mut pool = None;
    spin_until("memory that may be locked", || {
        match FixedBufPool::new(buffers, size) {
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && lockable() < 1 << 20 => {}
            made => pool = Some(made.unwrap()),
        }
        pool.is_some()
    });
    pool.unwrap()
}

/// How many bytes of memory the process may lock: as many as there are if it is root.
///
/// # Panics
///
/// If it cannot be asked.
#[track_caller]
pub fn lockable() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the first call takes nothing; the second writes the limit, which lives across it.
    let failed = unsafe {
        if libc::geteuid() == 0 {
            return u64::MAX;
        }
        libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit)
    };
    assert_eq!(failed, 0, "{}", io::Error::last_os_error());
    limit.rlim_cur
}

/// Runs `body` as somebody who is held to limits and permissions, which root is not. It concerns all threads of the process.
/// Limits are counted for a user, so it is one who has nothing else here, where users are many.
///
/// # Panics
///
/// If root cannot become anybody else, or root again; and as `body`.
#[track_caller]
pub fn unprivileged<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return body();
    }
    let _again = RootAgain;
    let nobody = 65_534;
    let become_user = |id| {
        // SAFETY: the call takes numbers only. Who it was is kept as the saved user, whose capabilities do not count.
        unsafe { libc::setresuid(id, id, 0) == 0 }
    };
    let become_one = become_user(1_000_000 + std::process::id()) || become_user(nobody);
    assert!(become_one, "{}", io::Error::last_os_error());
    body()
}

struct RootAgain;

impl Drop for RootAgain {
    fn drop(&mut self) {
        // SAFETY: the call takes numbers only.
        let again = unsafe { libc::setresuid(0, 0, 0) };
        assert_eq!(again, 0, "{}", io::Error::last_os_error());
    }
}
