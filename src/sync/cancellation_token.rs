//! Asks any number of tasks, on any threads, to end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use super::newtype::{converts, derefs};
use crate::task::{cooperative, poll_proceed, spend};

/// Asks tasks to end. All clones are the same token; a [child](Self::child_token) is cancelled with its parent, and not the other
/// way round.
///
/// It is [`tokio_util::sync::CancellationToken`], whose other methods it has: `cancel`, `is_cancelled`.
///
/// ```
/// use saferring::sync::CancellationToken;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let token = CancellationToken::new();
/// let child = token.child_token();
/// let task = saferring::spawn(async move {
///     child.run_until_cancelled(std::future::pending::<()>()).await
/// });
/// token.cancel();
/// assert_eq!(task.await.unwrap(), None);
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancellationToken(tokio_util::sync::CancellationToken);

derefs!([] CancellationToken: tokio_util::sync::CancellationToken);
converts!([] CancellationToken []: tokio_util::sync::CancellationToken);

impl CancellationToken {
    /// One that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, or by itself.
    #[must_use]
    pub fn child_token(&self) -> Self {
        CancellationToken(self.0.child_token())
    }

    /// Waits until it is cancelled.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        WaitForCancellationFuture {
            inner: self.0.cancelled(),
        }
    }

    /// [`cancelled`](Self::cancelled), without a borrow.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        WaitForCancellationFutureOwned {
            inner: self.0.cancelled_owned(),
        }
    }

    /// Cancels it when what this gives is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { token: Some(self) }
    }

    /// [`drop_guard`](Self::drop_guard) with a borrow.
    pub fn drop_guard_ref(&self) -> DropGuardRef<'_> {
        DropGuardRef { token: Some(self) }
    }

    /// What `future` gives, or none if the token is cancelled before. The future is dropped then. If it is cancelled already, the
    /// future is not polled.
    ///
    /// # Cancel safety
    ///
    /// As `future`.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        cooperative(self.0.run_until_cancelled(future)).await
    }

    /// [`run_until_cancelled`](Self::run_until_cancelled), without a borrow.
    ///
    /// # Cancel safety
    ///
    /// As `future`.
    pub async fn run_until_cancelled_owned<F: Future>(self, future: F) -> Option<F::Output> {
        cooperative(self.0.run_until_cancelled_owned(future)).await
    }
}

/// The future of [`CancellationToken::cancelled`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct WaitForCancellationFuture<'a> {
    #[pin]
    inner: tokio_util::sync::WaitForCancellationFuture<'a>,
}

impl Future for WaitForCancellationFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        ready!(self.project().inner.poll(cx));
        spend();
        Poll::Ready(())
    }
}

/// The future of [`CancellationToken::cancelled_owned`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct WaitForCancellationFutureOwned {
    #[pin]
    inner: tokio_util::sync::WaitForCancellationFutureOwned,
}

impl Future for WaitForCancellationFutureOwned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        ready!(self.project().inner.poll(cx));
        spend();
        Poll::Ready(())
    }
}

/// Cancels a token when it is dropped. [`CancellationToken::drop_guard`] makes it.
#[must_use = "it cancels the token when it is dropped"]
#[derive(Debug)]
pub struct DropGuard {
    /// None once disarmed.
    token: Option<CancellationToken>,
}

impl DropGuard {
    /// Gives the token back, and cancels nothing.
    pub fn disarm(mut self) -> CancellationToken {
        self.token.take().unwrap_or_default()
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}

/// Cancels a token when it is dropped. [`CancellationToken::drop_guard_ref`] makes it.
#[must_use = "it cancels the token when it is dropped"]
#[derive(Debug)]
pub struct DropGuardRef<'a> {
    /// None once disarmed.
    token: Option<&'a CancellationToken>,
}

impl DropGuardRef<'_> {
    /// Cancels nothing.
    pub fn disarm(mut self) {
        self.token = None;
    }
}

impl Drop for DropGuardRef<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            token.cancel();
        }
    }
}
