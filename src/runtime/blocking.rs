//! What would block the core is run on other threads.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use super::answer::Answer;
use super::context;
use super::event_loop::Core;
use crate::foreign;
use crate::sys::{Closure, Job, helper_cpus, run_on};
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
    let cpus = helper_cpus();
    thread::Builder::new()
        .name("saferring-waiting".to_owned())
        .spawn(move || {
            run_on(cpus);
            foreign::guarded(|| job.run());
        })?;
    Ok(async move {
        match poll_fn(|cx| answer.poll(cx)).await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(io::Error::other("the thread has ended without an answer")),
        }
    })
}

/// What a thread is to run, and how it ends.
fn job<F, R>(f: F) -> (Closure, Arc<Answer<R>>)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let answer = Arc::new(Answer::new());
    let promise = Promise(Arc::clone(&answer));
    let job = Box::new(move || promise.0.fill(catch_unwind(AssertUnwindSafe(f))));
    (job, answer)
}

/// The task that waits for a job.
#[track_caller]
fn join<R: 'static>(
    core: &Core,
    answer: Arc<Answer<R>>,
    refused: Option<io::Error>,
) -> JoinHandle<R> {
    core.executor.spawn(async move {
        if let Some(error) = refused {
            panic!(
                "spawn_blocking cannot start a thread: {error}; the limit on processes may be reached (`ulimit -u`, \
                 LimitNPROC= or TasksMax= in the service's unit, or the container's pids limit)"
            );
        }
        match poll_fn(|cx| answer.poll(cx)).await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => panic!("the runtime shut down before the closure had begun"),
        }
    })
}

/// The closure's end of an answer.
struct Promise<R>(Arc<Answer<R>>);

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.0.tell();
    }
}
