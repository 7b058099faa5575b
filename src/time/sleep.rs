//! One timer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::driver::TimerKey;
use crate::op::{Driver, is_elsewhere};
use crate::runtime::with_driver;
use crate::task::WakeRef;

/// Completes when `duration` is over, counted from this call.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping it removes the timer.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::time::{Duration, sleep};
/// sleep(Duration::from_millis(1)).await;
/// # });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    let now = Instant::now();
    sleep_until(now.checked_add(duration).unwrap_or_else(|| far_future(now)))
}

/// Completes at `deadline`. One that is past completes at the next tick of the loop.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping it removes the timer.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        timer: None,
    }
}

/// As late as makes no difference, for durations beyond what an `Instant` can name.
pub(super) fn far_future(now: Instant) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(THIRTY_YEARS).unwrap_or(now)
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    deadline: Instant,
    timer: Option<(Rc<Driver>, TimerKey)>,
}

impl Sleep {
    /// When it completes.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it has completed.
    pub fn is_elapsed(&self) -> bool {
        match &self.timer {
            Some((driver, key)) => driver.timer_has_fired(*key),
            None => false,
        }
    }

    /// Sets another deadline, whether the first is over or not. Who waits for it already is woken at the new one.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        let Some((driver, key)) = self.timer.take() else {
            return;
        };
        if let Some(waiter) = driver.remove_timer(key) {
            let key = driver.add_timer(deadline, Some(waiter));
            self.timer = Some((driver, key));
        }
    }

    fn disarm(&mut self) {
        if let Some((driver, key)) = self.timer.take() {
            // Dropping the waiter may be foreign code; the driver is not borrowed here.
            drop(driver.remove_timer(key));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Foreign code, before anything is looked at.
        let waiter = WakeRef::new(cx.waker());
        if let Some((driver, key)) = &self.timer {
            if driver.timer_has_fired(*key) {
                return Poll::Ready(());
            }
            // Within another runtime than before it goes on there.
            if !is_elsewhere(driver) {
                return match driver.poll_timer(*key, waiter) {
                    Ok(before) => {
                        drop(before);
                        Poll::Pending
                    }
                    Err(_) => Poll::Ready(()),
                };
            }
            self.disarm();
        }
        let deadline = self.deadline;
        let timer = with_driver("a timer", |driver| {
            (Rc::clone(driver), driver.add_timer(deadline, Some(waiter)))
        });
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("elapsed", &self.is_elapsed())
            .finish()
    }
}
