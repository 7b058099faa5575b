//! A set of tasks, joined in the order in which they end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use slab::Slab;

use super::budget::{poll_proceed, spend};
use super::builder::Builder;
use super::cancel_scope::{CancelScope, Within};
use super::error::JoinError;
use super::executor::on_entered;
use super::join::{AbortHandle, JoinHandle};
use super::sync::Cell;
use super::wake_ref::WakeRef;

/// Tasks of one output type, whose answers come in the order in which the tasks end. Dropping the set aborts them.
///
/// ```no_run
/// use saferring::task::JoinSet;
///
/// #[saferring::main]
/// async fn main() -> std::io::Result<()> {
///     let mut set = JoinSet::new();
///     for n in 0..10_u32 {
///         set.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square?;
///     }
///     assert_eq!(sum, 285);
///     Ok(())
/// }
/// ```
pub struct JoinSet<T> {
    handles: Slab<JoinHandle<T>>,
    ended: Rc<Ended>,
}

/// What the tasks tell the set.
#[derive(Default)]
struct Ended {
    /// Keys in `handles`, in the order in which the tasks ended. Never borrowed while code of a user runs.
    keys: RefCell<VecDeque<usize>>,
    joiner: Cell<Option<WakeRef>>,
}

impl<T> JoinSet<T> {
    /// An empty set.
    ///
    /// ```
    /// assert!(saferring::task::JoinSet::<()>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            handles: Slab::new(),
            ended: Rc::default(),
        }
    }

    /// Spawns a task into the set, and returns what can abort it.
    ///
    /// The task is cancelled with the future that spawns it: its operations are those of the same
    /// [`CancellationToken::run`](crate::sync::CancellationToken::run) or [`time::deadline`](crate::time::deadline), until that
    /// has ended.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// ```no_run
    /// # #[saferring::main]
    /// # async fn main() {
    /// let mut set = saferring::task::JoinSet::new();
    /// set.spawn(async { "done" });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), "done");
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.spawn_built(Builder::new(), future)
    }

    #[track_caller]
    fn spawn_built<F>(&mut self, builder: Builder, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        // Outside a runtime it panics here: a notice that is dropped would name a key that is not there.
        on_entered(|_| ());
        let key = self.handles.vacant_key();
        let noticed = Noticed {
            future,
            _notice: Notice {
                ended: Rc::clone(&self.ended),
                key,
            },
        };
        let handle = match CancelScope::current() {
            None => builder.spawn(noticed),
            Some(scope) => builder.spawn(Within {
                scope,
                future: noticed,
            }),
        };
        let abort = handle.abort_handle();
        // `&mut self` kept the set as it was, so this is `key`.
        let inserted = self.handles.insert(handle);
        debug_assert_eq!(inserted, key);
        abort
    }

    /// How many tasks the set holds: those that run, and those that ended and were not joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether the set holds no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Waits for the next task to end, and returns its answer; `None` if the set is empty.
    ///
    /// # Errors
    ///
    /// Inside `Some`: the task panicked, or it was cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no answer is lost when this future is dropped.
    ///
    /// ```no_run
    /// # #[saferring::main]
    /// # async fn main() {
    /// let mut set = saferring::task::JoinSet::new();
    /// set.spawn(async { 1 });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    /// assert!(set.join_next().await.is_none());
    /// # }
    /// ```
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// [`join_next`](Self::join_next) for futures that are written by hand.
    ///
    /// # Errors
    ///
    /// As for `join_next`.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        ready!(poll_proceed(cx));
        if let Some(answer) = self.try_join_next() {
            spend();
            return Poll::Ready(Some(answer));
        }
        if self.handles.is_empty() {
            return Poll::Ready(None);
        }
        if !WakeRef::will_wake_in(&self.ended.joiner, cx.waker()) {
            // Foreign code, in which tasks may end: the queue is looked at below.
            let joiner = WakeRef::new(cx.waker());
            drop(self.ended.joiner.replace(Some(joiner)));
        }
        // A task gives notice just before it ends. Who is polled from within that notice's wake finds the task not yet
        // finished, and asks it directly. Otherwise the queue is empty here.
        for at in 0.. {
            let key = self.ended.keys.borrow().get(at).copied();
            let Some(key) = key else { break };
            if let Poll::Ready(answer) = Pin::new(&mut self.handles[key]).poll(cx) {
                self.ended.keys.borrow_mut().remove(at);
                self.handles.remove(key);
                return Poll::Ready(Some(answer));
            }
        }
        Poll::Pending
    }

    /// Waits for all tasks, and returns their outputs in the order in which they ended.
    ///
    /// # Panics
    ///
    /// With the panic of the first task that panicked; and if a task was aborted. The others are then aborted.
    ///
    /// # Cancel safety
    ///
    /// When this future is dropped, so is the set: its tasks are aborted.
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// let mut set: saferring::task::JoinSet<u32> = (1..=3).map(|n| async move { n * n }).collect();
    /// set.spawn(async { 16 });
    /// let mut squares = set.join_all().await;
    /// squares.sort_unstable();
    /// assert_eq!(squares, [1, 4, 9, 16]);
    /// # });
    /// ```
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(answer) = self.join_next().await {
            match answer.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!("JoinSet::join_all: {error}"),
            }
        }
        outputs
    }

    /// The answer of a task that has ended, or `None` if no task has, or the set is empty.
    ///
    /// # Errors
    ///
    /// As for [`join_next`](Self::join_next).
    ///
    /// ```
    /// let mut set = saferring::task::JoinSet::<()>::new();
    /// assert!(set.try_join_next().is_none());
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let waiting = self.ended.keys.borrow().len();
        for _ in 0..waiting {
            let key = self.ended.keys.borrow_mut().pop_front()?;
            if self.handles[key].is_finished() {
                return self.handles.remove(key).take();
            }
            self.ended.keys.borrow_mut().push_back(key);
        }
        None
    }

    /// Asks all tasks to end. They stay in the set, and answer that they were cancelled, unless they are over already.
    ///
    /// ```no_run
    /// # #[saferring::main]
    /// # async fn main() {
    /// let mut set = saferring::task::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.abort_all();
    /// assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// # }
    /// ```
    pub fn abort_all(&mut self) {
        for (_, handle) in &self.handles {
            handle.abort();
        }
    }

    /// Aborts all tasks and waits until they have ended. Their answers are dropped.
    ///
    /// # Cancel safety
    ///
    /// When this future is dropped the tasks are aborted all the same, and those that have not ended stay in the set.
    ///
    /// ```no_run
    /// # #[saferring::main]
    /// # async fn main() {
    /// let mut set = saferring::task::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.shutdown().await;
    /// assert!(set.is_empty());
    /// # }
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Lets all tasks run on by themselves, and empties the set.
    ///
    /// ```no_run
    /// # #[saferring::main]
    /// # async fn main() {
    /// let mut set = saferring::task::JoinSet::new();
    /// set.spawn(async { println!("nobody waits for this") });
    /// set.detach_all();
    /// assert!(set.is_empty());
    /// # }
    /// ```
    pub fn detach_all(&mut self) {
        // The tasks that go keep the old list, as their keys mean nothing in the new one.
        let ended = mem::take(&mut self.ended);
        let handles = mem::take(&mut self.handles);
        drop(ended.joiner.take());
        drop(handles);
    }
}

impl Builder {
    /// Spawns the task into a set, as [`JoinSet::spawn`] does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_on<F>(self, set: &mut JoinSet<F::Output>, future: F) -> AbortHandle
    where
        F: Future + 'static,
    {
        set.spawn_built(self, future)
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
        self.detach_all(); // The aborted tasks need not wake anybody here.
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Spawns each future into a new set.
///
/// # Panics
///
/// Outside a runtime.
impl<F: Future + 'static> FromIterator<F> for JoinSet<F::Output> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        for future in futures {
            set.spawn(future);
        }
        set
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A future that tells its set when it is dropped: at the end of its task, whatever that was.
struct Noticed<F> {
    future: F,
    /// After the future, so that it is dropped last: between the notice and the end of the task no code of the future
    /// runs.
    _notice: Notice,
}

impl<F: Future> Future for Noticed<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with its owner: `Noticed` has no Drop, never moves it out, and is Unpin only if
        // it is (no impl says otherwise).
        unsafe { self.map_unchecked_mut(|noticed| &mut noticed.future) }.poll(cx)
    }
}

struct Notice {
    ended: Rc<Ended>,
    key: usize,
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.ended.keys.borrow_mut().push_back(self.key);
        if let Some(joiner) = self.ended.joiner.take() {
            joiner.wake();
        }
    }
}
