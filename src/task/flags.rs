//! What is known of a task, as bits of `Header::flags`. The owner's.

/// In the run queue.
pub(super) const QUEUED: u32 = 1 << 0;
/// The future is gone. Set once, never cleared: from here on a wake does nothing.
pub(super) const DONE: u32 = 1 << 1;
/// The next poll drops the future instead.
pub(super) const ABORTED: u32 = 1 << 2;
/// A `JoinHandle` exists, so the answer must be kept for it.
pub(super) const JOIN: u32 = 1 << 3;
/// The cell holds the answer.
pub(super) const ANSWER: u32 = 1 << 4;
/// The `JoinHandle` has taken the answer.
pub(super) const TAKEN: u32 = 1 << 5;
/// Not a task, but what stands for the future of `block_on`.
pub(super) const ROOT: u32 = 1 << 6;
/// It has a name.
pub(super) const NAMED: u32 = 1 << 7;
/// It is noted in the executor's pulse.
pub(super) const NOTED: u32 = 1 << 8;
/// From this bit on: 0, or one more than the number of its group.
pub(super) const GROUP_SHIFT: u32 = 16;
