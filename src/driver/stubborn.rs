//! Operations that a cancel had no effect on, and when they are cancelled again.

use std::time::{Duration, Instant};

/// The first time that an operation is given to end after a cancel that met it at work, and the longest.
const PATIENCE: Duration = Duration::from_millis(1);
const PATIENCE_MAX: Duration = Duration::from_millis(256);

/// Operations that are in flight although a cancel was answered with `EALREADY` or `ENOENT`: a thread of the kernel was at
/// work on them, or on its way there. It may just have been about to sleep, as in a read of a pipe, and then it does not
/// know of the cancel (seen on 6.1). What the disk has cannot be cancelled, and ends by itself.
#[derive(Debug, Default)]
pub(super) struct Stubborn {
    /// By their user data.
    keys: Vec<u64>,
    /// When they are cancelled again.
    at: Option<Instant>,
    patience: Duration,
}

impl Stubborn {
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// One that the kernel has although a cancel for it was answered.
    pub(super) fn add(&mut self, user_data: u64) {
        if self.keys.is_empty() {
            self.patience = self.patience.clamp(PATIENCE, PATIENCE_MAX);
            self.at = Some(Instant::now() + self.patience);
        }
        self.keys.push(user_data);
    }

    /// Those that are due, each once.
    pub(super) fn take(&mut self) -> Vec<u64> {
        let mut keys = std::mem::take(&mut self.keys);
        keys.sort_unstable();
        keys.dedup();
        self.at = None;
        keys
    }

    /// After [`take`](Self::take): whether any of them was still in flight. What takes long, such as a write to a slow disk, is
    /// not asked every millisecond.
    pub(super) fn taken(&mut self, any: bool) {
        self.patience = if any { self.patience * 2 } else { PATIENCE };
    }
}
