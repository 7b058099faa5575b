//! A bound on any future's time.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project::pin_project;

use super::sleep::{Sleep, sleep, sleep_until};
pub use crate::error::Elapsed;

/// Bounds the time of `future`; when it is over, the future is dropped and the answer is [`Elapsed`].
///
/// A single operation has a bound of its own, which gives the buffer back: [`Op::timeout`](crate::op::Op::timeout).
///
/// # Errors
///
/// [`Elapsed`] if the time was over first.
///
/// # Cancel safety
///
/// That of `future`, which is dropped when the time is over.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::time::{Duration, timeout};
/// let never = std::future::pending::<()>();
/// assert!(timeout(Duration::from_millis(1), never).await.is_err());
/// # });
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep(duration),
    }
}

/// As [`timeout`], until `deadline`.
///
/// # Errors
///
/// [`Elapsed`] if the deadline came first.
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep_until(deadline),
    }
}

/// The future of [`timeout`] and [`timeout_at`].
#[must_use = "a timeout does nothing until it is awaited"]
#[pin_project]
#[derive(Debug)]
pub struct Timeout<F> {
    #[pin]
    future: F,
    sleep: Sleep,
}

impl<F> Timeout<F> {
    /// The future whose time is bounded.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Gives the future back.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed::new()))
    }
}
