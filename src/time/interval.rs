//! A timer that repeats.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::{Sleep, far_future, sleep_until};

/// Ticks at once, and then every `period`.
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::time::{Duration, interval};
/// let mut ticks = interval(Duration::from_millis(1));
/// for _ in 0..3 {
///     ticks.tick().await;
/// }
/// # });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
///
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero"
    );
    Interval {
        sleep: sleep_until(start),
        period,
        missed: MissedTickBehavior::default(),
    }
}

/// What an [`Interval`] does about ticks that nobody took in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks come one after the other until all were made up for.
    #[default]
    Burst,
    /// The next tick comes a full period after the late one.
    Delay,
    /// The missed ticks are left out; the next comes at a multiple of the period after the start.
    Skip,
}

impl MissedTickBehavior {
    /// When the tick after the one that was due at `due` and is taken at `now` is due.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        let regular = due.checked_add(period);
        let next = match self {
            MissedTickBehavior::Burst => regular,
            _ if now.saturating_duration_since(due) < period => regular,
            MissedTickBehavior::Delay => now.checked_add(period),
            MissedTickBehavior::Skip => {
                let late = now.saturating_duration_since(due).as_nanos();
                let behind = late % period.as_nanos();
                // Less than a period, so it fits.
                let behind = Duration::new(
                    (behind / 1_000_000_000) as u64,
                    (behind % 1_000_000_000) as u32,
                );
                now.checked_add(period - behind)
            }
        };
        next.unwrap_or_else(|| far_future(now))
    }
}

/// The ticks of [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick; returns when it was due.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no tick.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// [`tick`](Interval::tick), for those who poll.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = self.missed.next(due, Instant::now(), self.period);
        self.sleep.reset(next);
        Poll::Ready(due)
    }

    /// Starts a full period anew, now.
    pub fn reset(&mut self) {
        let now = Instant::now();
        let next = now
            .checked_add(self.period)
            .unwrap_or_else(|| far_future(now));
        self.sleep.reset(next);
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What is done about missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets what is done about missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_ticks() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let period = Duration::from_millis(10);
        let next = |behavior: MissedTickBehavior, now| behavior.next(start, now, period);
        for behavior in [
            MissedTickBehavior::Burst,
            MissedTickBehavior::Delay,
            MissedTickBehavior::Skip,
        ] {
            assert_eq!(next(behavior, at(3)), at(10), "{behavior:?}");
        }
        assert_eq!(next(MissedTickBehavior::Burst, at(25)), at(10));
        assert_eq!(next(MissedTickBehavior::Delay, at(25)), at(35));
        assert_eq!(next(MissedTickBehavior::Skip, at(25)), at(30));
        assert_eq!(next(MissedTickBehavior::Skip, at(20)), at(30));
    }
}
