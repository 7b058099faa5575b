//! The handle of a spawned task.

use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::JoinError;
use super::header::{ABORTED, DONE, Header, JOIN, PANIC, TAKEN, TaskPtr, VALUE};
use super::id::Id;
use super::wake_ref::WakeRef;

/// A spawned task, to await, abort, or let run: dropping the handle detaches the task, which goes on.
///
/// Awaiting it gives the future's output, or a [`JoinError`] if the task panicked or was cancelled. It may be awaited
/// within any runtime of its thread, and outlive its own, which answers for its tasks when it shuts down.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: the answer stays with the handle until it is taken.
///
/// # Panics
///
/// When polled after it has given its answer.
///
/// ```no_run
/// #[saferring::main]
/// async fn main() -> std::io::Result<()> {
///     let handle = saferring::spawn(async { 6 * 7 });
///     assert_eq!(handle.await?, 42);
///     Ok(())
/// }
/// ```
pub struct JoinHandle<T> {
    /// With one plain reference.
    task: TaskPtr,
    /// It gives a `T`, and stays on its thread.
    _output: PhantomData<*const T>,
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// Owner thread. The task is marked JOIN and has no other handle; its output is a `T`. The caller gives the
    /// handle a plain reference.
    pub(super) unsafe fn new(task: TaskPtr) -> Self {
        Self {
            task,
            _output: PhantomData,
        }
    }

    /// Asks the task to end. Its future is dropped when its turn comes, and the handle answers that it was cancelled,
    /// unless the task is over before that. Aborting a task that is over does nothing.
    ///
    /// A task that aborts itself goes on until its next `.await` that has to wait.
    ///
    /// ```no_run
    /// # #[saferring::main]
    /// # async fn main() {
    /// let handle = saferring::spawn(std::future::pending::<()>());
    /// handle.abort();
    /// assert!(handle.await.unwrap_err().is_cancelled());
    /// # }
    /// ```
    pub fn abort(&self) {
        let flags = self.header().flags.get();
        if flags & (DONE | ABORTED) == 0 {
            self.header().flags.set(flags | ABORTED);
            // SAFETY: our plain reference lives, and this is the owner thread.
            unsafe { self.task.wake_by_ref() }
        }
    }

    /// Whether the task is over, so that awaiting the handle answers at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.header().flags.get() & DONE != 0
    }

    /// The task's [`Id`].
    #[must_use]
    pub fn id(&self) -> Id {
        Id::new(self.header().index.get())
    }

    /// The answer of a task that is finished, without a poll.
    ///
    /// # Panics
    ///
    /// If the task is not finished.
    pub(super) fn into_answer(self) -> Result<T, JoinError> {
        let flags = self.header().flags.get();
        assert!(flags & (DONE | TAKEN) == DONE, "no answer to take");
        // SAFETY: DONE and not TAKEN.
        unsafe { self.take() }
    }

    /// # Safety
    ///
    /// The task is DONE and not TAKEN.
    unsafe fn take(&self) -> Result<T, JoinError> {
        let mut answer = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: as the caller says; `T` is the future's output, so `answer` has the type that is written.
        unsafe { (self.header().vtable.take)(self.task, answer.as_mut_ptr().cast()) };
        // SAFETY: `take` wrote it.
        unsafe { answer.assume_init() }
    }

    fn header(&self) -> &Header {
        // SAFETY: our plain reference lives as long as `self`; handles are not Send, so this is the owner thread.
        unsafe { self.task.header() }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let header = self.header();
        if header.flags.get() & DONE == 0 && !WakeRef::will_wake_in(&header.join, cx.waker()) {
            // Foreign code, in which the task may end: so the flags are looked at again.
            let waiter = WakeRef::new(cx.waker());
            if header.flags.get() & DONE == 0 {
                drop(header.join.replace(Some(waiter)));
            }
        }
        let flags = header.flags.get();
        if flags & DONE == 0 {
            return Poll::Pending;
        }
        assert!(
            flags & TAKEN == 0,
            "JoinHandle polled after it gave its answer"
        );
        // SAFETY: DONE and not TAKEN.
        Poll::Ready(unsafe { self.take() })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let header = self.header();
        let flags = header.flags.get();
        header.flags.set(flags & !JOIN);
        drop(header.join.take());
        if flags & (VALUE | PANIC) != 0 {
            // SAFETY: our plain reference lives, and this is the owner thread.
            unsafe { (header.vtable.drop_answer)(self.task) };
        }
        // SAFETY: the reference is ours, and `self` ends here. The answer and the waiter are gone.
        unsafe { self.task.release_local() }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("finished", &self.is_finished())
            .finish()
    }
}
