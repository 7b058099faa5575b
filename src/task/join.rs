//! The handle of a spawned task.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::budget::{poll_proceed, spend};
use super::cell::joiner;
use super::error::JoinError;
use super::flags::{ABORTED, DONE, JOIN, TAKEN};
use super::header::LocalRef;
use super::id::Id;
use super::wake_ref::WakeRef;
use crate::foreign;

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
    task: LocalRef,
    /// `TaskCell::take` of the task's own type.
    take: unsafe fn(&LocalRef) -> Result<T, JoinError>,
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The task is marked JOIN and has no other handle; `take` is of its own type.
    pub(super) unsafe fn new(
        task: LocalRef,
        take: unsafe fn(&LocalRef) -> Result<T, JoinError>,
    ) -> Self {
        Self { task, take }
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
        abort(&self.task);
    }

    /// A handle that can abort the task, and nothing else.
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// let task = saferring::spawn(std::future::pending::<()>());
    /// let abort = task.abort_handle();
    /// saferring::spawn(async move { abort.abort() });
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle {
            task: self.task.clone(),
        }
    }

    /// Whether the task is over, so that awaiting the handle answers at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.flags.get() & DONE != 0
    }

    /// The task's [`Id`].
    #[must_use]
    pub fn id(&self) -> Id {
        Id::new(self.task.index)
    }

    /// The answer of a task that is finished, unless it was taken before.
    pub(super) fn take(&self) -> Option<Result<T, JoinError>> {
        let is_there = self.task.flags.get() & (DONE | TAKEN) == DONE;
        // SAFETY: DONE and not TAKEN, and `take` is of the task's own type.
        is_there.then(|| unsafe { (self.take)(&self.task) })
    }
}

/// Sees to it that the task ends at its next turn, if it is not over.
fn abort(task: &LocalRef) {
    let flags = task.flags.get();
    if flags & (DONE | ABORTED) == 0 {
        task.flags.set(flags | ABORTED);
        task.clone().wake();
    }
}

/// Aborts a task: from [`JoinHandle::abort_handle`] and [`JoinSet::spawn`](super::JoinSet::spawn). Dropping it does nothing.
///
/// It keeps the task's memory, not its future. It stays on the task's thread, as the task does.
#[derive(Clone)]
pub struct AbortHandle {
    task: LocalRef,
}

impl AbortHandle {
    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        abort(&self.task);
    }

    /// Whether the task is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.flags.get() & DONE != 0
    }

    /// The task's [`Id`].
    #[must_use]
    pub fn id(&self) -> Id {
        Id::new(self.task.index)
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_proceed(cx));
        let joiner = joiner(&self.task);
        if !self.is_finished() && !WakeRef::will_wake_in(joiner, cx.waker()) {
            // Foreign code, in which the task may end: so it is asked again.
            let waiter = WakeRef::new(cx.waker());
            if !self.is_finished() {
                drop(joiner.replace(Some(waiter)));
            }
        }
        if !self.is_finished() {
            return Poll::Pending;
        }
        match self.take() {
            Some(answer) => {
                spend();
                Poll::Ready(answer)
            }
            None => panic!("JoinHandle polled after it gave its answer"),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let flags = self.task.flags.get();
        self.task.flags.set(flags & !JOIN);
        drop(joiner(&self.task).take());
        if let Some(answer) = self.take() {
            foreign::guarded(|| drop(answer));
        }
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
