//! The two futures of an operation: before it is submitted, and in flight.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project::pin_project;

use super::flight::Flight;
use super::operation::Operation;

/// An operation that is not yet submitted: a lazy future with setters.
///
/// Awaiting it submits it. It cannot be reconfigured once it was polled, because its setters take it by value and a
/// polled one cannot be moved. To use it with `select!`, or to keep it in a collection, call [`submit`](Op::submit)
/// first (or `pin!` it).
///
/// # Cancel safety
///
/// Dropping it cancels the operation in the kernel. The buffer is freed when the kernel has let go of it, not before.
/// Bytes that a socket read received nevertheless are kept for the stream's next read; a descriptor that was
/// accepted or opened nevertheless is closed.
#[must_use = "an operation does nothing until it is awaited or submitted"]
#[pin_project(!Unpin)]
pub struct Op<T: Operation> {
    flight: Flight<T>,
    _local: PhantomData<*const ()>,
}

impl<T: Operation> Op<T> {
    pub(crate) fn new(op: T) -> Self {
        Op {
            flight: Flight::new(op),
            _local: PhantomData,
        }
    }

    /// Bounds the operation's time, from its first poll on, by one of the runtime's timers.
    ///
    /// When the time is over the operation is cancelled. It then answers with [`ErrorKind::TimedOut`] and gives its
    /// buffer back, unless its result came first: that one wins. TCP has an error of the same kind; the deadline's holds
    /// an [`Elapsed`](crate::time::Elapsed) (`error.get_ref()`, and there `is` or `downcast_ref`).
    ///
    /// [`ErrorKind::TimedOut`]: std::io::ErrorKind::TimedOut
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flight.set_timeout(timeout);
        self
    }

    /// Changes what is not submitted yet.
    pub(in crate::op) fn with(mut self, change: impl FnOnce(&mut T)) -> Self {
        self.flight.change(change);
        self
    }

    /// Puts the operation into flight now. A read that has to wait for the one before, or whose answer has arrived
    /// already, goes on when it is first polled.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn submit(mut self) -> Submitted<T> {
        // Nobody waits yet: the future's first poll leaves its waker.
        let early = self
            .flight
            .start(&mut Context::from_waker(Waker::noop()), false);
        Submitted {
            flight: self.flight,
            early: match early {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            },
            _local: PhantomData,
        }
    }
}

impl<T: Operation> Future for Op<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        self.project().flight.poll(cx)
    }
}

impl<T: Operation> fmt::Debug for Op<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Op").field(&self.flight).finish()
    }
}

/// An operation in flight: it can be awaited, or cancelled, and nothing else.
///
/// # Cancel safety
///
/// As for [`Op`].
#[must_use = "dropping an operation cancels it; await it, or cancel it and await the outcome"]
pub struct Submitted<T: Operation> {
    flight: Flight<T>,
    /// The output, if it was there as soon as the operation was submitted.
    early: Option<T::Output>,
    _local: PhantomData<*const ()>,
}

/// The operation itself lies still in the driver; the future is a handle.
impl<T: Operation> Unpin for Submitted<T> {}

impl<T: Operation> Submitted<T> {
    /// Asks the kernel to cancel the operation, and returns it to be awaited.
    ///
    /// It ends with the error `ECANCELED`, or with the result that came first. Either way the buffer comes back, and
    /// nothing that arrived is lost.
    pub fn cancel(mut self) -> Self {
        let ended = self.flight.cancel();
        self.early = self.early.or(ended);
        self
    }
}

impl<T: Operation> Future for Submitted<T> {
    type Output = T::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        match self.early.take() {
            Some(output) => Poll::Ready(output),
            None => self.flight.poll(cx),
        }
    }
}

impl<T: Operation> fmt::Debug for Submitted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Submitted").field(&self.flight).finish()
    }
}
