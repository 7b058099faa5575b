//! Cancelling a future from within.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use pin_project::pin_project;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::CancellationToken;
use crate::task::{CancelScope, Reason};

impl CancellationToken {
    /// Runs `future` to its own end, which the token brings about: when it is cancelled, every operation in flight that `future` has
    /// begun, at whatever depth, is cancelled, and those that it begins later are refused.
    ///
    /// Each answers with `ECANCELED` and gives its buffer back, unless its result came first: that one wins. So `future` ends in the
    /// ordinary way, and nothing is lost: its own error tells how far it came ([`io::Incomplete`](crate::io::Incomplete),
    /// [`io::is_cancelled`](crate::io::is_cancelled)).
    ///
    /// This is what sets it apart from [`run_until_cancelled`](Self::run_until_cancelled), which drops its future, and what that
    /// holds. It ends operations only: where `future` waits for a sleep, a channel or a task it waits on, and finds out at its next
    /// operation (or by [`task::is_cancelled`](crate::task::is_cancelled)). All else is as for
    /// [`time::deadline`](crate::time::deadline()), which is the same with a clock: streams tell of it once and then end, what is
    /// [`shielded`](crate::task::shielded) and a close go on, and the tasks of a [`JoinSet`](crate::task::JoinSet) are cancelled
    /// along.
    ///
    /// A loop that goes on whatever its operations say is not ended by it, and never waits again.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::io::Incomplete;
    /// use saferring::net::UnixStream;
    /// use saferring::sync::CancellationToken;
    ///
    /// let token = CancellationToken::new();
    /// let (stream, peer) = UnixStream::pair()?;
    /// peer.write_all("half").await.0?;
    /// let stop = token.clone();
    /// saferring::spawn(async move { stop.cancel() });
    /// let (read, buf) = token.run(stream.read_exact(vec![0; 8])).await;
    /// assert_eq!(Incomplete::done_before(&read.unwrap_err()), Some(4));
    /// assert_eq!(&buf[..4], b"half"); // the same memory
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn run<F: IntoFuture>(&self, future: F) -> Run<F::IntoFuture> {
        Run {
            cancelled: Box::pin(tokio_util::sync::CancellationToken::clone(self).cancelled_owned()),
            noticed: None,
            scope: None,
            future: future.into_future(),
        }
    }
}

/// The future of [`CancellationToken::run`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
pub struct Run<F> {
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Who is told by the token; `None` before the first poll.
    noticed: Option<Notice>,
    /// `None` before the first poll.
    scope: Option<CancelScope>,
    #[pin]
    future: F,
}

/// A waker that notes that it was woken: to ask the token in each poll would be a lock.
struct Notice {
    told: Arc<Told>,
    waker: Waker,
}

struct Told {
    told: AtomicBool,
    task: Waker,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release, as what comes before the cancel comes before the poll that sees it.
        self.told.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Notice {
    fn new(task: &Waker) -> Self {
        let told = Arc::new(Told {
            told: AtomicBool::new(true),
            task: task.clone(),
        });
        let waker = Waker::from(Arc::clone(&told));
        Notice { told, waker }
    }

    /// Whether the token is to be asked.
    fn take(&self) -> bool {
        self.told.told.load(Ordering::Acquire) && self.told.told.swap(false, Ordering::AcqRel)
    }
}

impl<F: Future> Future for Run<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let scope = this.scope.get_or_insert_with(CancelScope::new);
        if scope.reason().is_none() {
            let notice = match this.noticed {
                Some(notice) if notice.told.task.will_wake(cx.waker()) => notice,
                // Foreign code: the waker is cloned, and the one before is dropped.
                noticed => noticed.insert(Notice::new(cx.waker())),
            };
            let mut cx = Context::from_waker(&notice.waker);
            if notice.take() && this.cancelled.as_mut().poll(&mut cx).is_ready() {
                scope.cancel(Reason::Cancelled);
            }
        }
        scope.run(|| this.future.poll(cx))
    }
}

impl<F> fmt::Debug for Run<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}
