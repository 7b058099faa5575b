//! A pool of threads that run closures. They are made when needed, and end when idle.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::foreign;

/// How long an idle thread waits for work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads that run closures, made when needed.
pub(super) struct ThreadPool {
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

impl ThreadPool {
    pub(super) fn new(threads_max: usize) -> Arc<Self> {
        Arc::new(ThreadPool {
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
    pub(super) fn run(self: &Arc<Self>, job: Job) -> Result<(), (io::Error, Job)> {
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
