//! Those who wait for something that there is not enough of, first come first served.

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
    /// Its place in the queue, and its number: another's may stand there after it was woken.
    place: Option<(u32, u64)>,
}

impl Wait {
    /// Looks at what stands for it in the queue, if it has not been woken yet.
    fn with_queued<R>(&self, waiters: &Waiters, look: impl FnOnce(&WakeRef) -> R) -> Option<R> {
        let (place, number) = self.place?;
        let mut queue = waiters.queue.borrow_mut();
        let (own, waiter) = queue.get_mut(place)?;
        (*own == number).then(|| look(waiter))
    }

    pub(super) fn will_wake(&self, waiters: &Waiters, waker: &Waker) -> bool {
        self.with_queued(waiters, |waiter| waiter.will_wake(waker)) == Some(true)
    }

    pub(super) fn was_woken(&self, waiters: &Waiters) -> bool {
        self.place.is_some() && self.with_queued(waiters, |_| ()).is_none()
    }

    /// Waits: at the place that it has, in front if it was woken for nothing, else at the end.
    pub(super) fn register(&mut self, waiters: &Waiters, waiter: WakeRef) {
        let queued = self.with_queued(waiters, |_| ()).is_some();
        let mut queue = waiters.queue.borrow_mut();
        if let (true, Some((place, _))) = (queued, self.place) {
            let before = queue
                .get_mut(place)
                .map(|(_, one)| std::mem::replace(one, waiter));
            drop(queue);
            drop(before);
            return;
        }
        let number = waiters.last.get() + 1;
        waiters.last.set(number);
        let place = match self.place {
            None => queue.push((number, waiter)),
            Some(_) => queue.push_front((number, waiter)),
        };
        self.place = Some((place, number));
    }

    /// Gives up; says whether it had been woken.
    pub(super) fn leave(&mut self, waiters: &Waiters) -> bool {
        let queued = self.with_queued(waiters, |_| ()).is_some();
        let Some((place, _)) = self.place.take() else {
            return false;
        };
        if queued {
            let left = waiters.queue.borrow_mut().remove(place);
            drop(left);
        }
        !queued
    }
}
