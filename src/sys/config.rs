//! What a ring is made with, and what it came out as.

use std::time::Duration;

use super::policy::Policy;

/// Which way of working with the ring to try first. What the kernel does not have is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setup {
    /// Completions are worked out only when the runtime asks (`SINGLE_ISSUER`, `DEFER_TASKRUN`; kernel 6.1). The
    /// fastest, and the default.
    #[default]
    Deferred,
    /// Completions are worked out at the next system call (`COOP_TASKRUN`; kernel 5.19).
    Cooperative,
    /// No flags: completions interrupt the thread.
    Plain,
}

/// What carries the operations out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// io_uring, and where it cannot be had plain system calls, with one warning that says why. The environment variable
    /// `SAFERRING_BACKEND` (`auto`, `io_uring` or `software`) overrides it.
    #[default]
    Auto,
    /// The kernel's io_uring, or an error.
    IoUring,
    /// Plain system calls, readiness by epoll(7), and threads for what blocks.
    Software,
}

/// The ring that a runtime obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingInfo {
    /// What carries the operations out: never [`Backend::Auto`].
    pub backend: Backend,
    /// Entries of the submission queue.
    pub submission_entries: u32,
    /// Entries of the completion queue.
    pub completion_entries: u32,
    /// The flags given to io_uring_setup(2) (`IORING_SETUP_*`).
    pub setup_flags: u32,
    /// Whether the kernel knows the ring by a registered index, which saves a table look-up a call.
    pub registered_ring: bool,
    /// Whether waiting is kept out of the I/O wait that operators see (kernel 6.15).
    pub no_iowait: bool,
    /// How many threads of the kernel there might be, when the ring was made, for operations on files that would block
    /// ([`Builder::kernel_workers`](crate::runtime::Builder::kernel_workers)); 0 where the kernel does not tell (before 5.15).
    pub bounded_workers: u32,
    /// The same for everything else.
    pub unbounded_workers: u32,
}

/// How long [`Ring::enter`](super::Ring::enter) may wait for a completion.
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
#[derive(Clone, Debug, Default)]
pub(crate) struct RingConfig {
    pub(crate) backend: Backend,
    pub(crate) entries: u32,
    pub(crate) completions: u32,
    pub(crate) setup: Setup,
    pub(crate) tuning: RingTuning,
    pub(crate) policy: Policy,
}

/// How a ring waits and submits, where that is not as usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct RingTuning {
    /// Wait so long for so many completions, before one is enough.
    pub(crate) min_wait: Option<(Duration, u32)>,
    /// Poll network queues for so long; and rather than being interrupted.
    pub(crate) napi: Option<(Duration, bool)>,
    /// A thread of the kernel submits, and sleeps after so long without entries.
    pub(crate) sqpoll: Option<Duration>,
    /// The most threads of the kernel for files, and for all else; 0 leaves the kernel's own limit.
    pub(crate) workers: [u32; 2],
    /// The CPUs that those threads may run on; none leaves them what the thread's cpuset has.
    pub(crate) worker_cpus: Vec<usize>,
}
