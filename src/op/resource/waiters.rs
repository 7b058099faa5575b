//! A queue of tasks that wait for something of which there is not enough: a free buffer, a descriptor. First come, first
//! served.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use super::queue::Queue;
use crate::task::WakeRef;

/// Who waits, each with a number of its own.
#[derive(Default)]
pub(super) struct Waiters {
    queue: RefCell<Queue<(u64, WakeRef)>>,
    last: Cell<u64>,
}

impl Waiters {
    /// Wakes the first; false if nobody waits.
    pub(super) fn wake_one(&self) -> bool {
        let next = self.queue.borrow_mut().pop();
        match next {
            Some((_, waiter)) => {
                waiter.wake();
                true
            }
            None => false,
        }
    }
}

/// One who waits, or has been woken, or has not begun. It is told of by its owner when it is given up.
#[derive(Debug, Default)]
pub(super) struct Wait {
    /// Its index in the queue, and its number: another's may stand there after it was woken.
    index: Option<(u32, u64)>,
}

impl Wait {
    /// Looks at what stands for it in the queue, if it has not been woken yet.
    fn with_queued<R>(&self, waiters: &Waiters, look: impl FnOnce(&WakeRef) -> R) -> Option<R> {
        let (index, number) = self.index?;
        let mut queue = waiters.queue.borrow_mut();
        let (own, waiter) = queue.get_mut(index)?;
        (*own == number).then(|| look(waiter))
    }

    pub(super) fn will_wake(&self, waiters: &Waiters, waker: &Waker) -> bool {
        self.with_queued(waiters, |waiter| waiter.will_wake(waker)) == Some(true)
    }

    pub(super) fn was_woken(&self, waiters: &Waiters) -> bool {
        self.index.is_some() && self.with_queued(waiters, |_| ()).is_none()
    }

    /// Waits: at the index that it has, in front if it was woken for nothing, else at the end.
    pub(super) fn register(&mut self, waiters: &Waiters, waiter: WakeRef) {
        let queued = self.with_queued(waiters, |_| ()).is_some();
        let mut queue = waiters.queue.borrow_mut();
        if let (true, Some((index, _))) = (queued, self.index) {
            let before = queue
                .get_mut(index)
                .map(|(_, one)| std::mem::replace(one, waiter));
            drop(queue);
            drop(before);
            return;
        }
        let number = waiters.last.get() + 1;
        waiters.last.set(number);
        let index = match self.index {
            None => queue.push((number, waiter)),
            Some(_) => queue.push_front((number, waiter)),
        };
        self.index = Some((index, number));
    }

    /// Gives up; says whether it had been woken.
    pub(super) fn leave(&mut self, waiters: &Waiters) -> bool {
        let queued = self.with_queued(waiters, |_| ()).is_some();
        let Some((index, _)) = self.index.take() else {
            return false;
        };
        if queued {
            let left = waiters.queue.borrow_mut().remove(index);
            drop(left);
        }
        !queued
    }
}
