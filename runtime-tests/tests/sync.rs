//! Channels, locks and signals: across cores, and for one core.

#[path = "sync/across.rs"]
mod across;
#[path = "sync/channels.rs"]
mod channels;
#[path = "sync/differential.rs"]
mod differential;
#[path = "sync/foreign.rs"]
mod foreign;
#[path = "sync/limits.rs"]
mod limits;
#[path = "sync/local.rs"]
mod local;
#[path = "sync/turns.rs"]
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use saferring::runtime::Runtime;

saferring_tests::also_on_software!();

fn block_on<F: Future>(future: F) -> F::Output {
    Runtime::new().unwrap().block_on(future)
}

/// Without a runtime of ours: wakers of others are called at once.
fn drive<F: Future>(future: F) -> F::Output {
    futures_executor::block_on(future)
}

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls with a waker that counts.
fn poll<F: Future + Unpin>(future: &mut F, count: &Arc<Count>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(count));
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Polls with a waker that does nothing.
fn peek<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
