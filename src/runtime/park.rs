//! Spinning: whether to watch the ring for a while before the thread sleeps in the kernel.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// After so many sleeps in a row that a spin would have covered, the next wait begins with one.
const SHORT_SLEEPS: u8 = 3;
/// How often the ring is looked at between two looks at the clock.
const LOOKS: u32 = 16;

/// An adaptive, bounded spin.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// Sleeps in a row that were shorter than the limit.
    short: Cell<u8>,
}

impl Spin {
    pub(super) fn new(limit: Duration) -> Self {
        Spin {
            limit,
            short: Cell::new(0),
        }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        !self.limit.is_zero()
    }

    /// Looks until `found`, or the limit or `deadline` has come; says whether anything was found. Does nothing unless
    /// the last sleeps say that it is worth it.
    pub(super) fn watch(&self, deadline: Option<Instant>, mut found: impl FnMut() -> bool) -> bool {
        if self.short.get() < SHORT_SLEEPS {
            return false;
        }
        let started = Instant::now();
        let limit = match deadline {
            Some(deadline) => self.limit.min(deadline.saturating_duration_since(started)),
            None => self.limit,
        };
        loop {
            for _ in 0..LOOKS {
                if found() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if started.elapsed() >= limit {
                // It burnt its time for nothing: no more until sleeps are short again.
                self.short.set(0);
                return false;
            }
        }
    }

    /// A sleep begins; not timed if there is nothing to learn.
    #[inline]
    pub(super) fn sleep_begins(&self) -> Option<Instant> {
        self.is_on().then(Instant::now)
    }

    /// The sleep is over. No closure around it: a return right after a system call is mispredicted, 4 % of a nop.
    #[inline]
    pub(super) fn sleep_ends(&self, began: Option<Instant>) {
        if let Some(began) = began {
            let short = began.elapsed() < self.limit;
            self.short.set(match short {
                true => self.short.get().saturating_add(1),
                false => 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spins_after_short_sleeps_only_and_stops_after_a_miss() {
        let spin = Spin::new(Duration::from_secs(3600));
        for _ in 0..SHORT_SLEEPS {
            assert!(!spin.watch(None, || true));
            spin.sleep_ends(spin.sleep_begins());
        }
        assert!(spin.watch(None, || true));
        assert!(spin.watch(None, || true));
        // A deadline that has passed is a miss.
        assert!(!spin.watch(Some(Instant::now()), || false));
        assert!(!spin.watch(None, || true));
    }

    #[test]
    fn a_long_sleep_ends_it() {
        let spin = Spin::new(Duration::from_nanos(1));
        for _ in 0..SHORT_SLEEPS {
            let began = spin.sleep_begins();
            std::thread::yield_now();
            spin.sleep_ends(began);
        }
        // No sleep is shorter than a nanosecond.
        assert!(!spin.watch(None, || true));
    }
}
