//! When a socket should send without a copy.

use std::cell::Cell;
use std::rc::Rc;

/// What pays to be sent without a copy, with a margin. Published figures for a raw loop on kernel 6.15 break even at about
/// 4 KiB (2.05 cycles a byte against 2.16; at 64 KiB 0.32 against 0.51); before 6.10 it is said to be 10 KiB. We have a
/// second completion and a second future to pay for besides, and near the break-even there is nothing to win. Not measured
/// with this crate: loopback copies.
const THRESHOLD: u32 = 10 * 1024;
/// So many copied sends in a row, and the socket sends the plain way.
const COPIED_MAX: u8 = 4;
/// It then tries again with each such send that is large enough.
const RETRY_EVERY: u8 = 64;

/// What a socket has learned about zero-copy sends.
#[derive(Debug)]
#[allow(unreachable_pub)] // As `SharedFd`.
pub struct Usage {
    /// Smaller sends are plain ones.
    threshold: Cell<u32>,
    /// How many sends in a row were copied.
    copied: Cell<u8>,
    /// How many sends were plain since the last attempt, for that.
    skipped: Cell<u8>,
    /// Whether the socket cannot do it.
    refused: Cell<bool>,
}

impl Usage {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Usage {
            threshold: Cell::new(THRESHOLD),
            copied: Cell::new(0),
            skipped: Cell::new(0),
            refused: Cell::new(false),
        })
    }

    /// Sets the threshold, and forgets what was learned from copied sends.
    pub(crate) fn set_threshold(&self, bytes: usize) {
        self.threshold.set(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.copied.set(0);
        self.skipped.set(0);
    }

    /// Whether a send of this many bytes should be tried without a copy. To be asked once for each.
    pub(in crate::op) fn wants(&self, len: usize) -> bool {
        if self.refused.get()
            || self.threshold.get() == u32::MAX
            || len < self.threshold.get() as usize
        {
            return false;
        }
        if self.copied.get() < COPIED_MAX {
            return true;
        }
        let skipped = self.skipped.get() + 1;
        self.skipped.set(skipped % RETRY_EVERY);
        skipped == RETRY_EVERY
    }

    /// Learns how a send went.
    pub(in crate::op) fn learn(&self, copied: bool) {
        self.copied.set(if copied {
            self.copied.get().saturating_add(1)
        } else {
            0
        });
    }

    /// The socket cannot do it.
    pub(in crate::op) fn refuse(&self) {
        self.refused.set(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = THRESHOLD as usize;

    /// How many of so many large sends would be tried.
    fn tried(usage: &Usage, sends: usize) -> usize {
        (0..sends).filter(|_| usage.wants(LARGE)).count()
    }

    #[test]
    fn small_sends_are_plain() {
        let usage = Usage::new();
        assert!(!usage.wants(LARGE - 1));
        assert_eq!(tried(&usage, 1000), 1000);
        usage.set_threshold(0);
        assert!(usage.wants(0));
        usage.set_threshold(usize::MAX);
        assert!(!usage.wants(usize::MAX));
    }

    #[test]
    fn copied_sends_turn_it_off_and_one_that_was_not_turns_it_on() {
        let usage = Usage::new();
        for _ in 0..COPIED_MAX {
            assert!(usage.wants(LARGE));
            usage.learn(true);
        }
        let every = usize::from(RETRY_EVERY);
        assert_eq!(tried(&usage, every - 1), 0);
        assert_eq!(tried(&usage, 1), 1);
        usage.learn(true);
        assert_eq!(tried(&usage, 10 * every), 10);
        usage.learn(false);
        assert_eq!(tried(&usage, 100), 100);
    }

    #[test]
    fn a_socket_that_cannot_is_not_asked_again() {
        let usage = Usage::new();
        usage.refuse();
        usage.set_threshold(0);
        assert_eq!(tried(&usage, 1000), 0);
    }
}
