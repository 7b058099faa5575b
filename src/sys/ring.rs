//! The ring that a driver has, of whichever kind.

use std::io;
use std::os::fd::RawFd;

use super::buf_ring::BufRing;
use super::config::{Backend, RingConfig, RingInfo, Wait};
use super::entry::{Completion, Entry, Promised};
use super::features::Features;
use super::kernel_ring::KernelRing;
use super::memory::Memory;
use super::mixed_ring::MixedRing;
use super::notifier::Notifier;
use super::readiness::Readiness;
use super::software::SoftwareRing;
use crate::Error;

/// A pair of queues: entries go in, completions come out.
///
/// Each method asks which kind it is, and no more, so that the kernel's ring costs what it costs by itself.
#[allow(clippy::large_enum_variant)] // The large one is the usual one, and saves a step.
pub(crate) enum Ring {
    /// io_uring, which has all that the crate asks of it.
    Kernel(KernelRing),
    /// io_uring, and beside it what carries out the rest.
    Mixed(Box<MixedRing>),
    /// Plain system calls.
    Software(Box<SoftwareRing>),
}

/// Makes the same call of whichever ring there is. The usual one is asked for first, and what the others do stands apart: a nop
/// takes 805 instructions in user space where all are inlined side by side.
macro_rules! each {
    ($ring:expr, $one:ident => $call:expr) => {
        match $ring {
            Ring::Kernel($one) => $call,
            other => apart(|| match other {
                Ring::Mixed($one) => $call,
                Ring::Software($one) => $call,
                Ring::Kernel($one) => $call,
            }),
        }
    };
}

#[cold]
#[inline(never)]
fn apart<R>(call: impl FnOnce() -> R) -> R {
    call()
}

impl Ring {
    /// Makes the best ring that is to be had; it belongs to the calling thread.
    pub(crate) fn new(config: &RingConfig) -> Result<Self, Error> {
        match config.backend {
            Backend::Software => Self::software(config),
            Backend::IoUring => Self::kernel(config),
            Backend::Auto => match Self::kernel(config) {
                Err(refusal @ (Error::RingUnavailable { .. } | Error::KernelTooOld { .. }))
                    if !is_shortage_of_descriptors(&refusal) =>
                {
                    crate::warning::once("backend", || {
                        format!("{refusal}; plain system calls serve instead, which costs more")
                    });
                    Self::software(config)
                }
                other => other,
            },
        }
    }

    fn kernel(config: &RingConfig) -> Result<Self, Error> {
        let kernel = KernelRing::new(config)?;
        Ok(match MixedRing::lacks(kernel.features()) {
            None => Ring::Kernel(kernel),
            Some(lacks) => Ring::Mixed(Box::new(MixedRing::new(kernel, lacks, config))),
        })
    }

    fn software(config: &RingConfig) -> Result<Self, Error> {
        let ring = SoftwareRing::new(config).map_err(|source| Error::Resource {
            what: match source.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => {
                    "no descriptor is free for epoll(7); raise the limit (`ulimit -n`, or LimitNOFILE= in the service's unit)"
                }
                _ => "epoll(7) or its eventfd",
            },
            source,
        })?;
        Ok(Ring::Software(Box::new(ring)))
    }

    /// Puts `entry` into the submission queue; false if there is no room.
    #[inline]
    pub(crate) fn push(&mut self, entry: &Promised<&Entry>) -> bool {
        each!(self, ring => ring.push(entry))
    }

    /// Submits what was pushed, does what was put off, and waits as `wait` says. False: another thread does all this, and
    /// there was nothing to tell it.
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
            other => apart(|| match other {
                Ring::Kernel(ring) => ring.enter(wait),
                Ring::Mixed(ring) => ring.enter(wait),
                Ring::Software(ring) => ring.enter(wait).map(|()| true),
            }),
        }
    }

    /// Takes the next completion out of the queue, and frees its slot there at once.
    #[inline]
    pub(crate) fn reap(&mut self) -> Option<Completion> {
        each!(self, ring => ring.reap())
    }

    /// Whether there is anything to reap without entering.
    #[inline]
    pub(crate) fn has_completions(&mut self) -> bool {
        each!(self, ring => ring.has_completions())
    }

    /// How many pushed entries were not taken yet.
    #[inline]
    pub(crate) fn unsubmitted(&mut self) -> usize {
        each!(self, ring => ring.unsubmitted())
    }

    /// Whether the ring holds completions back until the next [`enter`](Self::enter).
    #[inline]
    pub(crate) fn wants_enter(&mut self) -> bool {
        each!(self, ring => ring.wants_enter())
    }

    /// Makes a ring of provided buffers known (5.19).
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
        let kernel = match self {
            Ring::Kernel(ring) => ring,
            Ring::Mixed(ring) => ring.kernel(),
            Ring::Software(ring) => return ring.register_buffers(buffers),
        };
        // SAFETY: the caller's promise.
        unsafe { kernel.register_buffers(buffers) }
    }

    /// Makes the ring's table of registered buffers, empty (5.19).
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2).
    pub(crate) fn make_buffer_table(&mut self, slots: u32) -> io::Result<()> {
        match self {
            Ring::Kernel(ring) => ring.make_buffer_table(slots),
            Ring::Mixed(ring) => ring.kernel().make_buffer_table(slots),
            Ring::Software(ring) => ring.make_buffer_table(slots),
        }
    }

    /// Registers memory in a slot of the table, or empties the slot. What is in flight keeps what it uses.
    ///
    /// # Errors
    ///
    /// `ENOMEM` beyond the locked-memory limit; others of io_uring_register(2).
    pub(crate) fn set_buffer(&mut self, slot: u32, memory: Option<&Memory>) -> io::Result<()> {
        match self {
            Ring::Kernel(ring) => ring.set_buffer(slot, memory),
            Ring::Mixed(ring) => ring.kernel().set_buffer(slot, memory),
            Ring::Software(ring) => ring.set_buffer(slot, memory),
        }
    }

    /// Makes the ring's table of registered files, empty (5.19).
    ///
    /// # Errors
    ///
    /// `EMFILE` if it were larger than the limit on descriptors; others of io_uring_register(2).
    pub(crate) fn make_file_table(&mut self, slots: u32) -> io::Result<()> {
        each!(self, ring => ring.make_file_table(slots))
    }

    /// Puts the file behind `fd` into a slot of the table, or with -1 empties the slot. What is in flight keeps its
    /// file.
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2).
    pub(crate) fn set_file(&mut self, slot: u32, fd: RawFd) -> io::Result<()> {
        each!(self, ring => ring.set_file(slot, fd))
    }

    /// What other threads can end a wait with. To be silenced before the ring is dropped.
    ///
    /// # Errors
    ///
    /// If it needs a descriptor and none is free.
    pub(crate) fn notifier(&mut self) -> io::Result<Notifier> {
        match self {
            Ring::Kernel(ring) => ring.notifier(),
            Ring::Mixed(ring) => ring.kernel().notifier(),
            Ring::Software(ring) => Ok(Notifier::of_software(ring.remote())),
        }
    }

    /// A descriptor that poll(2) finds readable when something has come for the ring's owner, be it in the middle of a wait.
    ///
    /// # Errors
    ///
    /// If no descriptor is free; those of io_uring_register(2).
    pub(crate) fn readiness(&mut self) -> io::Result<Readiness> {
        match self {
            Ring::Kernel(ring) => ring.readiness(),
            Ring::Mixed(ring) => ring.kernel().readiness(),
            Ring::Software(ring) => Readiness::of_software(ring.epoll(), ring.remote()),
        }
    }

    /// Takes in what has come while the owner has waited by [`readiness`](Self::readiness); says whether there is more that is
    /// only to be had by [`enter`](Self::enter).
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    pub(crate) fn look(&mut self) -> io::Result<bool> {
        match self {
            Ring::Kernel(ring) => Ok(ring.look()),
            Ring::Mixed(ring) => Ok(ring.look()),
            Ring::Software(ring) => ring.look().map(|()| false),
        }
    }

    /// Whether there is nothing to do until the descriptor of [`readiness`](Self::readiness) becomes readable. Then threads
    /// that bring something make it so. `renews`: something was reaped since the last time.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter); those of io_uring_register(2).
    pub(crate) fn rests(&mut self, renews: bool) -> io::Result<bool> {
        match self {
            Ring::Kernel(ring) => ring.rests(renews),
            Ring::Mixed(ring) => ring.rests(renews),
            Ring::Software(ring) => Ok(ring.rests()),
        }
    }

    /// What the runtime may use of this ring.
    pub(crate) fn features(&mut self) -> &Features {
        match self {
            Ring::Kernel(ring) => ring.features(),
            Ring::Mixed(ring) => ring.kernel().features(),
            Ring::Software(ring) => ring.features(),
        }
    }

    /// How often the completion queue was found overflown.
    pub(crate) fn overflows(&mut self) -> u64 {
        match self {
            Ring::Kernel(ring) => ring.overflows(),
            Ring::Mixed(ring) => ring.kernel().overflows(),
            Ring::Software(ring) => ring.overflows(),
        }
    }

    /// What was asked for, and obtained.
    pub(crate) fn info(&mut self) -> RingInfo {
        match self {
            Ring::Kernel(ring) => ring.info(),
            Ring::Mixed(ring) => ring.kernel().info(),
            Ring::Software(ring) => RingInfo {
                backend: Backend::Software,
                submission_entries: ring.entries(),
                completion_entries: ring.completions(),
                setup_flags: 0,
                registered_ring: false,
                no_iowait: false,
                bounded_workers: ring.threads(),
                unbounded_workers: 0,
            },
        }
    }
}

/// Whether a ring was refused because the process has too many descriptors, of which another kind of ring would need more.
fn is_shortage_of_descriptors(error: &Error) -> bool {
    match error {
        Error::RingUnavailable { source, .. } => {
            matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
        }
        _ => false,
    }
}
