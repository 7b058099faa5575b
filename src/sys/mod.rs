//! Layer 0: the only code that talks to the kernel's rings.
//!
//! [`Ring`] is the whole interface to whatever carries operations out: push an entry, enter (submit, wait with a
//! timeout), reap completions. Today the kernel's io_uring stands behind it; a ring in software can join as a second
//! variant without a line changing above, because entries and completions are plain kernel ABI.

mod buf_ring;
mod clock;
mod entry;
mod event;
mod features;
mod kernel;
mod memory;
mod notifier;
mod ring_id;
mod setup;

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::time::Duration;

pub(crate) use buf_ring::BufRing;
pub(crate) use clock::coarse_millis;
pub use entry::{Completion, Entry};
pub(crate) use entry::{ELAPSED, ENDED, NO_THREAD, OTHER_RUNTIME, Target, opcode, types};
use event::EventFd;
pub use features::{Features, features};
pub(crate) use memory::Memory;
pub(crate) use notifier::{Notifier, note_fork};
pub use ring_id::RingId;
pub(crate) use setup::memlock;
pub use setup::{RingInfo, Setup};

/// The user data of messages that only end a wait.
pub(crate) const IGNORED: u64 = u64::MAX;

/// How long [`Ring::enter`] may wait for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Submit and collect what is ready, do not sleep.
    No,
    /// Sleep until a completion arrives or the time is over.
    For(Duration),
    /// Sleep until a completion arrives.
    Forever,
}

/// What a ring is made with.
#[derive(Clone, Debug)]
pub(crate) struct RingConfig {
    pub(crate) entries: u32,
    pub(crate) completions: u32,
    pub(crate) setup: Setup,
    pub(crate) tuning: RingTuning,
}

/// How a ring waits and submits, where that is not as usual.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RingTuning {
    /// Wait so long for so many completions, before one is enough.
    pub(crate) min_wait: Option<(Duration, u32)>,
    /// Poll network queues for so long; and rather than being interrupted.
    pub(crate) napi: Option<(Duration, bool)>,
    /// A thread of the kernel submits, and sleeps after so long without entries.
    pub(crate) sqpoll: Option<Duration>,
    /// The most threads of the kernel for files, and for all else; 0 leaves the kernel's own limit.
    pub(crate) workers: [u32; 2],
}

/// A pair of queues: entries go in, completions come out.
pub(crate) enum Ring {
    /// io_uring itself.
    Kernel(kernel::KernelRing),
}

impl Ring {
    /// Makes the best ring that the kernel lets us have; it belongs to the calling thread.
    pub(crate) fn new(config: &RingConfig) -> Result<Self, crate::Error> {
        kernel::KernelRing::new(config).map(Ring::Kernel)
    }

    /// Puts `entry` into the submission queue; false if there is no room.
    ///
    /// # Safety
    ///
    /// All that the entry points to stays valid, and is not touched by anyone else, until the final completion that
    /// carries its `user_data` was reaped.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &Entry) -> bool {
        match self {
            // SAFETY: the caller's promise is the one that the kernel ring asks for.
            Ring::Kernel(ring) => unsafe { ring.push(entry) },
        }
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
        match self {
            Ring::Kernel(ring) => ring.enter(wait),
        }
    }

    /// Takes the next completion out of the queue, and frees its slot there at once.
    #[inline]
    pub(crate) fn reap(&mut self) -> Option<Completion> {
        match self {
            Ring::Kernel(ring) => ring.reap(),
        }
    }

    /// Whether there is anything to reap without entering.
    #[inline]
    pub(crate) fn has_completions(&mut self) -> bool {
        match self {
            Ring::Kernel(ring) => ring.has_completions(),
        }
    }

    /// How many pushed entries the kernel has not taken yet.
    #[inline]
    pub(crate) fn unsubmitted(&mut self) -> usize {
        match self {
            Ring::Kernel(ring) => ring.unsubmitted(),
        }
    }

    /// Whether the ring holds completions back until the next [`enter`](Self::enter).
    #[inline]
    pub(crate) fn wants_enter(&mut self) -> bool {
        match self {
            Ring::Kernel(ring) => ring.wants_enter(),
        }
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
        match self {
            // SAFETY: the caller's promise.
            Ring::Kernel(ring) => unsafe { ring.register_buffers(buffers) },
        }
    }

    /// Makes the ring's table of registered buffers, empty (5.19).
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2).
    pub(crate) fn make_buffer_table(&mut self, slots: u32) -> io::Result<()> {
        match self {
            Ring::Kernel(ring) => ring.make_buffer_table(slots),
        }
    }

    /// Registers memory in a slot of the table, or empties the slot. What is in flight keeps what it uses.
    ///
    /// # Errors
    ///
    /// `ENOMEM` beyond the locked-memory limit; others of io_uring_register(2).
    ///
    /// # Safety
    ///
    /// As long as operations name the slot, what they write there is watched over as is what an entry points to.
    pub(crate) unsafe fn set_buffer(
        &mut self,
        slot: u32,
        memory: Option<(NonNull<u8>, usize)>,
    ) -> io::Result<()> {
        match self {
            // SAFETY: the caller's promise.
            Ring::Kernel(ring) => unsafe { ring.set_buffer(slot, memory) },
        }
    }

    /// Makes the ring's table of registered files, empty (5.19).
    ///
    /// # Errors
    ///
    /// `EMFILE` if it were larger than the limit on descriptors; others of io_uring_register(2).
    pub(crate) fn make_file_table(&mut self, slots: u32) -> io::Result<()> {
        match self {
            Ring::Kernel(ring) => ring.make_file_table(slots),
        }
    }

    /// Puts the file behind `fd` into a slot of the table, or with -1 empties the slot. What is in flight keeps its
    /// file.
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2).
    pub(crate) fn set_file(&mut self, slot: u32, fd: RawFd) -> io::Result<()> {
        match self {
            Ring::Kernel(ring) => ring.set_file(slot, fd),
        }
    }

    /// What other threads can end a wait with. To be silenced before the ring is dropped.
    ///
    /// # Errors
    ///
    /// If it needs a descriptor and none is free.
    pub(crate) fn notifier(&self) -> io::Result<Notifier> {
        match self {
            Ring::Kernel(ring) => Notifier::new(ring.as_raw_fd()),
        }
    }

    /// How often the completion queue was found overflown.
    pub(crate) fn overflows(&self) -> u64 {
        match self {
            Ring::Kernel(ring) => ring.overflows(),
        }
    }

    /// What was asked of the kernel, and obtained.
    pub(crate) fn info(&self) -> RingInfo {
        match self {
            Ring::Kernel(ring) => ring.info(),
        }
    }
}
