//! Places in a channel with a bound, kept for values.

use std::fmt;
use std::rc::Rc;

use super::chan::Chan;

/// A place in a channel, kept for one value. Dropped, it is another's.
pub struct Permit<'a, T> {
    chan: &'a Chan<T>,
}

impl<'a, T> Permit<'a, T> {
    /// For room that was taken.
    pub(super) fn new(chan: &'a Chan<T>) -> Self {
        Permit { chan }
    }

    /// Sends the value, also if the channel was closed meanwhile.
    pub fn send(self, value: T) {
        let chan = self.chan;
        std::mem::forget(self);
        chan.push(value);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.chan.give_up(1);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Places in a channel, one after the other. Those that are not asked for are another's when it is dropped.
pub struct PermitIterator<'a, T> {
    chan: &'a Chan<T>,
    left: usize,
}

impl<'a, T> PermitIterator<'a, T> {
    /// For room that was taken.
    pub(super) fn new(chan: &'a Chan<T>, left: usize) -> Self {
        PermitIterator { chan, left }
    }
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Permit<'a, T>> {
        self.left = self.left.checked_sub(1)?;
        Some(Permit { chan: self.chan })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}
impl<T> std::iter::FusedIterator for PermitIterator<'_, T> {}

impl<T> Drop for PermitIterator<'_, T> {
    fn drop(&mut self) {
        self.chan.give_up(self.left);
    }
}

impl<T> fmt::Debug for PermitIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitIterator")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// A place that outlives the borrow of a sender.
pub(super) struct OwnedPlace<T> {
    chan: Rc<Chan<T>>,
    is_used: bool,
}

impl<T> OwnedPlace<T> {
    pub(super) fn new(chan: &Rc<Chan<T>>) -> Self {
        OwnedPlace {
            chan: Rc::clone(chan),
            is_used: false,
        }
    }

    pub(super) fn send(mut self, value: T) {
        self.is_used = true;
        self.chan.push(value);
    }
}

impl<T> Drop for OwnedPlace<T> {
    fn drop(&mut self) {
        if !self.is_used {
            self.chan.give_up(1);
        }
    }
}
