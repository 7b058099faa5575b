//! The stream of a multishot operation's answers.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::operation::Multishot;
use super::stored::Stored;
use super::vtable::Table;
use crate::driver::Owner;
use crate::op::context::current_or_panic;
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
    InFlight(Stored<T>),
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
        let cqe = stored.pop_queued()?;
        Some(self.read(cqe))
    }

    /// Reads a completion, and takes the operation out with the last.
    #[inline]
    fn read(&mut self, cqe: Completion) -> T::Item {
        let State::InFlight(stored) = &self.state else {
            unreachable!("only an operation in flight is answered");
        };
        let item = stored.get().next(cqe);
        if !cqe.has_more() {
            if let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) {
                stored.take().end();
            }
        }
        item
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
        match &self.state {
            State::Idle(_) => self.start(cx),
            State::Done => Poll::Ready(None),
            State::InFlight(stored) => {
                let cqe = ready!(stored.poll_queued(cx));
                Poll::Ready(Some(self.read(cqe)))
            }
        }
    }
}

impl<T: Multishot> Drop for Multi<T> {
    fn drop(&mut self) {
        if let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) {
            stored.abandon_stream();
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
        write!(f, "{} (multishot): {state}", T::NAME)
    }
}
