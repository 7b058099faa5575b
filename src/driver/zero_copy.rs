//! Zero-copy sends, which have two completions: the answer, and the notification that the memory is free.

use super::driver::{Driver, Key};
use super::slots::State;

impl<W> Driver<W> {
    /// As [`orphan`](Self::orphan), for an operation that has answered and of which only the notification is to come:
    /// no cancel would bring that about. Gives back what would have been woken; false if the notification is there, and
    /// the caller takes the operation out.
    pub(crate) fn leave(&self, key: Key<W>) -> (bool, Option<W>) {
        self.with(|inner| {
            let head = inner.slots.head(key);
            if head.state != State::InFlight {
                return (false, None);
            }
            head.state = State::Orphan;
            let waiter = head.waiter.take();
            inner.slots.orphans += 1;
            (true, waiter)
        })
    }

    /// Counts sends that were carried out, and those that the kernel copied.
    pub(crate) fn count_zero_copy(&self, sent: bool, copied: bool) {
        self.with(|inner| {
            inner.counters.zero_copy_sends += u64::from(sent);
            inner.counters.zero_copy_copied += u64::from(copied);
        });
    }
}
