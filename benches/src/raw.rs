//! What the hand-written loops share: a ring set up as well as the kernel allows, and memory for it.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use io_uring::squeue::Entry;
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue};

/// As many entries as saferring's default.
const ENTRIES: u32 = 256;
const COMPLETIONS: u32 = 4096;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;
const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// Wait for data before trying to receive (`IORING_RECVSEND_POLL_FIRST`).
pub(crate) const POLL_FIRST: u16 = 1 << 0;

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct RingFd {
    offset: u32,
    resv: u32,
    data: u64,
}

/// An io_uring of this thread's, with deferred task work and a registered descriptor.
pub(crate) struct Ring {
    ring: IoUring,
    fd: i32,
    flags: u32,
    enters: u64,
}

impl Ring {
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_no_sqarray()
            .setup_cqsize(COMPLETIONS)
            .dontfork()
            .build(ENTRIES)?;
        let mut flags = ENTER_GETEVENTS;
        let mut fd = ring.as_raw_fd();
        if let Some(index) = register(&ring, REGISTER_RING_FDS, u32::MAX, ring.as_raw_fd() as u64) {
            fd = index as i32;
            flags |= ENTER_REGISTERED_RING;
        }
        if ring.params().is_feature_no_iowait() {
            flags |= ENTER_NO_IOWAIT;
        }
        Ok(Ring {
            ring,
            fd,
            flags,
            enters: 0,
        })
    }

    /// How often the kernel was entered.
    pub(crate) fn enters(&self) -> u64 {
        self.enters
    }

    pub(crate) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    /// The queues, for a loop to hold.
    pub(crate) fn queues(&mut self) -> Queues<'_> {
        let (_, sq, cq) = self.ring.split();
        Queues {
            sq,
            cq,
            fd: self.fd,
            flags: self.flags,
            enters: &mut self.enters,
        }
    }

    /// Whether the kernel wants to be entered.
    #[inline]
    pub(crate) fn wants_enter(&mut self) -> bool {
        self.ring.submission().taskrun()
    }
}

/// One call of io_uring_register(2) about the ring's own descriptor; returns the index it is registered at.
fn register(ring: &IoUring, what: u32, offset: u32, data: u64) -> Option<u32> {
    let mut update = RingFd {
        offset,
        resv: 0,
        data,
    };
    // SAFETY: both calls read and write one record of this layout, and `update` lives across them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            what,
            &raw mut update,
            1,
        )
    };
    (done == 1).then_some(update.offset)
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.flags & ENTER_REGISTERED_RING != 0 {
            register(&self.ring, UNREGISTER_RING_FDS, self.fd as u32, 0);
        }
    }
}

/// Both queues of a ring. The heads and tails stay in registers between two turns.
pub(crate) struct Queues<'a> {
    sq: SubmissionQueue<'a>,
    cq: CompletionQueue<'a>,
    fd: i32,
    flags: u32,
    enters: &'a mut u64,
}

impl Queues<'_> {
    /// Puts an entry into the queue; enters the kernel first if it is full.
    ///
    /// # Safety
    ///
    /// What the entry points to stays valid until its completion, and nobody else uses it meanwhile.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &Entry) -> io::Result<()> {
        loop {
            // SAFETY: the caller's promise.
            if unsafe { self.sq.push(entry) }.is_ok() {
                return Ok(());
            }
            self.turn(0)?;
        }
    }

    /// Submits what was pushed, waits for `want` completions, and shows those that are there to `next`.
    #[inline]
    pub(crate) fn turn(&mut self, want: u32) -> io::Result<()> {
        self.sq.sync();
        // The kernel must see which completions were taken, or it finds some in the queue and does not wait.
        self.cq.sync();
        *self.enters += 1;
        // SAFETY: the descriptor, or the index it is registered at, is that of the ring whose queues these are; no
        // pointer is passed. The entries were pushed under the promise of `push`.
        let done = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd,
                self.sq.len() as u32,
                want,
                self.flags,
                ptr::null::<u8>(),
                0,
            )
        };
        if done < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.sq.sync();
        self.cq.sync();
        Ok(())
    }

    /// The next completion.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<cqueue::Entry> {
        self.cq.next()
    }

    /// How often the kernel was entered.
    pub(crate) fn enters(&self) -> u64 {
        *self.enters
    }
}

/// The result of a completion as std would give it.
#[inline]
pub(crate) fn result(cqe: &cqueue::Entry) -> io::Result<usize> {
    match cqe.result() {
        error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
        n => Ok(n as usize),
    }
}

/// Whole pages that are never unmapped: whatever a loop leaves in flight when it ends, the kernel may write to it.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    len: usize,
}

impl Memory {
    pub(crate) fn map(len: usize) -> io::Result<Self> {
        // SAFETY: a fresh private mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(start) if base != libc::MAP_FAILED => Ok(Memory { base: start, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of the byte at `offset`, with room for `len` bytes.
    ///
    /// # Panics
    ///
    /// If these are not all in the mapping.
    #[inline]
    pub(crate) fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset + len <= self.len);
        // SAFETY: the offset is inside the mapping, as just checked.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Safety
    ///
    /// The kernel is not using that place.
    pub(crate) unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: `at` has checked the place; `bytes` cannot overlap with it, because no reference to the mapping is
        // ever made; the caller says that nobody else uses it.
        unsafe {
            self.at(offset, bytes.len())
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Whether `bytes` are what is at `offset`.
    ///
    /// # Safety
    ///
    /// The kernel is not using that place.
    pub(crate) unsafe fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        // SAFETY: `at` has checked the place, mappings are initialised with zeros, and by the caller's word nobody
        // writes to it while the slice lives.
        bytes == unsafe { std::slice::from_raw_parts(self.at(offset, bytes.len()), bytes.len()) }
    }
}
