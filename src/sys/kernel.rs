//! The kernel ring: io_uring behind the interface of [`Ring`](super::Ring).

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{self, NonNull};

use io_uring::{IoUring, types};

use super::setup::{self, RingInfo};
use super::{BufRing, Completion, Entry, RingConfig, Wait, features};
use crate::Error;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_SQ_WAKEUP: u32 = 1 << 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;

const REGISTER_RING_FDS: u32 = 20;

/// `struct io_uring_getevents_arg`
#[repr(C)]
struct EnterArg {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_usec: u32,
    timeout: u64,
}

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct RingFdUpdate {
    offset: u32,
    resv: u32,
    data: u64,
}

/// `struct __kernel_timespec`
#[repr(C)]
struct Timespec {
    sec: i64,
    nsec: i64,
}

pub(crate) struct KernelRing {
    ring: IoUring,
    /// What io_uring_enter(2) gets as its descriptor: the registered index, or the ring's own.
    enter_fd: i32,
    /// Flags that go with every enter.
    enter_flags: u32,
    setup_flags: u32,
    /// For how long (microseconds), and for how many completions, a wait holds out before one is enough.
    min_wait: (u32, u32),
    /// The most threads of the kernel for files, and for all else; 0 if that is not known.
    workers: [u32; 2],
    overflows: u64,
}

impl KernelRing {
    pub(super) fn new(config: &RingConfig) -> Result<Self, Error> {
        let (ring, setup_flags) = setup::create(config)?;
        let mut enter_fd = ring.as_raw_fd();
        let mut enter_flags = ENTER_GETEVENTS;
        if let Some(index) = register_ring_fd(&ring) {
            enter_fd = index;
            enter_flags |= ENTER_REGISTERED_RING;
        }
        if features::learn(&ring).no_iowait() {
            enter_flags |= ENTER_NO_IOWAIT;
        }
        let mut ring = KernelRing {
            ring,
            enter_fd,
            enter_flags,
            setup_flags,
            min_wait: (0, 1),
            workers: [0, 0],
            overflows: 0,
        };
        ring.apply_tuning(config);
        Ok(ring)
    }

    /// Applies the latency options that this kernel knows. They change how fast an operation is, never its result.
    fn apply_tuning(&mut self, config: &RingConfig) {
        let tuning = &config.tuning;
        if let Some((window, completions)) = tuning.min_wait
            && self.ring.params().is_feature_min_timeout()
        {
            let micros = window.as_micros().min(u32::MAX.into()) as u32;
            // Without a window, a wait would hold out for ever.
            let batch = if micros == 0 { 1 } else { completions };
            self.min_wait = (micros, batch.min(config.completions).max(1));
        }
        if let Some((busy_poll, prefer)) = tuning.napi {
            let micros = busy_poll.as_micros().min(u32::MAX.into()) as u32;
            let mut napi = types::Napi::new()
                .set_busy_poll_timeout(micros)
                .set_prefer_busy_poll(prefer);
            let _ = self.ring.submitter().register_napi(&mut napi);
        }
        let _ = self.limit_workers(tuning.workers);
        self.workers = self.limit_workers([0, 0]).unwrap_or_default();
    }

    /// Sets the limits of the thread's kernel workers that are not 0; gives what they were.
    fn limit_workers(&self, mut limits: [u32; 2]) -> io::Result<[u32; 2]> {
        self.ring
            .submitter()
            .register_iowq_max_workers(&mut limits)?;
        Ok(limits)
    }

    /// # Safety
    ///
    /// As for [`Ring::push`](super::Ring::push).
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: &Entry) -> bool {
        // SAFETY: the caller keeps what the entry points to valid until its completion.
        unsafe { self.ring.submission().push(entry.as_raw()).is_ok() }
    }

    #[inline(always)]
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<bool> {
        let submission = self.ring.submission();
        let to_submit = submission.len() as u32;
        let overflown = submission.cq_overflow();
        // The kernel keeps what did not fit, in order, and hands it over in this call.
        self.overflows += u64::from(overflown);
        let mut wakeup = 0;
        if self.setup_flags & setup::SQPOLL != 0 {
            if submission.need_wakeup() {
                wakeup = ENTER_SQ_WAKEUP;
            } else if wait == Wait::No && !overflown {
                // The kernel's thread takes the entries, and completions come by themselves.
                return Ok(false);
            }
        }
        drop(submission);
        let (min_wait, batch) = self.min_wait;
        let timeout = match wait {
            Wait::For(time) => Timespec {
                sec: time.as_secs().min(i64::MAX as u64) as i64,
                nsec: time.subsec_nanos().into(),
            },
            Wait::No | Wait::Forever => Timespec { sec: 0, nsec: 0 },
        };
        let arg = EnterArg {
            sigmask: 0,
            sigmask_size: 0,
            min_wait_usec: min_wait,
            timeout: match wait {
                Wait::For(_) => (&raw const timeout).expose_provenance() as u64,
                Wait::No | Wait::Forever => 0,
            },
        };
        let mut flags = self.enter_flags | wakeup;
        let (min_complete, arg_size) = match wait {
            Wait::No => (0u32, 0),
            Wait::Forever if batch == 1 => (1, 0),
            Wait::Forever | Wait::For(_) => {
                flags |= ENTER_EXT_ARG;
                (batch, size_of::<EnterArg>())
            }
        };
        let arg = if arg_size == 0 {
            ptr::null()
        } else {
            &raw const arg
        };
        // SAFETY: the descriptor is our ring's, or its index registered by this thread, which is the only one that can
        // hold this value. `arg` and the timespec it points to outlive the call. The entries below the tail were
        // pushed under the promise of `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                to_submit,
                min_complete,
                flags,
                arg,
                arg_size,
            )
        };
        if result < 0 {
            passing_only(io::Error::last_os_error())?;
        }
        Ok(true)
    }

    #[inline]
    pub(super) fn reap(&mut self) -> Option<Completion> {
        // Dropping the queue view publishes the head, so that the slot is free before the completion is acted on.
        self.ring.completion().next().map(Completion::from)
    }

    #[inline]
    pub(super) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    #[inline]
    pub(super) fn unsubmitted(&mut self) -> usize {
        self.ring.submission().len()
    }

    #[inline]
    pub(super) fn wants_enter(&mut self) -> bool {
        let submission = self.ring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// # Safety
    ///
    /// As for [`Ring::register_buffers`](super::Ring::register_buffers).
    pub(super) unsafe fn register_buffers(&mut self, buffers: &BufRing) -> io::Result<()> {
        // SAFETY: the ring's memory is the caller's to keep; its address and size are those of its mapping.
        unsafe {
            self.ring.submitter().register_buf_ring_with_flags(
                buffers.address(),
                buffers.entries(),
                buffers.group(),
                0,
            )
        }
    }

    pub(super) fn make_buffer_table(&mut self, slots: u32) -> io::Result<()> {
        self.ring.submitter().register_buffers_sparse(slots)
    }

    /// # Safety
    ///
    /// As for [`Ring::set_buffer`](super::Ring::set_buffer).
    pub(super) unsafe fn set_buffer(
        &mut self,
        slot: u32,
        memory: Option<(NonNull<u8>, usize)>,
    ) -> io::Result<()> {
        let (start, len) = memory.map_or((ptr::null_mut(), 0), |(start, len)| {
            (start.as_ptr().cast(), len)
        });
        let iovec = libc::iovec {
            iov_base: start,
            iov_len: len,
        };
        // SAFETY: the caller's promise; the vector lives across the call.
        unsafe {
            self.ring
                .submitter()
                .register_buffers_update(slot, &[iovec], None)
        }
    }

    pub(super) fn make_file_table(&mut self, slots: u32) -> io::Result<()> {
        self.ring.submitter().register_files_sparse(slots)
    }

    pub(super) fn set_file(&mut self, slot: u32, fd: RawFd) -> io::Result<()> {
        match self.ring.submitter().register_files_update(slot, &[fd])? {
            1 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    pub(super) fn overflows(&self) -> u64 {
        self.overflows
    }

    pub(super) fn info(&self) -> RingInfo {
        RingInfo {
            submission_entries: self.ring.params().sq_entries(),
            completion_entries: self.ring.params().cq_entries(),
            setup_flags: self.setup_flags,
            registered_ring: self.enter_flags & ENTER_REGISTERED_RING != 0,
            no_iowait: self.enter_flags & ENTER_NO_IOWAIT != 0,
            bounded_workers: self.workers[0],
            unbounded_workers: self.workers[1],
        }
    }
}

/// Lets the errors pass that a wait ends with without an event, or that ask us to reap first; nothing was lost then.
#[cold]
fn passing_only(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => Ok(()),
        _ => Err(error),
    }
}

/// Registers the ring's descriptor with the calling thread, which saves the kernel a look-up a call (5.18). The
/// crate's own call keeps the index in a `Submitter` that borrows the ring, so it is made here.
fn register_ring_fd(ring: &IoUring) -> Option<i32> {
    let mut update = RingFdUpdate {
        offset: u32::MAX,
        resv: 0,
        data: ring.as_raw_fd() as u64,
    };
    // SAFETY: `update` is one record of the layout that the call reads and writes, and lives across it.
    let registered = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_RING_FDS,
            &raw mut update,
            1,
        )
    };
    (registered == 1).then_some(update.offset as i32)
}

impl Drop for KernelRing {
    fn drop(&mut self) {
        if self.enter_flags & ENTER_REGISTERED_RING == 0 {
            return;
        }
        const UNREGISTER_RING_FDS: u32 = 21;
        let mut update = RingFdUpdate {
            offset: self.enter_fd as u32,
            resv: 0,
            data: 0,
        };
        // The thread's table keeps the ring open otherwise. A failure leaves it for the thread's exit to undo.
        // SAFETY: as in `register_ring_fd`.
        unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.ring.as_raw_fd(),
                UNREGISTER_RING_FDS,
                &raw mut update,
                1,
            );
        }
    }
}

impl AsRawFd for KernelRing {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
