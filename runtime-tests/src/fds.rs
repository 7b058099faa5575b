//! The process's descriptors, and what its threads are at.

use std::os::fd::RawFd;

/// Every open descriptor and what it stands for, as in `(3, "socket:[1234]")`.
///
/// Tests of one binary run one after the other, but an earlier one may still be ending: to look for leaks within a test,
/// compare in a process of its own ([`in_child`](crate::in_child)), or look for one descriptor by [`fd_link`] and
/// [`holders`]. For leaks at its end [`bounded`](crate::bounded) looks.
pub fn open_fds() -> Vec<(RawFd, String)> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let mut fds: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            let link = fd_link(fd)?;
            // The descriptor that reads the directory is gone when this returns.
            (!link.ends_with("/fd")).then_some((fd, link))
        })
        .collect();
    fds.sort();
    fds
}

/// What a descriptor stands for: for sockets and pipes a name that no other has while the process lives.
pub fn fd_link(fd: RawFd) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// How many descriptors stand for this.
pub fn holders(link: &str) -> usize {
    open_fds().iter().filter(|(_, other)| other == link).count()
}

/// How many io_uring instances are open.
pub fn ring_fds() -> usize {
    holders("anon_inode:[io_uring]")
}

/// Whether a thread of the process is in this system call.
pub fn a_thread_is_in(call: libc::c_long) -> bool {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return false;
    };
    tasks.flatten().any(|task| {
        let now = std::fs::read_to_string(task.path().join("syscall"));
        now.is_ok_and(|now| now.split(' ').next() == Some(&call.to_string()))
    })
}
