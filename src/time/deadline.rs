//! A bound on a future's time that ends it from within.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project::pin_project;

use super::sleep::{Sleep, sleep, sleep_until};
use crate::task::{CancelScope, Reason, WakeRef};

/// Bounds the time of all operations of `future`, which goes on to its own end.
///
/// When the time is over, counted from this call, every operation in flight that `future` has begun, at whatever depth, is
/// cancelled, and those that it begins later are refused. Each answers with [`ErrorKind::TimedOut`] and gives its buffer
/// back, unless its result came first: that one wins. So `future` ends in the ordinary way, and nothing is lost: its own error tells
/// how far it came ([`io::Incomplete`](crate::io::Incomplete)).
///
/// This is what sets it apart from [`timeout`](super::timeout()), which drops its future, and what that holds. It ends
/// operations only: where `future` waits for a sleep, a channel or a task it waits on, and finds out at its next operation
/// (or by [`task::is_cancelled`](crate::task::is_cancelled)). What a connection's [streams](crate::net::RecvStream) have
/// requested goes on, they tell of the end once, and then end. A [`close`](crate::net::TcpStream::close) is done in any case, and
/// so is what is [`shielded`](crate::task::shielded). Tasks of a [`JoinSet`](crate::task::JoinSet) that are spawned within have the
/// same bound; others have none. Within another `deadline`, or a
/// [`CancellationToken::run`](crate::sync::CancellationToken::run), what is over first counts.
///
/// [`ErrorKind::TimedOut`]: std::io::ErrorKind::TimedOut
///
/// # Panics
///
/// When awaited outside a runtime.
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
/// use saferring::time::{Duration, deadline};
///
/// let (stream, peer) = UnixStream::pair()?;
/// peer.write_all("half a me").await.0?;
/// let buf = vec![0; 20];
/// let (read, buf) = deadline(Duration::from_millis(5), stream.read_exact(buf)).await;
/// let error = read.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// assert_eq!(Incomplete::done_before(&error), Some(9));
/// assert_eq!(&buf[..9], b"half a me"); // the same memory
/// # Ok(())
/// # })
/// # }
/// ```
pub fn deadline<F: IntoFuture>(duration: Duration, future: F) -> Deadline<F::IntoFuture> {
    Deadline {
        scope: None,
        waiter: None,
        sleep: sleep(duration),
        future: future.into_future(),
    }
}

/// As [`deadline`], until that time.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// That of `future`.
pub fn deadline_at<F: IntoFuture>(deadline: Instant, future: F) -> Deadline<F::IntoFuture> {
    Deadline {
        scope: None,
        waiter: None,
        sleep: sleep_until(deadline),
        future: future.into_future(),
    }
}

/// The future of [`deadline`] and [`deadline_at`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
pub struct Deadline<F> {
    /// `None` before the first poll.
    scope: Option<CancelScope>,
    /// Whom the timer wakes.
    waiter: Option<WakeRef>,
    sleep: Sleep,
    #[pin]
    future: F,
}

impl<F: Future> Future for Deadline<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let scope = this.scope.get_or_insert_with(CancelScope::new);
        if scope.reason().is_none() {
            let waits = this.waiter.as_ref();
            let over = match waits.is_some_and(|waiter| waiter.will_wake(cx.waker())) {
                true => this.sleep.is_elapsed(),
                false => {
                    // Foreign code, before the timer is looked at.
                    drop(this.waiter.replace(WakeRef::new(cx.waker())));
                    Pin::new(this.sleep).poll(cx).is_ready()
                }
            };
            if over {
                scope.cancel(Reason::Elapsed);
            }
        }
        scope.run(|| this.future.poll(cx))
    }
}

impl<F> std::fmt::Debug for Deadline<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deadline")
            .field("sleep", &self.sleep)
            .finish_non_exhaustive()
    }
}
