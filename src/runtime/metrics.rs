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

/// One of the numbers, for whoever shows all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// It only grows; otherwise it is what there is now.
    pub(crate) is_total: bool,
    pub(crate) value: fn(&Metrics) -> u64,
}

const fn total(name: &'static str, help: &'static str, value: fn(&Metrics) -> u64) -> Sample {
    Sample {
        name,
        help,
        is_total: true,
        value,
    }
}

const fn now(name: &'static str, help: &'static str, value: fn(&Metrics) -> u64) -> Sample {
    Sample {
        is_total: false,
        ..total(name, help, value)
    }
}

/// All numbers.
pub(crate) const SAMPLES: &[Sample] = &[
    total("ticks", "Rounds of the loop.", |it| it.ticks),
    total("enters", "Calls of io_uring_enter.", |it| it.enters),
    total("submissions", "Entries given to the ring.", |it| {
        it.submissions
    }),
    total("completions", "Completions taken from the ring.", |it| {
        it.completions
    }),
    total(
        "overflows",
        "Times that the completion queue was full.",
        |it| it.overflows,
    ),
    total(
        "backlogged",
        "Entries that waited for the submission queue.",
        |it| it.backlogged,
    ),
    total("stale", "Completions of operations that had ended.", |it| {
        it.stale
    }),
    now("in_flight", "Operations that the kernel has.", |it| {
        it.in_flight.into()
    }),
    now("orphans", "Operations whose future is gone.", |it| {
        it.orphans.into()
    }),
    now("tasks", "Tasks alive.", |it| it.tasks as u64),
    total(
        "run_here",
        "Work done by the core for want of a thread.",
        |it| it.run_here,
    ),
    total("stalls", "Times that the loop was held up.", |it| it.stalls),
    now("provided_buffers", "Provided buffers.", |it| {
        it.provided_buffers.into()
    }),
    now("provided_free", "Provided buffers that are free.", |it| {
        it.provided_free.into()
    }),
    total(
        "provided_dry",
        "Receives without a provided buffer.",
        |it| it.provided_dry,
    ),
    now(
        "provided_refused",
        "Whether provided buffers are refused.",
        |it| it.provided_refused.into(),
    ),
    total("zero_copy_sends", "Zero-copy sends.", |it| {
        it.zero_copy_sends
    }),
    total(
        "zero_copy_copied",
        "Zero-copy sends that were copied.",
        |it| it.zero_copy_copied,
    ),
];

/// The sum over several runtimes.
impl std::ops::Add for Metrics {
    type Output = Metrics;

    fn add(self, other: Metrics) -> Metrics {
        Metrics {
            ticks: self.ticks + other.ticks,
            enters: self.enters + other.enters,
            submissions: self.submissions + other.submissions,
            completions: self.completions + other.completions,
            overflows: self.overflows + other.overflows,
            backlogged: self.backlogged + other.backlogged,
            stale: self.stale + other.stale,
            in_flight: self.in_flight + other.in_flight,
            orphans: self.orphans + other.orphans,
            tasks: self.tasks + other.tasks,
            run_here: self.run_here + other.run_here,
            stalls: self.stalls + other.stalls,
            provided_buffers: self.provided_buffers + other.provided_buffers,
            provided_free: self.provided_free + other.provided_free,
            provided_dry: self.provided_dry + other.provided_dry,
            provided_refused: self.provided_refused || other.provided_refused,
            zero_copy_sends: self.zero_copy_sends + other.zero_copy_sends,
            zero_copy_copied: self.zero_copy_copied + other.zero_copy_copied,
        }
    }
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
            tasks: self
                .executor
                .task_count()
                .saturating_sub(self.own_tasks.get()),
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
