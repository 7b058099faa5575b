//! A pool of threads for what would block. They are made when needed, and end when idle.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::helper_cpus::{helper_cpus, run_on};
use crate::foreign;

/// How long an idle thread waits for work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a thread of a pool runs.
pub(crate) trait Job: Send + 'static {
    fn run(self);
}

/// A job of any kind.
pub(crate) type Closure = Box<dyn FnOnce() + Send>;

impl Job for Closure {
    fn run(self) {
        self();
    }
}

/// Threads that run jobs, made when needed.
pub(crate) struct ThreadPool<J> {
    state: Mutex<State<J>>,
    /// Signalled when there is work, when the pool closes, and when a thread ends its work or itself.
    changed: Condvar,
    threads_max: usize,
    name: &'static str,
}

struct State<J> {
    jobs: VecDeque<J>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl<J: Job> ThreadPool<J> {
    /// A pool of at most so many threads, which are called so.
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Arc<Self> {
        Arc::new(ThreadPool {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                threads: 0,
                idle: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            threads_max,
            name,
        })
    }

    /// Jobs run outside the lock, so a poisoned lock holds no broken state.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    ///
    /// Why it cannot be run, and the job.
    pub(crate) fn run(self: &Arc<Self>, job: J) -> Result<(), (io::Error, J)> {
        let mut state = self.lock();
        if state.closed {
            return Err((io::Error::other("the runtime is shutting down"), job));
        }
        let needs_thread = state.idle <= state.jobs.len() && state.threads < self.threads_max;
        if needs_thread {
            let (pool, cpus) = (Arc::clone(self), helper_cpus());
            let thread = thread::Builder::new()
                .name(self.name.to_owned())
                .spawn(move || {
                    run_on(cpus);
                    pool.work();
                });
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
                foreign::guarded(|| job.run());
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

    /// How many threads it has at most.
    pub(crate) fn most(&self) -> usize {
        self.threads_max
    }

    /// Takes out a job that no thread has begun.
    pub(crate) fn take(&self, wanted: impl Fn(&J) -> bool) -> Option<J> {
        let mut state = self.lock();
        let at = state.jobs.iter().position(wanted)?;
        state.jobs.remove(at)
    }

    /// Drops the jobs that no thread has begun, and waits for the others as long as `grace` allows.
    pub(crate) fn close(&self, grace: Duration) {
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
