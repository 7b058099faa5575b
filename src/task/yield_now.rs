//! Giving way to the other tasks.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets the tasks that are ready run first, then goes on.
///
/// ```no_run
/// #[saferring::main]
/// async fn main() {
///     for step in 0..1_000_000_u64 {
///         std::hint::black_box(step * step);
///         if step % 10_000 == 0 {
///             saferring::task::yield_now().await; // Others wait; let them have their turn.
///         }
///     }
/// }
/// ```
#[inline]
pub const fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you await them"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
