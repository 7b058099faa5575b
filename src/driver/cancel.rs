//! Cancels: sent behind their targets, and again where the first had no effect.

use std::time::{Duration, Instant};

use super::slots::{CANCELLED, State};
use super::{Driver, Inner, Key};
use crate::sys::{Completion, Entry, opcode};

/// Set in the user data of completions that are no operation's: of cancels, which have that of their target beside, and of
/// messages.
pub(super) const OURS: u64 = 1 << 63;

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
}

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

impl<W> Inner<W> {
    /// Queues a cancel behind everything pushed so far, so that it cannot overtake its target.
    pub(super) fn push_cancel(&mut self, key: Key<W>) {
        let mut entry = Entry::from(opcode::AsyncCancel::new(key.user_data()).build());
        entry.set_user_data(OURS | key.user_data());
        // SAFETY: a cancel points to nothing.
        unsafe { self.push(&entry) };
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
        let stubborn = &mut self.stubborn;
        if stubborn.keys.is_empty() {
            stubborn.patience = stubborn.patience.clamp(PATIENCE, PATIENCE_MAX);
            stubborn.at = Some(Instant::now() + stubborn.patience);
        }
        stubborn.keys.push(target);
    }

    fn is_in_flight(&mut self, key: Key<W>) -> bool {
        matches!(self.slots.head(key).state, State::InFlight | State::Orphan)
    }

    /// Cancels those again that are still in flight.
    #[cold]
    pub(super) fn cancel_again(&mut self) {
        let mut keys = std::mem::take(&mut self.stubborn.keys);
        keys.sort_unstable();
        keys.dedup();
        self.stubborn.at = None;
        let mut any = false;
        for target in keys {
            let found = self.slots.find(target);
            if let Some(key) = found.filter(|&key| self.is_in_flight(key)) {
                any = true;
                self.push_cancel(key);
            }
        }
        // What takes long, such as a write to a slow disk, is not asked every millisecond.
        self.stubborn.patience = if any {
            self.stubborn.patience * 2
        } else {
            PATIENCE
        };
    }
}
