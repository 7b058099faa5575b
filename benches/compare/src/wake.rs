//! The thread that wakes a task, for runtimes whose tasks have std's wakers.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};

use futures_util::task::AtomicWaker;

#[derive(Debug, Default)]
struct Shared {
    rung: AtomicBool,
    waker: AtomicWaker,
    answered: AtomicU64,
}

/// A thread on the other core that rings so many times, and awaits the answer to each.
#[derive(Debug)]
pub(crate) struct Doorbell {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Doorbell {
    pub(crate) fn start(rounds: u64) -> io::Result<Self> {
        let shared: Arc<Shared> = Arc::default();
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().spawn(move || {
            crate::cores::leave_for_other();
            for round in 1..=rounds {
                theirs.rung.store(true, Ordering::SeqCst);
                theirs.waker.wake();
                while theirs.answered.load(Ordering::Acquire) < round {
                    thread::park();
                }
            }
        })?;
        Ok(Doorbell { shared, thread })
    }

    /// Waits for the next ring.
    pub(crate) async fn rung(&self) {
        poll_fn(|cx| {
            if self.shared.rung.swap(false, Ordering::SeqCst) {
                return Poll::Ready(());
            }
            self.shared.waker.register(cx.waker());
            match self.shared.rung.swap(false, Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    pub(crate) fn answer(&self) {
        self.shared.answered.fetch_add(1, Ordering::Release);
        self.thread.thread().unpark();
    }

    pub(crate) fn end(self) -> io::Result<()> {
        let joined = self.thread.join();
        joined.map_err(|_| io::Error::other("the waking thread panicked"))
    }
}
