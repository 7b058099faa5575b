//! A ring of the kernel's.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;

use io_uring::{IoUring, types};

use super::buf_ring::BufRing;
use super::config::{Backend, RingConfig, RingInfo, Wait};
use super::entry::{Completion, Entry, Promised};
use super::features::Features;
use super::memory::Memory;
use super::notifier::Notifier;
use super::ring_index::RingIndex;
use super::worker_cpus::keep_workers_on;
use super::{flags, setup};
use crate::Error;
use crate::feature::Feature;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_SQ_WAKEUP: u32 = 1 << 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// `struct io_uring_getevents_arg`
#[repr(C)]
struct EnterArg {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_usec: u32,
    timeout: u64,
}

/// `struct __kernel_timespec`
#[repr(C)]
struct Timespec {
    sec: i64,
    nsec: i64,
}

/// A pair of queues: entries go in, completions come out.
pub(crate) struct KernelRing {
    /// The ring's index. (It goes before the ring.)
    index: Option<RingIndex>,
    pub(super) ring: IoUring,
    /// What io_uring_enter(2) gets as its descriptor: the registered index, or the ring's own.
    enter_fd: i32,
    /// Flags that go with every enter.
    enter_flags: u32,
    pub(super) setup_flags: u32,
    /// What the kernel signals, once the owner has asked for it.
    pub(super) event: Option<Arc<OwnedFd>>,
    /// For how long (microseconds), and for how many completions, a wait holds out before one is enough.
    min_wait: (u32, u32),
    /// The most threads of the kernel for files, and for all else; 0 if that is not known.
    workers: [u32; 2],
    overflows: u64,
    features: Features,
}

impl KernelRing {
    /// Makes the best ring that the kernel lets us have; it belongs to the calling thread.
    pub(crate) fn new(config: &RingConfig) -> Result<Self, Error> {
        let mut features = Features::for_ring(&config.policy);
        let (ring, flags) = setup::create(config, &features)?;
        features.settle(config, flags)?;
        let mut enter_fd = ring.as_raw_fd();
        let mut enter_flags = ENTER_GETEVENTS;
        let may = features.has(Feature::RegisteredRing);
        let index = may.then(|| RingIndex::register(&ring).ok()).flatten();
        match &index {
            Some(index) => {
                enter_fd = index.number();
                enter_flags |= ENTER_REGISTERED_RING;
            }
            None => features.note_unused(Feature::RegisteredRing),
        }
        if features.has(Feature::NoIowait) {
            enter_flags |= ENTER_NO_IOWAIT;
        }
        let mut ring = KernelRing {
            index,
            ring,
            enter_fd,
            enter_flags,
            setup_flags: flags::bits(flags),
            event: None,
            min_wait: (0, 1),
            workers: [0, 0],
            overflows: 0,
            features,
        };
        ring.may_enter().map_err(setup::explain)?;
        ring.apply_tuning(config);
        Ok(ring)
    }

    /// Whether the kernel can be entered at all: a filter may let a ring be made and forbid its use.
    fn may_enter(&self) -> io::Result<()> {
        // SAFETY: nothing is submitted, and nothing waited for.
        let entered = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                0,
                0,
                self.enter_flags,
                ptr::null::<EnterArg>(),
                0,
            )
        };
        match entered {
            ..0 => passing_only(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Applies the latency options that this kernel knows. They change how fast an operation is, never its result.
    fn apply_tuning(&mut self, config: &RingConfig) {
        let tuning = &config.tuning;
        let has = |feature| self.features.has(feature);
        if let Some((window, completions)) = tuning.min_wait.filter(|_| has(Feature::MinWait)) {
            let micros = window.as_micros().min(u32::MAX.into()) as u32;
            // Without a window, a wait would hold out for ever.
            let batch = if micros == 0 { 1 } else { completions };
            self.min_wait = (micros, batch.min(config.completions).max(1));
        }
        if let Some((busy_poll, prefer)) = tuning.napi.filter(|_| has(Feature::Napi)) {
            let micros = busy_poll.as_micros().min(u32::MAX.into()) as u32;
            let mut napi = types::Napi::new()
                .set_busy_poll_timeout(micros)
                .set_prefer_busy_poll(prefer);
            let _ = self.ring.submitter().register_napi(&mut napi);
        }
        if has(Feature::KernelWorkers) {
            let _ = self.limit_workers(tuning.workers);
            if !tuning.worker_cpus.is_empty() {
                let _ = keep_workers_on(self.ring.as_raw_fd(), &tuning.worker_cpus);
            }
            self.workers = self.limit_workers([0, 0]).unwrap_or_default();
        }
    }

    /// Sets the limits of the thread's kernel workers that are not 0; gives what they were.
    fn limit_workers(&self, mut limits: [u32; 2]) -> io::Result<[u32; 2]> {
        self.ring
            .submitter()
            .register_iowq_max_workers(&mut limits)?;
        Ok(limits)
    }

    /// Puts `entry` into the submission queue; false if there is no room.
    #[inline]
    pub(crate) fn push(&mut self, entry: &Promised<&Entry>) -> bool {
        // SAFETY: what the entry points to stays valid until its completion (`Promised::new`).
        unsafe { self.ring.submission().push(entry.as_raw()).is_ok() }
    }

    /// Submits what was pushed, runs the kernel's deferred work, and waits as `wait` says. False: the kernel has a thread
    /// that does all this, and there was nothing to tell it.
    ///
    /// A wait that ends early (a signal, a full completion queue, a shortage of memory) is no error: what was not
    /// submitted stays in the queue for the next call.
    ///
    /// # Errors
    ///
    /// Only what no retry can mend: the ring is gone, or a completion was lost.
    #[inline(always)]
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<bool> {
        let submission = self.ring.submission();
        let to_submit = submission.len() as u32;
        let overflown = submission.cq_overflow();
        // The kernel keeps what did not fit, in order, and hands it over in this call.
        self.overflows += u64::from(overflown);
        let mut wakeup = 0;
        if self.setup_flags & flags::SQPOLL != 0 {
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

    /// Takes the next completion out of the queue, and frees its slot there at once.
    #[inline]
    pub(crate) fn reap(&mut self) -> Option<Completion> {
        // Dropping the queue view publishes the head, so that the slot is free before the completion is acted on.
        self.ring.completion().next().map(Completion::from)
    }

    /// Whether there is anything to reap without entering.
    #[inline]
    pub(crate) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// How many pushed entries the kernel has not taken yet.
    #[inline]
    pub(crate) fn unsubmitted(&mut self) -> usize {
        self.ring.submission().len()
    }

    /// Whether the ring holds completions back until the next [`enter`](Self::enter).
    #[inline]
    pub(crate) fn wants_enter(&mut self) -> bool {
        let submission = self.ring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// Makes a ring of provided buffers known to the kernel (5.19).
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2): `EINVAL` before 5.19, `EEXIST` if the group is taken, `ENOMEM` beyond the
    /// locked-memory limit.
    ///
    /// # Safety
    ///
    /// `buffers` stays where it is, and is not dropped, until this ring is gone and nothing that was submitted to it is
    /// in flight.
    pub(crate) unsafe fn register_buffers(&mut self, buffers: &BufRing) -> io::Result<()> {
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

    /// Makes the ring's table of registered buffers, empty (5.19).
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2).
    pub(crate) fn make_buffer_table(&mut self, slots: u32) -> io::Result<()> {
        self.ring.submitter().register_buffers_sparse(slots)
    }

    /// Registers memory in a slot of the table, or empties the slot. What is in flight keeps what it uses.
    ///
    /// # Errors
    ///
    /// `ENOMEM` beyond the locked-memory limit; others of io_uring_register(2).
    pub(crate) fn set_buffer(&mut self, slot: u32, memory: Option<&Memory>) -> io::Result<()> {
        let iovec = libc::iovec {
            iov_base: memory.map_or(ptr::null_mut(), |memory| memory.start().as_ptr().cast()),
            iov_len: memory.map_or(0, Memory::len),
        };
        let submitter = self.ring.submitter();
        // SAFETY: the vector lives across the call, and the memory is mapped. The kernel pins the pages themselves: should the memory
        // be unmapped before the slot is emptied, what is written there goes to pages that nobody else has. And it writes there
        // only for an entry that names the slot, of which `push` has a promise.
        unsafe { submitter.register_buffers_update(slot, &[iovec], None) }
    }

    /// Makes the ring's table of registered files, empty (5.19).
    ///
    /// # Errors
    ///
    /// `EMFILE` if it were larger than the limit on descriptors; others of io_uring_register(2).
    pub(crate) fn make_file_table(&mut self, slots: u32) -> io::Result<()> {
        self.ring.submitter().register_files_sparse(slots)
    }

    /// Puts the file behind `fd` into a slot of the table, or with -1 empties the slot. What is in flight keeps its
    /// file.
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2).
    pub(crate) fn set_file(&mut self, slot: u32, fd: RawFd) -> io::Result<()> {
        match self.ring.submitter().register_files_update(slot, &[fd])? {
            1 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    /// What other threads can end a wait with. To be silenced before the ring is dropped.
    ///
    /// # Errors
    ///
    /// If it needs a descriptor and none is free.
    pub(crate) fn notifier(&self) -> io::Result<Notifier> {
        let ring = self.ring.as_raw_fd();
        Notifier::new(ring, self.features.has(Feature::MessageWakes))
    }

    /// What the runtime may use of this ring.
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// How often the completion queue was found overflown.
    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }

    /// What was asked of the kernel, and obtained.
    pub(crate) fn info(&self) -> RingInfo {
        RingInfo {
            backend: Backend::IoUring,
            submission_entries: self.ring.params().sq_entries(),
            completion_entries: self.ring.params().cq_entries(),
            setup_flags: self.setup_flags,
            registered_ring: self.index.is_some(),
            no_iowait: self.enter_flags & ENTER_NO_IOWAIT != 0,
            bounded_workers: self.workers[0],
            unbounded_workers: self.workers[1],
        }
    }
}

/// Lets the errors pass that a wait ends with without an event, or that ask us to reap first; nothing was lost then.
#[cold]
pub(super) fn passing_only(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => Ok(()),
        _ => Err(error),
    }
}
