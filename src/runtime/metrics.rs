//! What a runtime counts.

use super::event_loop::Core;

/// What a runtime has counted since it was made, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Ticks: rounds of the loop.
    pub ticks: u64,
    /// Calls of io_uring_enter(2).
    pub enters: u64,
    /// Entries given to the ring, cancels included.
    pub submissions: u64,
    /// Completions taken from the ring.
    pub completions: u64,
    /// How often the completion queue was found overflown. Nothing is lost then; a larger queue
    /// ([`Builder::completion_entries`](super::Builder::completion_entries)) avoids the detour.
    pub overflows: u64,
    /// Entries that had to wait because the submission queue was full.
    pub backlogged: u64,
    /// Completions that came for an operation already ended. The kernel should not send any.
    pub stale: u64,
    /// Operations that the kernel has now.
    pub in_flight: u32,
    /// Those of them whose future is gone.
    pub orphans: u32,
    /// Tasks alive now.
    pub tasks: usize,
    /// Work that was to go to a thread, such as looking up a name, and was done by the runtime's own, as no other could
    /// be had: it has held up the core.
    pub run_here: u64,
    /// How often the loop has stood still for longer than [`Builder::stall_detector`](super::Builder::stall_detector) allows;
    /// 0 without it.
    pub stalls: u64,
    /// Provided buffers that exist.
    pub provided_buffers: u32,
    /// Those of them that are free, for data to come; the others hold some.
    pub provided_free: u32,
    /// How often a stream found no provided buffer, and received into memory of its own.
    pub provided_dry: u64,
    /// Whether the kernel has refused to take (more) provided buffers: there is no memory that may be locked (`ulimit
    /// -l`), or a filter forbids it. Streams receive into memory of their own then.
    pub provided_refused: bool,
    /// Zero-copy sends that the kernel has carried out.
    pub zero_copy_sends: u64,
    /// Those of them of which it told that it copied the bytes all the same, as on loopback.
    pub zero_copy_copied: u64,
}

impl Core {
    pub(super) fn metrics(&self) -> Metrics {
        let (counters, overflows) = self.driver.counters();
        let (in_flight, orphans) = self.driver.in_flight();
        let provided = self.driver.pool().counters();
        Metrics {
            ticks: self.ticks.get(),
            enters: counters.enters,
            submissions: counters.submissions,
            completions: counters.completions,
            overflows,
            backlogged: counters.backlogged,
            stale: counters.stale,
            in_flight,
            orphans,
            tasks: self.executor.task_count(),
            run_here: self.run_here.get(),
            provided_buffers: provided.buffers,
            provided_free: provided.available,
            provided_dry: provided.exhausted,
            provided_refused: provided.refused,
            stalls: self.executor.pulse().stalls(),
            zero_copy_sends: counters.zero_copy_sends,
            zero_copy_copied: counters.zero_copy_copied,
        }
    }
}
