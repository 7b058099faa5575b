//! What a ring is known by.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names one ring of the process, for all time: what belongs to a ring carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingId(NonZeroU64);

impl RingId {
    /// One that nobody had before.
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        // 2^64 rings are never made.
        RingId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MAX))
    }

    pub(crate) fn get(self) -> NonZeroU64 {
        self.0
    }
}
