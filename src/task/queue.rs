//! The run queue: first in, first out, threaded through its elements, so that it allocates nothing.

use std::mem;
use std::ptr::NonNull;

use super::sync::Cell;

/// What can stand in a [`RunQueue`].
///
/// # Safety
///
/// The cell that `next` gives stays where it is for as long as the value exists, also when the value itself moves.
pub(super) unsafe trait Link: Sized {
    /// A cell for the queue's use: what comes next.
    fn next(&self) -> &Cell<Option<Self>>;
}

/// Owns what stands in it.
pub(super) struct RunQueue<T> {
    head: Cell<Option<T>>,
    /// The `next` of the last element; `None` if the queue is empty.
    last: Cell<Option<NonNull<Cell<Option<T>>>>>,
}

impl<T: Link> RunQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            head: Cell::new(None),
            last: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.last.get().is_none()
    }

    /// Appends an element.
    #[inline]
    pub(super) fn push(&self, element: T) {
        match self.last.replace(Some(NonNull::from(element.next()))) {
            // SAFETY: `last` is the `next` of an element that the queue owns, so it is where it was (`Link`).
            Some(last) => fill(unsafe { last.as_ref() }, Some(element)),
            None => fill(&self.head, Some(element)),
        }
    }

    /// Takes the oldest element.
    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        let element = self.head.take()?;
        let next = element.next().take();
        if next.is_none() {
            self.last.set(None);
        }
        fill(&self.head, next);
        Some(element)
    }
}

/// `set` for a cell that is empty. A drop of what was there would be a call that does nothing, twice for each wake.
#[inline(always)]
fn fill<T>(cell: &Cell<Option<T>>, value: Option<T>) {
    let before = cell.replace(value);
    debug_assert!(before.is_none());
    mem::forget(before);
}
