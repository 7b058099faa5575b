//! The thread that wakes a task, for all whose tasks have std's wakers, and for those who have none.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};

use futures_util::task::AtomicWaker;

use crate::measure::stay_on_core;

/// A thread on the other core that wakes so many times, and awaits the answer to each.
#[derive(Debug)]
pub(crate) struct WakingThread {
    answered: Arc<AtomicU64>,
    round: u64,
    thread: JoinHandle<()>,
}

impl WakingThread {
    pub(crate) fn start(rounds: u64, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let answered = Arc::new(AtomicU64::new(0));
        let answers = Arc::clone(&answered);
        let thread = thread::Builder::new().spawn(move || {
            stay_on_core(1);
            for round in 1..=rounds {
                wake();
                while answers.load(Ordering::Acquire) < round {
                    thread::park();
                }
            }
        })?;
        Ok(WakingThread {
            answered,
            round: 0,
            thread,
        })
    }

    pub(crate) fn answer(&mut self) {
        self.round += 1;
        self.answered.store(self.round, Ordering::Release);
        self.thread.thread().unpark();
    }

    pub(crate) fn end(self) -> io::Result<()> {
        let joined = self.thread.join();
        joined.map_err(|_| io::Error::other("the waking thread panicked"))
    }
}

/// A flag that a task waits for: a std waker, and nothing that belongs to a runtime.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Flag {
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Waits until it is raised, and lowers it.
    pub(crate) async fn lower(&self) {
        poll_fn(|cx| {
            if self.raised.swap(false, Ordering::SeqCst) {
                return Poll::Ready(());
            }
            self.waker.register(cx.waker());
            match self.raised.swap(false, Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
