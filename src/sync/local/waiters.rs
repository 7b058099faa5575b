//! Those that wait for something of one core, first come, first served: what every lock and signal here is made of.

use std::task::Context;

use slab::Slab;

use crate::task::WakeRef;

const NONE: u32 = u32::MAX;
/// An empty line that was longer than this gives its memory back.
const KEPT_MAX: usize = 32;

/// A line of waiters. Each has a place, by which it is known until it leaves: also when it was called out of the line, until it
/// has seen why. All in constant time, and without an allocation for who waits where somebody has waited before.
///
/// Nothing here runs foreign code; whoever drops or wakes what it gives does so when nothing of it is borrowed, or in a
/// scope.
pub(super) struct Waiters<T> {
    places: Slab<Waiter<T>>,
    first: u32,
    last: u32,
}

struct Waiter<T> {
    /// What it waits for, and what it got.
    data: T,
    /// None if it waits without being woken yet, or was called.
    waker: Option<WakeRef>,
    /// Whether it still stands in the line.
    in_line: bool,
    before: u32,
    after: u32,
}

impl<T> Waiters<T> {
    pub(super) const fn new() -> Self {
        Waiters {
            places: Slab::new(),
            first: NONE,
            last: NONE,
        }
    }

    /// Goes to the end of the line; returns its place.
    pub(super) fn join(&mut self, data: T, waker: Option<WakeRef>) -> u32 {
        let before = self.last;
        let place = self.places.insert(Waiter {
            data,
            waker,
            in_line: true,
            before,
            after: NONE,
        }) as u32;
        match self.places.get_mut(before as usize) {
            Some(last) => last.after = place,
            None => self.first = place,
        }
        self.last = place;
        place
    }

    /// Who has waited longest.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Who came last.
    pub(super) fn last(&self) -> Option<u32> {
        (self.last != NONE).then_some(self.last)
    }

    pub(super) fn data(&self, place: u32) -> &T {
        &self.places[place as usize].data
    }

    pub(super) fn data_mut(&mut self, place: u32) -> &mut T {
        &mut self.places[place as usize].data
    }

    /// Whether the one at `place` wakes the task that polls.
    pub(super) fn wakes(&self, place: u32, cx: &Context<'_>) -> bool {
        let waker = &self.places[place as usize].waker;
        waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Sets what it is woken by; gives back what it was woken by before.
    #[must_use = "dropping it may run foreign code"]
    pub(super) fn set_waker(&mut self, place: u32, waker: WakeRef) -> Option<WakeRef> {
        self.places[place as usize].waker.replace(waker)
    }

    /// Calls it out of the line. Its place stays its own until it leaves.
    #[must_use = "the waiter has to be woken"]
    pub(super) fn call(&mut self, place: u32) -> Option<WakeRef> {
        self.unlink(place);
        self.places[place as usize].waker.take()
    }

    /// Gives the place up.
    #[must_use = "dropping it may run foreign code"]
    pub(super) fn leave(&mut self, place: u32) -> (T, Option<WakeRef>) {
        self.unlink(place);
        let waiter = self.places.remove(place as usize);
        if self.places.is_empty() && self.places.capacity() > KEPT_MAX {
            self.places = Slab::new();
        }
        (waiter.data, waiter.waker)
    }

    fn unlink(&mut self, place: u32) {
        let waiter = &mut self.places[place as usize];
        if !std::mem::replace(&mut waiter.in_line, false) {
            return;
        }
        let (before, after) = (waiter.before, waiter.after);
        match self.places.get_mut(before as usize) {
            Some(waiter) => waiter.after = after,
            None => self.first = after,
        }
        match self.places.get_mut(after as usize) {
            Some(waiter) => waiter.before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(waiters: &mut Waiters<u32>) -> Vec<u32> {
        let next = || {
            let first = waiters.first()?;
            assert!(waiters.call(first).is_none());
            Some(waiters.leave(first).0)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn waiters_come_in_order_and_can_leave_from_anywhere() {
        for left in 0..5 {
            for called in [false, true] {
                let mut waiters = Waiters::new();
                let places: Vec<_> = (0..5).map(|n| waiters.join(n, None)).collect();
                if called {
                    assert!(waiters.call(places[left]).is_none());
                    assert_eq!(*waiters.data(places[left]), left as u32);
                }
                assert_eq!(waiters.leave(places[left]).0, left as u32);
                // The place is another's now.
                assert_eq!(waiters.join(5, None), places[left]);
                assert_eq!(waiters.last(), Some(places[left]));
                let expected: Vec<_> = (0..6).filter(|&n| n != left as u32).collect();
                assert_eq!(line(&mut waiters), expected);
                assert_eq!((waiters.first(), waiters.last()), (None, None));
            }
        }
    }

    #[test]
    fn who_was_called_keeps_its_place_while_others_come() {
        let mut waiters = Waiters::new();
        let one = waiters.join(1, None);
        assert!(waiters.call(one).is_none());
        assert!(waiters.call(one).is_none());
        let two = waiters.join(2, None);
        assert_ne!(one, two);
        *waiters.data_mut(one) = 3;
        assert_eq!(waiters.first(), Some(two));
        assert_eq!(waiters.leave(one).0, 3);
        assert_eq!(line(&mut waiters), [2]);
    }

    #[test]
    fn an_empty_line_holds_no_memory_of_a_long_one() {
        let mut waiters = Waiters::new();
        let places: Vec<_> = (0..1000).map(|n| waiters.join(n, None)).collect();
        for place in places.into_iter().rev() {
            let _ = waiters.leave(place);
        }
        assert_eq!(waiters.places.capacity(), 0);
    }
}
