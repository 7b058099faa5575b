//! A runtime of saferring's on any executor, by the thread of [`async-io`](::async_io): on that of smol, or `async_io::block_on`.
//!
//! The runtime and its tasks stay on the thread that polls them, so with smol it is a `LocalExecutor` that runs this. What is
//! awaited there may be anything: a [`JoinHandle`](saferring::task::JoinHandle) of a task of the runtime, or a channel.
//!
//! ```
//! use saferring::runtime::Runtime;
//! use saferring_compat::async_io::run_until;
//!
//! let runtime = Runtime::new()?;
//! let answer = async_io::block_on(run_until(&runtime, async {
//!     let task = runtime.spawn(async {
//!         saferring::fs::read("Cargo.toml").await
//!     });
//!     async_io::Timer::after(std::time::Duration::from_millis(1)).await;
//!     task.await
//! }))?;
//! assert!(answer??.starts_with(b"[package]"));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::BorrowedFd;
use std::task::Poll;
use std::time::Instant;

use async_io::{Async, Timer};
use saferring::runtime::Runtime;

use crate::guest::{self, Host};

/// Runs `runtime` for as long as this is polled, on the thread that polls it.
///
/// # Errors
///
/// If the runtime has no descriptor to be polled by ([`Runtime::try_as_fd`]), or async-io takes no more.
///
/// # Panics
///
/// Those of [`Runtime::run_once`]: if a runtime of saferring's is running on this thread already.
///
/// # Cancel safety
///
/// Dropping it only stops running the runtime, whose tasks wait. It can be run again, or by
/// [`block_on`](Runtime::block_on).
pub async fn run(runtime: &Runtime) -> io::Result<Infallible> {
    let fd = Async::new_nonblocking(runtime.try_as_fd()?)?;
    guest::run(runtime, AsyncIo(fd)).await
}

/// Runs `runtime` until `future` is ready, and gives its output. `future` is the executor's: it awaits tasks of the runtime, and
/// does not run in it.
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

struct AsyncIo<'a>(Async<BorrowedFd<'a>>);

impl Host for AsyncIo<'_> {
    async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    async fn sleep_until(&self, deadline: Instant) {
        Timer::at(deadline).await;
    }

    async fn yield_now(&self) {
        let mut is_first = true;
        let once = poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        once.await;
    }
}
