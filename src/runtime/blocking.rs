//! Threads for what would block the core.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{Core, context};
use crate::foreign;
use crate::task::JoinHandle;

/// How long an idle thread waits for work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run closures, made when needed.
pub(super) struct BlockingPool {
    state: Mutex<State>,
    /// Signalled when there is work, when the pool closes, and when a thread ends its work or itself.
    changed: Condvar,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl BlockingPool {
    pub(super) fn new(threads_max: usize) -> Arc<Self> {
        Arc::new(BlockingPool {
            state: Mutex::default(),
            changed: Condvar::new(),
            threads_max,
        })
    }

    /// Jobs run outside the lock, so a poisoned lock holds no broken state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    ///
    /// Why it cannot be run, and the job.
    fn run(self: &Arc<Self>, job: Job) -> Result<(), (io::Error, Job)> {
        let mut state = self.lock();
        if state.closed {
            return Err((io::Error::other("the runtime is shutting down"), job));
        }
        let needs_thread = state.idle <= state.jobs.len() && state.threads < self.threads_max;
        if needs_thread {
            let pool = Arc::clone(self);
            let thread = thread::Builder::new()
                .name("saferring-blocking".to_owned())
                .spawn(move || pool.work());
            match thread {
                Ok(_) => state.threads += 1,
                // The threads there are will come to it.
                Err(_) if state.threads > 0 => {}
                Err(error) => return Err((error, job)),
            }
        }
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The life of one thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // The job itself catches the panics of the user's closure. Its result may be dropped here, if nobody
                // wants it any more: that is foreign code, too, and must not end the thread.
                foreign::guarded(job);
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (locked, wait) = self
                .changed
                .wait_timeout(state, KEEP_ALIVE)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.idle -= 1;
            if wait.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Drops the jobs that no thread has begun, and waits for the others as long as `grace` allows.
    pub(super) fn close(&self, grace: Duration) {
        let started = Instant::now();
        let mut state = self.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        for job in dropped {
            // What a user's closure holds.
            foreign::guarded(|| drop(job));
        }
        self.changed.notify_all();
        let mut state = self.lock();
        while state.threads > 0 {
            let left = grace.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            let (locked, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
            state = locked;
        }
    }
}

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
    let (promise, answer) = oneshot();
    let refused = core.blocking.run(job(promise, f)).err();
    join(&core, answer, refused.map(|(error, _)| error))
}

/// [`spawn_blocking`] for work of the crate's own, which ends: on threads that no job of a user occupies, and where none can
/// be had on this one.
#[track_caller]
pub(crate) fn spawn_own<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let core = context::current_or_panic("an operation on a thread");
    let (promise, answer) = oneshot();
    if let Err((_, job)) = core.own_blocking.run(job(promise, f)) {
        core.run_here.set(core.run_here.get() + 1);
        job();
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
    let (promise, answer) = oneshot();
    let job = job(promise, f);
    thread::Builder::new()
        .name("saferring-waiting".to_owned())
        .spawn(move || foreign::guarded(job))?;
    Ok(async move {
        match answer.await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(io::Error::other("the thread has ended without an answer")),
        }
    })
}

fn job<F, R>(promise: Promise<R>, f: F) -> Job
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Box::new(move || promise.keep(catch_unwind(AssertUnwindSafe(f))))
}

/// The task that waits for a job.
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

fn oneshot<R>() -> (Promise<R>, Answer<R>) {
    let slot = Arc::new(Mutex::new(Slot {
        ending: None,
        waker: None,
        closed: false,
    }));
    (Promise(Arc::clone(&slot)), Answer(slot))
}

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
