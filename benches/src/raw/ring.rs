//! What the hand-written loops share: a ring set up as well as the kernel allows, the loop, and memory for it.

use std::cell::Cell;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, types};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

thread_local! {
    /// How often this thread has entered the kernel through its rings.
    static ENTERS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has entered the kernel through its rings.
pub(crate) fn enters() -> u64 {
    ENTERS.get()
}

/// As many entries as saferring's default.
const ENTRIES: u32 = 256;
const COMPLETIONS: u32 = 4096;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
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
}

impl Ring {
    /// A ring of the size that saferring takes by default.
    pub(crate) fn new() -> io::Result<Self> {
        Ring::sized(ENTRIES, COMPLETIONS)
    }

    /// A ring with so many entries for submissions and for completions.
    pub(crate) fn sized(entries: u32, completions: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_no_sqarray()
            .setup_cqsize(completions)
            .dontfork()
            .build(entries)?;
        let mut flags = ENTER_GETEVENTS;
        let mut fd = ring.as_raw_fd();
        if let Some(index) = register(&ring, REGISTER_RING_FDS, u32::MAX, ring.as_raw_fd() as u64) {
            fd = index as i32;
            flags |= ENTER_REGISTERED_RING;
        }
        if ring.params().is_feature_no_iowait() {
            flags |= ENTER_NO_IOWAIT;
        }
        Ok(Ring { ring, fd, flags })
    }

    /// For what is registered with the ring.
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
    let resv = 0;
    let mut update = RingFd { offset, resv, data };
    let (call, fd, at) = (
        libc::SYS_io_uring_register,
        ring.as_raw_fd(),
        &raw mut update,
    );
    // SAFETY: both calls read and write one record of this layout, and `update` lives across them.
    let done = unsafe { libc::syscall(call, fd, what, at, 1) };
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
}

impl Queues<'_> {
    /// Puts an entry into the queue; enters the kernel first if it is full.
    ///
    /// # Safety
    ///
    /// What the entry points to stays valid until its completion, and nobody else uses it meanwhile.
    #[inline(always)]
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
    #[inline(always)]
    pub(crate) fn turn(&mut self, want: u32) -> io::Result<()> {
        self.enter(want, self.flags, ptr::null(), 0)
    }

    /// As [`turn`](Queues::turn), but waits so long at most. Nothing tells which it was but the completions.
    #[inline]
    pub(crate) fn turn_within(&mut self, want: u32, wait: Duration) -> io::Result<()> {
        let wait = types::Timespec::from(wait);
        let arg = types::SubmitArgs::new().timespec(&wait);
        let size = size_of::<types::SubmitArgs<'_, '_>>();
        let flags = self.flags | ENTER_EXT_ARG;
        match self.enter(want, flags, (&raw const arg).cast(), size) {
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(()),
            done => done,
        }
    }

    /// `arg` is null, or points to an argument of that size and the kind that the flags announce.
    #[inline(always)]
    fn enter(&mut self, want: u32, flags: u32, arg: *const u8, size: usize) -> io::Result<()> {
        self.sq.sync();
        // The kernel must see which completions were taken, or it finds some in the queue and does not wait.
        self.cq.sync();
        ENTERS.set(ENTERS.get() + 1);
        const ENTER: libc::c_long = libc::SYS_io_uring_enter;
        let submit = self.sq.len() as u32;
        // SAFETY: the descriptor, or the index it is registered at, is that of the ring whose queues these are; `arg`
        // is as said above in both callers, and what it points to lives in them. The entries were pushed under the
        // promise of `push`.
        let done = unsafe { libc::syscall(ENTER, self.fd, submit, want, flags, arg, size) };
        let error = (done < 0).then(io::Error::last_os_error);
        self.sq.sync();
        self.cq.sync();
        match error {
            Some(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// The loop of all work with so many operations in flight: `next` sees each completion, and says whether it has
    /// pushed another entry. Ends with the last completion.
    #[inline(always)]
    pub(crate) fn keep_in_flight(
        &mut self,
        mut in_flight: u64,
        mut next: impl FnMut(&mut Self, &cqueue::Entry) -> io::Result<bool>,
    ) -> io::Result<()> {
        while in_flight > 0 {
            self.turn(1)?;
            while let Some(cqe) = self.cq.next() {
                in_flight -= u64::from(!next(self, &cqe)?);
            }
        }
        Ok(())
    }
}

/// The completions that were there at the last turn.
impl Iterator for Queues<'_> {
    type Item = cqueue::Entry;

    #[inline]
    fn next(&mut self) -> Option<cqueue::Entry> {
        self.cq.next()
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
pub(crate) struct Memory {
    base: NonNull<u8>,
    len: usize,
}

impl Memory {
    /// Zeros, all in memory from the start.
    pub(crate) fn map(len: usize) -> io::Result<Self> {
        let (access, kind) = (
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::POPULATE,
        );
        // SAFETY: a fresh private mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), len, access, kind)? };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Memory { base, len })
    }

    /// Its size in bytes.
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
    /// The kernel is not using these bytes.
    pub(crate) unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: `at` has checked the range; `bytes` cannot overlap with it, because no reference to the mapping is
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
    /// The kernel is not using these bytes.
    pub(crate) unsafe fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        // SAFETY: `at` has checked the range, mappings are initialised with zeros, and by the caller's word nobody
        // writes to it while the slice lives.
        bytes == unsafe { std::slice::from_raw_parts(self.at(offset, bytes.len()), bytes.len()) }
    }
}
