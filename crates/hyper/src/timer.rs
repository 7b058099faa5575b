//! Timers of hyper's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use send_wrapper::SendWrapper;

/// The timers of the runtime, for hyper.
///
/// hyper wants them `Send`; they are checked to stay on their thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

/// hyper wants a sleep to be `Send`; it never leaves its core.
struct Sleep(SendWrapper<saferring::time::Sleep>);

impl Sleep {
    fn until(deadline: Instant) -> Pin<Box<Self>> {
        Box::pin(Sleep(SendWrapper::new(saferring::time::sleep_until(
            deadline,
        ))))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut *self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let now = Instant::now();
        // What cannot be counted is for ever, or near enough.
        let far = || now + Duration::from_secs(60 * 60 * 24 * 365);
        self.sleep_until(now.checked_add(duration).unwrap_or_else(far))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Sleep::until(deadline)
    }

    /// Without a new allocation.
    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(mut sleep) => sleep.0.reset(new_deadline),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}
