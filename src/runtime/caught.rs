//! A user's future, all of whose panics are caught.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

use crate::foreign;

/// What work ends with: its result, or the payload of its panic.
pub(crate) type Ending<R> = Result<R, Box<dyn Any + Send>>;

/// Makes a future and runs it to its end; or drops it when `stop`, which is asked whenever the future is not ready, is:
/// then the answer is `None`. A panic of any of it is its ending.
pub(crate) async fn caught<F: Future>(
    make: impl FnOnce() -> F,
    mut stop: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Option<Ending<F::Output>> {
    let mut future = pin!(match catch_unwind(AssertUnwindSafe(make)) {
        Ok(future) => Some(future),
        Err(panic) => return Some(Err(panic)),
    });
    let ending = poll_fn(|cx| {
        let Some(running) = future.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        match catch_unwind(AssertUnwindSafe(|| running.poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(Ok(output))),
            Ok(Poll::Pending) => stop(cx).map(|()| None),
            Err(panic) => Poll::Ready(Some(Err(panic))),
        }
    })
    .await;
    // Its drop is the user's as well.
    match catch_unwind(AssertUnwindSafe(|| future.set(None))) {
        Ok(()) => ending,
        Err(panic) => {
            foreign::guarded(|| drop(ending));
            Some(Err(panic))
        }
    }
}
