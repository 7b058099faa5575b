//! Counting the system calls of another process.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::FromRawFd;

/// `PERF_TYPE_TRACEPOINT`
const TRACEPOINT: u32 = 2;
/// `inherit`, a bit of the flags: threads to come count, too.
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
pub(crate) struct Counter(Vec<File>);

impl Counter {
    /// Counts from now on.
    ///
    /// # Errors
    ///
    /// If the kernel has no such tracepoint, or we may not use it.
    pub(crate) fn start(process: u32) -> io::Result<Self> {
        let (tracepoint, mut threads) = (tracepoint()?, Vec::new());
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = entry?.file_name();
            if let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) {
                threads.push(open(tracepoint, thread)?);
            }
        }
        Ok(Counter(threads))
    }

    /// How many calls there were.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let read = |mut thread: &File| {
            let mut count = [0; 8];
            thread.read_exact(&mut count)?;
            Ok(u64::from_ne_bytes(count))
        };
        self.0.iter().map(read).sum()
    }
}

/// The tracepoint's number, from wherever tracefs is mounted.
fn tracepoint() -> io::Result<u64> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let id = mounts.find_map(|mut fields| {
        let at = fields.nth(1).filter(|_| fields.next() == Some("tracefs"))?;
        fs::read_to_string(format!("{at}/events/raw_syscalls/sys_enter/id")).ok()
    });
    let id = id.ok_or(io::ErrorKind::NotFound)?;
    id.trim().parse().map_err(io::Error::other)
}

fn open(tracepoint: u64, thread: libc::pid_t) -> io::Result<File> {
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: tracepoint,
        flags: INHERIT,
        ..Attributes::default()
    };
    let (open, attributes) = (libc::SYS_perf_event_open, &raw const attributes);
    // SAFETY: the kernel reads `size` bytes of the attributes, which live across the call.
    match unsafe { libc::syscall(open, attributes, thread, -1, -1, CLOEXEC) } {
        // SAFETY: the kernel just gave us this descriptor, so nobody else owns it.
        fd @ 0.. => Ok(unsafe { File::from_raw_fd(fd as i32) }),
        _ => Err(io::Error::last_os_error()),
    }
}
