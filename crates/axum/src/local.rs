//! What stays on its core, though axum asks for `Send`.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use send_wrapper::SendWrapper;

/// A future that is `Send`, and never leaves its core; made by [`local`].
#[must_use = "a future does nothing unless it is awaited"]
#[pin_project::pin_project]
pub struct Local<F>(#[pin] SendWrapper<F>);

/// Makes a future `Send` that is not: for handlers that await what saferring has.
///
/// # Panics
///
/// The future panics if it is polled or dropped on another thread than this. A server of this crate does neither.
///
/// # Examples
///
/// ```
/// use saferring_axum::local;
///
/// fn is_send<T: Send>(value: T) -> T { value }
///
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let slept = is_send(local(saferring::time::sleep(std::time::Duration::ZERO)));
/// slept.await;
/// # });
/// # Ok::<_, saferring::Error>(())
/// ```
pub fn local<F: Future>(future: F) -> Local<F> {
    Local(SendWrapper::new(future))
}

impl<F: Future> Future for Local<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().0.poll(cx)
    }
}

impl<F> fmt::Debug for Local<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// A value of one core, shared by what runs there: an `Rc` that may be the state of a router.
///
/// # Panics
///
/// If it is used on another thread than that which has made it, or its last clone is dropped there.
///
/// # Examples
///
/// See the [crate's page](crate#state-of-a-core).
pub struct OnCore<T>(SendWrapper<Rc<T>>);

impl<T> OnCore<T> {
    /// A value of this core.
    pub fn new(value: T) -> Self {
        OnCore(SendWrapper::new(Rc::new(value)))
    }
}

impl<T> Deref for OnCore<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for OnCore<T> {
    fn clone(&self) -> Self {
        OnCore(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for OnCore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.valid() {
            true => f.debug_tuple("OnCore").field(&**self).finish(),
            false => f.write_str("OnCore(of another thread)"),
        }
    }
}
