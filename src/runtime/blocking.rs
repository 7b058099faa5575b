//! What would block the core is run on other threads.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::context;
use super::event_loop::Core;
use crate::foreign;
use crate::sys::{Closure, Job};
use crate::task::JoinHandle;

/// Runs `f`, which may block, on a thread of its own, and gives its result through the handle.
///
/// Aborting the handle does not stop a closure that has begun. At shutdown closures that have not begun are dropped.
///
/// # Errors
///
/// The handle's, if `f` panics.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let sum = saferring::runtime::spawn_blocking(|| (1..=10).sum::<u32>());
/// assert_eq!(sum.await.unwrap(), 55);
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let core = context::current_or_panic("spawn_blocking");
    let (job, answer) = job(f);
    let refused = core.blocking.run(job).err();
    join(&core, answer, refused.map(|(error, _)| error))
}

/// [`spawn_blocking`] for work of the crate's own, which ends: on threads that no job of a user occupies, and where
/// none can be had on this one.
#[track_caller]
pub(crate) fn spawn_own<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let core = context::current_or_panic("an operation on a thread");
    let (job, answer) = job(f);
    if let Err((_, job)) = core.own_blocking.run(job) {
        core.run_here.set(core.run_here.get() + 1);
        job.run();
    }
    join(&core, answer, None)
}

/// [`spawn_blocking`] for what may wait without end, on a thread of its own.
///
/// # Errors
///
/// If no thread can be made.
pub(crate) fn spawn_apart<F, R>(f: F) -> io::Result<impl Future<Output = io::Result<R>>>
where
    F: FnOnce() -> io::Result<R> + Send + 'static,
    R: Send + 'static,
{
    let (job, answer) = job(f);
    thread::Builder::new()
        .name("saferring-waiting".to_owned())
        .spawn(move || foreign::guarded(|| job.run()))?;
    Ok(async move {
        match answer.await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(io::Error::other("the thread has ended without an answer")),
        }
    })
}

/// What a thread is to run, and how it ends.
fn job<F, R>(f: F) -> (Closure, Answer<R>)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let slot = Arc::new(Mutex::new(Slot {
        ending: None,
        waker: None,
        closed: false,
    }));
    let promise = Promise(Arc::clone(&slot));
    let job = Box::new(move || promise.keep(catch_unwind(AssertUnwindSafe(f))));
    (job, Answer(slot))
}

/// The task that waits for a job.
#[track_caller]
fn join<R: 'static>(core: &Core, answer: Answer<R>, refused: Option<io::Error>) -> JoinHandle<R> {
    core.executor.spawn(async move {
        if let Some(error) = refused {
            panic!(
                "spawn_blocking cannot start a thread: {error}; the limit on processes may be reached (`ulimit -u`, \
                 LimitNPROC= or TasksMax= in the service's unit, or the container's pids limit)"
            );
        }
        match answer.await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => panic!("the runtime shut down before the closure had begun"),
        }
    })
}

/// What a closure ends with: its result, or the payload of its panic.
type Ending<R> = Result<R, Box<dyn Any + Send>>;

/// One value from another thread.
struct Slot<R> {
    ending: Option<Ending<R>>,
    waker: Option<Waker>,
    /// The promise is gone.
    closed: bool,
}

struct Promise<R>(Arc<Mutex<Slot<R>>>);
struct Answer<R>(Arc<Mutex<Slot<R>>>);

impl<R> Promise<R> {
    fn keep(self, ending: Ending<R>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.ending = Some(ending);
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.closed = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            foreign::guarded(|| waker.wake());
        }
    }
}

impl<R> Future for Answer<R> {
    type Output = Option<Ending<R>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.closed {
            let ending = slot.ending.take();
            drop(slot);
            // A panic in here would take the place of the ending, and nobody would drop that.
            foreign::guarded(|| drop(waker));
            return Poll::Ready(ending);
        }
        let before = slot.waker.replace(waker);
        drop(slot);
        foreign::guarded(|| drop(before));
        Poll::Pending
    }
}
