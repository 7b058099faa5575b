//! A free list that any thread may use: the items that nobody uses, and a queue of those who wait for one.
//!
//! An item that comes back while somebody waits is set aside for the first in the queue, under the lock. So nobody who
//! comes later can get it. Whoever leaves the queue passes on what was set aside for them.

use std::collections::VecDeque;
use std::mem;
use std::sync::PoisonError;
use std::task::{Poll, Waker};

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use crate::foreign;

/// At most `max` items, in use or free.
pub(super) struct FreeList<T> {
    max: usize,
    state: Mutex<State<T>>,
}

/// One may be had only if nobody waits: `waiting` is empty unless `free` is and `made` is the maximum.
struct State<T> {
    /// Last in, first out: what was used last is still in the cache.
    free: Vec<T>,
    /// How many there are, or are being made.
    made: usize,
    next_ticket: u64,
    /// By ascending ticket.
    waiting: VecDeque<(u64, Waker)>,
    /// Set aside for those who waited longest; by ascending ticket, as they leave `waiting` in that order.
    aside: VecDeque<(u64, T)>,
}

/// What one may have at once.
#[derive(Debug)]
pub(super) enum Taken<T> {
    /// This one.
    Free(T),
    /// A new one, which the caller makes. It counts as made.
    New,
}

impl<T> FreeList<T> {
    pub(super) fn new(max: usize) -> Self {
        FreeList {
            max,
            state: Mutex::new(State {
                free: Vec::new(),
                made: 0,
                next_ticket: 0,
                waiting: VecDeque::new(),
                aside: VecDeque::new(),
            }),
        }
    }

    /// No code of a user runs under the lock, neither a waker's nor a drop, so that it can come back here.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be had without waiting.
    #[inline]
    pub(super) fn take(&self) -> Option<Taken<T>> {
        self.lock().take(self.max)
    }

    /// As [`take`](Self::take), or a ticket, for which [`poll`](Self::poll) asks later. Who holds a ticket either polls
    /// until it is ready, or [`leave`](Self::leave)s.
    pub(super) fn take_or_wait(&self, waker: Waker) -> Result<Taken<T>, u64> {
        let mut state = self.lock();
        if let Some(taken) = state.take(self.max) {
            drop(state);
            // A panic in here would take the place of what was taken, and nobody would drop that.
            foreign::guarded(|| drop(waker));
            return Ok(taken);
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back((ticket, waker));
        Err(ticket)
    }

    /// What was set aside for `ticket`; until then `waker` is woken when it is.
    pub(super) fn poll(&self, ticket: u64, waker: &Waker) -> Poll<T> {
        let mut clone = None;
        loop {
            let mut state = self.lock();
            if let Some(item) = state.take_aside(ticket) {
                drop(state);
                foreign::guarded(|| drop(clone));
                return Poll::Ready(item);
            }
            let Ok(at) = state.waiting.binary_search_by_key(&ticket, |one| one.0) else {
                debug_assert!(false, "the ticket was used up");
                return Poll::Pending;
            };
            let known = &mut state.waiting[at].1;
            if known.will_wake(waker) {
                return Poll::Pending;
            }
            if let Some(clone) = clone.take() {
                let before = mem::replace(known, clone);
                drop(state);
                foreign::guarded(|| drop(before));
                return Poll::Pending;
            }
            drop(state);
            clone = Some(waker.clone());
        }
    }

    /// Gives up a ticket, and passes on what was set aside for it.
    pub(super) fn leave(&self, ticket: u64) {
        let mut state = self.lock();
        if let Some(item) = state.take_aside(ticket) {
            let next = state.put(item);
            drop(state);
            wake(next);
        } else if let Ok(at) = state.waiting.binary_search_by_key(&ticket, |one| one.0) {
            let left = state.waiting.remove(at);
            drop(state);
            foreign::guarded(|| drop(left));
        }
    }

    /// Puts one back: for the first who waits, or for whoever comes.
    #[inline]
    pub(super) fn put(&self, item: T) {
        let next = self.lock().put(item);
        wake(next);
    }

    /// How many may be taken now without waiting.
    pub(super) fn available(&self) -> usize {
        let state = self.lock();
        state.free.len() + (self.max - state.made)
    }

    /// How many there may be.
    pub(super) fn capacity(&self) -> usize {
        self.max
    }
}

/// Whoever gives something back has no part in what the waker of another does.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        foreign::guarded(|| waker.wake());
    }
}

impl<T> State<T> {
    fn take(&mut self, max: usize) -> Option<Taken<T>> {
        if let Some(item) = self.free.pop() {
            return Some(Taken::Free(item));
        }
        (self.made < max).then(|| {
            self.made += 1;
            Taken::New
        })
    }

    fn take_aside(&mut self, ticket: u64) -> Option<T> {
        let at = self.aside.binary_search_by_key(&ticket, |one| one.0).ok()?;
        Some(self.aside.remove(at)?.1)
    }

    /// Returns whom to wake.
    #[must_use]
    fn put(&mut self, item: T) -> Option<Waker> {
        match self.waiting.pop_front() {
            Some((ticket, waker)) => {
                self.aside.push_back((ticket, item));
                Some(waker)
            }
            None => {
                self.free.push(item);
                None
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// Panics when the last of its wakers is dropped.
    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("told to");
        }
    }

    #[test]
    fn a_waker_that_panics_when_it_is_dropped_takes_nothing_along() {
        let list = FreeList::new(1);
        let made = list.take_or_wait(Waker::from(Arc::new(Bomb)));
        assert!(matches!(made, Ok(Taken::New)));
        list.put(7);
        let taken = list.take_or_wait(Waker::from(Arc::new(Bomb)));
        assert!(matches!(taken, Ok(Taken::Free(7))));
        list.put(7);
        assert_eq!(list.available(), 1);
    }
}

/// loom models: every interleaving that the memory model allows. Its cells report unordered access to what is handed
/// on, and a lost wake shows as a deadlock.
#[cfg(all(test, loom))]
mod models {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, Wake};

    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Notify};
    use loom::thread;

    use super::*;

    /// What is handed on; loom sees who touches it.
    type Item = UnsafeCell<u32>;

    struct Notifier(Notify);

    impl Wake for Notifier {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.notify();
        }
    }

    fn notifier() -> (std::sync::Arc<Notifier>, Waker) {
        let notifier = std::sync::Arc::new(Notifier(Notify::new()));
        (notifier.clone(), notifier.into())
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let (notifier, waker) = notifier();
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            notifier.0.wait();
        }
    }

    fn made(taken: Taken<Item>) -> Item {
        match taken {
            Taken::Free(item) => item,
            Taken::New => Item::new(0),
        }
    }

    async fn take(list: &FreeList<Item>) -> Item {
        let mut ticket = None;
        poll_fn(|cx| match ticket {
            None => match list.take_or_wait(cx.waker().clone()) {
                Ok(taken) => Poll::Ready(made(taken)),
                Err(new) => {
                    ticket = Some(new);
                    Poll::Pending
                }
            },
            Some(ticket) => list.poll(ticket, cx.waker()),
        })
        .await
    }

    fn touch(item: &Item) -> u32 {
        item.with_mut(|count| {
            // SAFETY: loom checks that the access is exclusive, which is what is shown here.
            unsafe {
                *count += 1;
                *count
            }
        })
    }

    fn use_once(list: &FreeList<Item>) {
        let item = block_on(take(list));
        touch(&item);
        list.put(item);
    }

    /// All interleavings with at most three preemptions: such bugs as there are show with two.
    fn bounded(model: fn()) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    #[test]
    fn one_thing_serves_three_threads_one_after_the_other() {
        bounded(|| {
            let list = Arc::new(FreeList::new(1));
            let threads = [0, 1].map(|_| {
                let list = list.clone();
                thread::spawn(move || use_once(&list))
            });
            use_once(&list);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(list.available(), 1);
            let item = made(list.take().unwrap());
            assert_eq!(touch(&item), 4, "it was made more than once");
        });
    }

    #[test]
    fn what_is_put_back_elsewhere_goes_to_the_first_who_waits() {
        bounded(|| {
            let list = Arc::new(FreeList::new(1));
            let item = made(list.take().unwrap());
            let (_, waker) = notifier();
            let first = list.take_or_wait(waker.clone()).unwrap_err();
            let second = list.take_or_wait(waker.clone()).unwrap_err();
            let other = list.clone();
            let thread = thread::spawn(move || {
                touch(&item);
                other.put(item);
            });
            // Beside the return: it must not get what others wait for.
            assert!(list.take().is_none());
            assert!(list.poll(second, &waker).is_pending());
            thread.join().unwrap();
            let Poll::Ready(item) = list.poll(first, &waker) else {
                panic!("it went to somebody else");
            };
            touch(&item);
            assert!(list.poll(second, &waker).is_pending());
            list.put(item);
            assert!(list.poll(second, &waker).is_ready());
        });
    }

    #[test]
    fn one_who_leaves_while_being_woken_passes_it_on() {
        bounded(|| {
            let list = Arc::new(FreeList::new(1));
            let item = made(list.take().unwrap());
            let (_, waker) = notifier();
            let leaving = list.take_or_wait(waker).unwrap_err();
            let other = list.clone();
            let returns = thread::spawn(move || {
                touch(&item);
                other.put(item);
            });
            let other = list.clone();
            let leaves = thread::spawn(move || other.leave(leaving));
            // Gets it at once, from the return, or from the one who leaves.
            use_once(&list);
            returns.join().unwrap();
            leaves.join().unwrap();
            assert_eq!(list.available(), 1);
        });
    }

    #[test]
    fn a_waker_replaced_beside_the_return_is_not_missed() {
        loom::model(|| {
            let list = Arc::new(FreeList::new(1));
            let item = made(list.take().unwrap());
            let (_, stale) = notifier();
            let ticket = list.take_or_wait(stale).unwrap_err();
            let other = list.clone();
            let thread = thread::spawn(move || other.put(item));
            let item = block_on(poll_fn(|cx| list.poll(ticket, cx.waker())));
            touch(&item);
            thread.join().unwrap();
        });
    }
}
