//! Cancels: sent behind their targets, and again where the first had no effect.

use super::driver::{Driver, Key};
use super::inner::Inner;
use super::slots::{self, CANCELLED, OURS, State};
use crate::sys::{Completion, Entry, Promised, opcode};

impl<W> Driver<W> {
    /// Asks the kernel to cancel `key`; its completion tells how that ended.
    pub(crate) fn cancel(&self, key: Key<W>) {
        self.with(|inner| {
            let head = inner.slots.head(key);
            // What has been told to begin anew is not to do so any more.
            head.tag |= CANCELLED;
            if head.state == State::InFlight {
                inner.push_cancel(key);
            }
        });
    }

    /// Asks the kernel to cancel everything that is in flight. What waits for its turn is not to go there any more.
    pub(crate) fn cancel_all(&self) {
        self.ending.set(true);
        self.with(|inner| {
            let in_flight = |state| matches!(state, State::InFlight | State::Orphan);
            for key in inner.slots.keys(in_flight) {
                inner.slots.head(key).tag |= CANCELLED;
                inner.push_cancel(key);
            }
        });
    }

    /// Whether everything was cancelled, as the driver is about to end or has ended.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }
}

impl<W, F> Inner<W, F> {
    /// Queues a cancel behind everything pushed so far, so that it cannot overtake its target.
    pub(super) fn push_cancel(&mut self, key: slots::Key<W, F>) {
        let mut entry = Entry::from(opcode::AsyncCancel::new(key.user_data()).build());
        entry.set_user_data(OURS | key.user_data());
        // SAFETY: a cancel points to nothing.
        self.push(unsafe { Promised::new(&entry) });
    }

    /// Reads the answer to a cancel.
    #[inline]
    pub(super) fn note_cancel(&mut self, cqe: Completion) {
        if matches!(-cqe.raw_result(), libc::EALREADY | libc::ENOENT) {
            self.keep_stubborn(cqe.user_data() & !OURS);
        }
    }

    #[cold]
    fn keep_stubborn(&mut self, target: u64) {
        // As a rule it has ended meanwhile, and that is what the answer says.
        let key = self.slots.find(target);
        if !key.is_some_and(|key| self.is_in_flight(key)) {
            return;
        }
        self.stubborn.add(target);
    }

    fn is_in_flight(&mut self, key: slots::Key<W, F>) -> bool {
        matches!(self.slots.head(key).state, State::InFlight | State::Orphan)
    }

    /// Cancels those again that are still in flight.
    #[cold]
    pub(super) fn cancel_again(&mut self) {
        let mut any = false;
        for target in self.stubborn.take() {
            let found = self.slots.find(target);
            if let Some(key) = found.filter(|&key| self.is_in_flight(key)) {
                any = true;
                self.push_cancel(key);
            }
        }
        self.stubborn.taken(any);
    }
}
