//! The stream of a multishot operation's answers.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::Multishot;
use super::context::current_or_panic;
use super::store::Stored;
use super::vtable::Table;
use crate::driver::{Orphaned, Owner};
use crate::foreign::Scope;
use crate::sys::Completion;
use crate::task::WakeRef;

/// A multishot operation: submitted at its first poll, it yields an item for each completion until the kernel ends it.
/// Ending is normal (a full completion queue, an error, a cancel); whoever wants more makes a new one.
pub(crate) struct Multi<T: Multishot> {
    state: State<T>,
    _local: PhantomData<*const ()>,
}

enum State<T> {
    Idle(T),
    InFlight(Stored),
    Done,
}

/// The operation itself lies still in the driver; the stream is a handle.
impl<T: Multishot> Unpin for Multi<T> {}

impl<T: Multishot> Multi<T> {
    pub(crate) fn new(op: T) -> Self {
        Multi {
            state: State::Idle(op),
            _local: PhantomData,
        }
    }

    /// The next item, if it is here already. Leaves no waker.
    #[inline]
    pub(crate) fn next_queued(&mut self) -> Option<T::Item> {
        let State::InFlight(stored) = &self.state else {
            return None;
        };
        let cqe = stored.driver.pop_queued(stored.key)?;
        // SAFETY: `submit` made this value for a `T`, which is taken only with its last completion, and then the state
        // is left.
        let item = unsafe { stored.get::<T>() }.next(cqe);
        if !cqe.has_more() {
            // SAFETY: as above; this was the final completion.
            let op = unsafe { stored.take::<T>() };
            self.state = State::Done;
            op.end();
        }
        Some(item)
    }

    /// Submits the operation, or leaves it to wait for its turn.
    fn start(&mut self, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let driver = current_or_panic();
        // Foreign code, before anything is looked at.
        let waiter = WakeRef::new(cx.waker());
        let State::Idle(op) = std::mem::replace(&mut self.state, State::Done) else {
            return Poll::Ready(None);
        };
        let owner = Owner::Future(Some(waiter));
        match Stored::submit(driver, op, Table::<T>::MULTI, owner, false) {
            Ok(stored) => {
                self.state = State::InFlight(stored);
                Poll::Pending
            }
            Err((op, result)) => Poll::Ready(Some(op.next(Completion::new(0, result, 0)))),
        }
    }
}

impl<T: Multishot> Stream for Multi<T> {
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.next_queued() {
                return Poll::Ready(Some(item));
            }
            match &this.state {
                State::Idle(_) => return this.start(cx),
                State::Done => return Poll::Ready(None),
                State::InFlight(stored) => {
                    // Foreign code, in which an item may come: that is noticed when the waker is left.
                    if stored.is_watched(cx.waker()) || stored.watch(WakeRef::new(cx.waker())) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<T: Multishot> Drop for Multi<T> {
    fn drop(&mut self) {
        let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) else {
            return;
        };
        let _scope = Scope::enter();
        // From here on completions go to `abandon_next` as they come; first those that came before. Nothing that is done
        // here runs foreign code, so none comes meanwhile.
        let orphaned = stored.driver.orphan(stored.key);
        if let Some(Orphaned::Waiting(place, waiter)) = orphaned {
            drop(waiter);
            // SAFETY: `submit` made this value for a `T`, which waits there, and the state was left.
            drop(unsafe { stored.withdraw::<T>(place) });
            return;
        }
        while let Some(cqe) = stored.driver.pop_queued(stored.key) {
            // SAFETY: as in `next_queued`.
            unsafe { stored.get::<T>() }.abandon_next(cqe);
            if !cqe.has_more() {
                // SAFETY: as in `next_queued`.
                unsafe { stored.take::<T>() }.end();
                break;
            }
        }
    }
}

impl<T: Multishot> fmt::Debug for Multi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "not submitted",
            State::InFlight(_) => "in flight",
            State::Done => "ended",
        };
        write!(
            f,
            "{} (multishot): {state}",
            crate::driver::code_name(T::CODE)
        )
    }
}
