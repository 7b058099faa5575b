//! A runtime beside the tasks of a thread of tokio's.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use saferring::runtime::Runtime;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::guest::{self, Host};

/// Runs `runtime` for as long as this is polled, on the thread that polls it.
///
/// # Errors
///
/// If the runtime has no descriptor to be polled by ([`Runtime::try_as_fd`]), if there is no runtime of tokio's, or if it takes no
/// more descriptors.
///
/// # Panics
///
/// If tokio's runtime was built without IO or time: `enable_all()` has both. Those of [`Runtime::run_once`]: if a runtime of
/// saferring's is running on this thread already.
///
/// # Cancel safety
///
/// Dropping it only stops running the runtime, whose tasks wait. It can be run again, or by
/// [`block_on`](Runtime::block_on).
pub async fn run(runtime: &Runtime) -> io::Result<Infallible> {
    if Handle::try_current().is_err() {
        return Err(io::Error::other(
            "there is no runtime of tokio's here: poll this in one, as in tokio::runtime::Runtime::block_on",
        ));
    }
    #[allow(
        deprecated,
        reason = "what replaces it is unsafe, for descriptors that change; a borrowed one does not"
    )]
    let fd = AsyncFd::with_interest(runtime.try_as_fd()?, Interest::READABLE)?;
    guest::run(runtime, Tokio(fd)).await
}

/// Runs `runtime` until `future` is ready, and gives its output. `future` is tokio's: it awaits tasks of the runtime, and does not
/// run in it.
///
/// # Errors
///
/// Those of [`run`].
///
/// # Panics
///
/// As [`run`].
///
/// # Cancel safety
///
/// As [`run`], and of `future`.
pub async fn run_until<F: Future>(runtime: &Runtime, future: F) -> io::Result<F::Output> {
    guest::until(future, run(runtime)).await
}

struct Tokio<'a>(AsyncFd<BorrowedFd<'a>>);

impl Host for Tokio<'_> {
    async fn readable(&self) -> io::Result<()> {
        // Before the turn: what comes during it is told again.
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline.into()).await;
    }

    async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }
}
