//! A runtime of saferring's as a guest of another: what both kinds of hosts have in common.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use saferring::runtime::Runtime;

/// What the guest waits by.
pub(crate) trait Host {
    /// Waits until the guest's descriptor is readable.
    ///
    /// # Errors
    ///
    /// It cannot be waited for any more.
    async fn readable(&self) -> io::Result<()>;

    /// Waits until that time.
    async fn sleep_until(&self, deadline: Instant);

    /// Lets the host's tasks run.
    async fn yield_now(&self);
}

/// Runs the guest for as long as this is polled.
pub(crate) async fn run(runtime: &Runtime, host: impl Host) -> io::Result<Infallible> {
    loop {
        if runtime.run_once() {
            host.yield_now().await;
            continue;
        }
        let mut readable = pin!(host.readable());
        match runtime.next_deadline() {
            None => readable.await?,
            Some(deadline) => {
                let mut sleep = pin!(host.sleep_until(deadline));
                let first = poll_fn(|cx| match readable.as_mut().poll(cx) {
                    Poll::Pending => sleep.as_mut().poll(cx).map(Ok),
                    readable => readable,
                });
                first.await?;
            }
        }
    }
}

/// The future's output; `runs` is polled beside it.
pub(crate) async fn until<T>(
    future: impl Future<Output = T>,
    runs: impl Future<Output = io::Result<Infallible>>,
) -> io::Result<T> {
    let (mut future, mut runs) = (pin!(future), pin!(runs));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => runs.as_mut().poll(cx).map(|ended| match ended {
            Err(error) => Err(error),
            Ok(never) => match never {},
        }),
    })
    .await
}
