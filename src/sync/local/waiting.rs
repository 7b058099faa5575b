//! The one task that waits at an end of a channel.

use std::cell::Cell;
use std::task::Context;

use crate::task::WakeRef;

/// One task that waits.
#[derive(Default)]
pub(super) struct Waiting(Cell<Option<WakeRef>>);

impl Waiting {
    /// Wakes it. It may run foreign code.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    /// Whether it is the task that polls.
    pub(super) fn is_woken_by(&self, cx: &Context<'_>) -> bool {
        let waker = self.0.take();
        let same = waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        self.0.set(waker);
        same
    }

    /// Waits, instead of whoever did before.
    pub(super) fn set(&self, waker: Option<WakeRef>) {
        drop(self.0.replace(waker));
    }
}
