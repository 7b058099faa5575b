//! Operations that wait in their cells without the kernel, and what is done to all that is on one file.

use super::driver::{Driver, Key};
use super::inner::Inner;
use super::slots::{self, CANCELLED, FileRef, INTERRUPTED, State};
use crate::sys::Completion;

impl<W> Driver<W> {
    /// Leaves a reserved operation in its cell, at `index` of a queue.
    pub(crate) fn wait(&self, key: Key<W>, index: u32, waiter: Option<W>) {
        self.with(|inner| {
            let head = inner.slots.head(key);
            debug_assert_eq!(head.state, State::Reserved);
            head.state = State::Waiting;
            head.a = index;
            head.waiter = waiter;
        });
    }

    /// Where in its queue an operation waits.
    pub(crate) fn queue_index(&self, key: Key<W>) -> Option<u32> {
        self.with(|inner| {
            let head = inner.slots.head(key);
            (head.state == State::Waiting).then_some(head.a)
        })
    }

    /// Lets an operation go to the kernel that waits; false if it does not go there.
    pub(crate) fn admit(&self, key: Key<W>) -> bool {
        let vtable = self.with(|inner| {
            let head = inner.slots.head(key);
            head.vtable.filter(|_| head.state == State::Waiting)
        });
        // SAFETY: the payload of a cell holds what its vtable was made for, and it waits.
        vtable.is_some_and(|vtable| unsafe { (vtable.calls.admit)(self, key) })
    }

    /// Completes an operation that waits, without the kernel. `again`: it is to begin anew. Gives back whom to wake.
    pub(crate) fn answer(&self, key: Key<W>, result: i32, again: bool) -> Option<W> {
        self.with(|inner| {
            let head = inner.slots.head(key);
            debug_assert_eq!(head.state, State::Waiting);
            head.state = State::Complete;
            // It is the runtime that ends it: the kernel has not given it up.
            head.tag |= if again { INTERRUPTED } else { CANCELLED };
            let waiter = head.waiter.take();
            if head.is_multishot() {
                inner.enqueue(key, Completion::new(0, result, 0));
            } else {
                head.a = result as u32;
                head.b = 0;
            }
            waiter
        })
    }

    /// Cancels what is in flight for a future on `file` and takes what arrives there, so that it begins anew. Each once.
    /// `only` as in [`Inner::on_file`].
    pub(crate) fn interrupt(&self, file: FileRef, only: Option<u64>) {
        self.with(|inner| {
            for key in inner.on_file(file, only) {
                let head = inner.slots.head(key);
                let reads = head.vtable.is_some_and(|vtable| vtable.reads);
                let untouched = head.tag & (INTERRUPTED | CANCELLED) == 0;
                if head.state == State::InFlight && reads && untouched {
                    head.tag |= INTERRUPTED;
                    inner.push_cancel(key);
                }
            }
        });
    }

    /// Cancels all that the kernel has on `file`; says whether there was anything. `only` as in [`Inner::on_file`].
    pub(crate) fn cancel_file(&self, file: FileRef, only: Option<u64>) -> bool {
        self.with(|inner| {
            let keys = inner.on_file(file, only);
            for &key in &keys {
                inner.slots.head(key).tag |= CANCELLED;
                inner.push_cancel(key);
            }
            !keys.is_empty()
        })
    }

    /// Whether something that the kernel has on `file` has this turn of it.
    pub(crate) fn has_turn(&self, file: FileRef, turn: u8) -> bool {
        self.with(|inner| {
            let keys = inner.slots.keys(is_in_flight);
            keys.into_iter().any(|key| {
                let head = inner.slots.head(key);
                head.file == Some(file) && head.turn() == turn
            })
        })
    }

    /// The files and turns of all that the kernel has not given back and will not, as the ring is gone.
    pub(crate) fn lose_files(&self) -> Vec<(FileRef, u8)> {
        self.with(|inner| {
            let keys = inner.slots.keys(is_in_flight).into_iter();
            keys.filter_map(|key| {
                let head = inner.slots.head(key);
                Some((head.file.take()?, head.turn()))
            })
            .collect()
        })
    }
}

impl<W, F> Inner<W, F> {
    /// What the kernel has on `file`. `only` is the user data of what may be all there is: a look at that one spares a look at
    /// all operations.
    fn on_file(&mut self, file: FileRef, only: Option<u64>) -> Vec<slots::Key<W, F>> {
        let known = only.and_then(|user_data| self.slots.find(user_data));
        if let Some(key) = known.filter(|&key| self.is_on(key, file)) {
            return vec![key];
        }
        let mut keys = self.slots.keys(is_in_flight);
        keys.retain(|&key| self.is_on(key, file));
        keys
    }

    fn is_on(&mut self, key: slots::Key<W, F>, file: FileRef) -> bool {
        let head = self.slots.head(key);
        is_in_flight(head.state) && head.file == Some(file)
    }
}

fn is_in_flight(state: State) -> bool {
    matches!(state, State::InFlight | State::Orphan)
}
