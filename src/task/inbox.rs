//! The inbox of an executor: a stack of tasks that other threads woke. Any thread pushes, and the owner takes all at once.
//!
//! As there are pushes and swaps of the whole list only, there is no ABA: a push that finds the head it saw before links to
//! what is the head now. Each push releases and later ones carry that on, so the owner's swap (acquire) sees all links.

use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::sync::{AtomicPtr, Ordering, UnsafeCell};

/// A reference that can stand in an [`Inbox`]; it keeps its node alive, and the inbox that the node belongs to.
///
/// # Safety
///
/// `as_ptr` gives the same address for all references to one node, a multiple of 4 that is not 0. `from_raw` makes the
/// reference again that was forgotten after its `as_ptr`. `head` and `next` are what they are called, for as long as the
/// reference lives.
pub(super) unsafe trait Node: Clone {
    type Target;

    fn as_ptr(&self) -> *mut Self::Target;

    /// # Safety
    ///
    /// `raw` comes from `as_ptr` of a reference that was forgotten, and is used for this once.
    unsafe fn from_raw(raw: *mut Self::Target) -> Self;

    /// The head of the inbox that the node belongs to.
    fn head(&self) -> &AtomicPtr<Self::Target>;

    /// A cell for the inbox's use: what is below it in the stack.
    fn next(&self) -> &UnsafeCell<*mut Self::Target>;
}

/// The inbox is empty, and the owner waits in the kernel, is about to, or has waited and was not woken from elsewhere: the
/// mark stays until a push takes it. No node has this address, being aligned.
fn parked<T>() -> *mut T {
    ptr::without_provenance_mut(1)
}

/// The executor is gone.
fn closed<T>() -> *mut T {
    ptr::without_provenance_mut(2)
}

pub(super) struct Inbox<N: Node> {
    /// The newest node, or null, `parked` or `closed`.
    head: AtomicPtr<N::Target>,
}

impl<N: Node> Inbox<N> {
    pub(super) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(super) fn head(&self) -> &AtomicPtr<N::Target> {
        &self.head
    }

    /// Whether a look is worth its atomic exchange. May miss what another thread is just pushing.
    #[inline(always)]
    pub(super) fn has_tasks(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        !head.is_null() && head != parked()
    }

    /// Puts `node` into its inbox. If the owner is parked, this gives a reference back, and the caller wakes the owner by
    /// it: after the exchange the owner may free the node and end, so `node` itself would not do.
    ///
    /// # Safety
    ///
    /// The node is in no inbox, and nobody else is about to put it there.
    pub(super) unsafe fn push(node: N) -> Option<N> {
        let mut kept = None;
        let mut head = node.head().load(Ordering::Relaxed);
        loop {
            if head == closed() {
                return None;
            }
            let is_parked = head == parked();
            if is_parked && kept.is_none() {
                kept = Some(node.clone());
            }
            let next = if is_parked { ptr::null_mut() } else { head };
            // SAFETY: until the exchange nobody else touches the cell, as the caller says.
            node.next().with_mut(|cell| unsafe { *cell = next });
            // Release publishes `next`; the exchanges of later pushes carry it on to the owner.
            let pushed = node.head().compare_exchange_weak(
                head,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(_) => {
                    mem::forget(node); // It is the inbox's.
                    return kept.filter(|_| is_parked);
                }
                Err(now) => head = now,
            }
        }
    }

    /// Takes all nodes out, those first that were pushed first, and the parked mark.
    pub(super) fn take(&self) -> List<N> {
        List::take(&self.head, ptr::null_mut())
    }

    /// As [`take`](Self::take), and lets nothing in any more.
    pub(super) fn close(&self) -> List<N> {
        List::take(&self.head, closed())
    }

    /// Marks an empty inbox as parked. False: it is not empty.
    #[inline]
    pub(super) fn park(&self) -> bool {
        // Still marked from the park before: only the owner marks, and a push takes the mark away.
        if self.head.load(Ordering::Relaxed) == parked() {
            return true;
        }
        // Relaxed: the mark publishes nothing, and a list that is found instead is left alone.
        self.head
            .compare_exchange(
                ptr::null_mut(),
                parked(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

/// Nodes that were taken out of an inbox. Owns a reference to each; what is not asked for is leaked.
pub(super) struct List<N: Node> {
    /// The first, or null.
    first: *mut N::Target,
    _nodes: PhantomData<N>,
}

impl<N: Node> List<N> {
    const EMPTY: Self = Self {
        first: ptr::null_mut(),
        _nodes: PhantomData,
    };

    /// Leaves `then` in the place of what is in `head`.
    fn take(head: &AtomicPtr<N::Target>, then: *mut N::Target) -> Self {
        // Acquire: see `push`.
        let newest = head.swap(then, Ordering::Acquire);
        let mut stack = Self::EMPTY;
        if newest != parked() {
            stack.first = newest;
        }
        let mut list = Self::EMPTY;
        for node in stack {
            list.push(node);
        }
        list
    }

    fn push(&mut self, node: N) {
        let node = ManuallyDrop::new(node);
        let next = mem::replace(&mut self.first, node.as_ptr());
        // SAFETY: the node comes out of a list, so the cell is the list's until the node is out of all of them.
        node.next().with_mut(|cell| unsafe { *cell = next });
    }
}

impl<N: Node> Iterator for List<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: the swap made the list ours, with one forgotten reference to each node in it, and this node leaves it.
        let node = unsafe { N::from_raw(self.first) };
        // SAFETY: whoever pushed the node wrote the cell, which is the list's until the caller lets the node in again.
        self.first = node.next().with(|cell| unsafe { *cell });
        Some(node)
    }
}
