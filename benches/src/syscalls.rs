//! Counting the system calls of another process.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `PERF_TYPE_TRACEPOINT`
const TRACEPOINT: u32 = 2;
/// `disabled` and `inherit` are bits 0 and 1 of the flags; inherited, so that threads to come count, too.
const INHERIT: u64 = 1 << 1;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: u64 = 1 << 3;

/// The start of `struct perf_event_attr`, in its first published size; the kernel takes what is missing for zeros.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample: [u64; 3],
    flags: u64,
    rest: [u64; 2],
}

/// A counter for each thread of a process.
#[derive(Debug)]
pub(crate) struct Counter {
    threads: Vec<OwnedFd>,
}

impl Counter {
    /// Counts from now on.
    ///
    /// # Errors
    ///
    /// If the kernel has no such tracepoint, or we may not use it.
    pub(crate) fn start(process: u32) -> io::Result<Self> {
        let id = tracepoint()?;
        let mut threads = Vec::new();
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = entry?.file_name();
            let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            threads.push(open(id, thread)?);
        }
        Ok(Counter { threads })
    }

    /// How many calls there were.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let mut sum = 0;
        for thread in &self.threads {
            let mut count = [0u8; 8];
            let buf = count.as_mut_ptr().cast();
            // SAFETY: the kernel writes at most 8 bytes to `count`, which lives across the call.
            match unsafe { libc::read(thread.as_raw_fd(), buf, 8) } {
                8 => sum += u64::from_ne_bytes(count),
                _ => return Err(io::Error::last_os_error()),
            }
        }
        Ok(sum)
    }
}

/// The tracepoint's number, from wherever tracefs is mounted.
fn tracepoint() -> io::Result<u64> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (_, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "tracefs").then_some(at)
    });
    let found = mounts
        .map(|at| fs::read_to_string(format!("{at}/events/raw_syscalls/sys_enter/id")))
        .find_map(Result::ok);
    let id = found.ok_or(io::ErrorKind::NotFound)?;
    id.trim().parse().map_err(io::Error::other)
}

fn open(id: u64, thread: libc::pid_t) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: id,
        flags: INHERIT,
        ..Attributes::default()
    };
    // SAFETY: the kernel reads `size` bytes of the attributes, which live across the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            thread,
            -1,
            -1,
            CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
