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
            told: Arc::default(),
            notice: None,
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
    /// Set by the token, which would be a lock to ask.
    told: Arc<AtomicBool>,
    /// Whom the token wakes; `None` before the first poll.
    notice: Option<Waker>,
    /// `None` before the first poll.
    scope: Option<CancelScope>,
    #[pin]
    future: F,
}

/// What the token is given as a waker: it notes that it was woken.
struct Notice {
    told: Arc<AtomicBool>,
    task: Waker,
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: what comes before the cancel comes before what sees it.
        self.told.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<F: Future> Future for Run<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let told = this.told;
        let scope = this.scope.get_or_insert_with(|| {
            let told = Arc::clone(told);
            CancelScope::with_source(Some(Box::new(move || told.load(Ordering::Acquire))))
        });
        if scope.reason().is_none() {
            let known = this.notice.as_ref();
            if !known.is_some_and(|notice| notice.will_wake(cx.waker())) {
                // Foreign code: the waker is cloned, and the one before is dropped.
                let task = cx.waker().clone();
                *this.notice = Some(task.clone());
                let notice = Arc::new(Notice {
                    told: Arc::clone(told),
                    task,
                });
                let waker = Waker::from(notice);
                if this
                    .cancelled
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready()
                {
                    told.store(true, Ordering::Release);
                }
            }
            if told.load(Ordering::Acquire) {
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
