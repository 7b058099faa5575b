//! Sleeps, bounds and ticks. What was missed is missed because the start lies in the past, so nothing waits for it here.

use std::future::{pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::poll_immediate;
use saferring::net::UnixStream;
use saferring::op::nop;
use saferring::time::{
    Elapsed, Interval, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout,
    timeout_at,
};
use saferring_tests::{bounded, until};

use super::runtime;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(5);

/// Ticks every hour, the first ten and a half hours ago.
fn late(behavior: MissedTickBehavior) -> (Instant, Interval) {
    let start = Instant::now() - HOUR * 10 - HOUR / 2;
    let mut ticks = interval_at(start, HOUR);
    ticks.set_missed_tick_behavior(behavior);
    assert_eq!(ticks.missed_tick_behavior(), behavior);
    assert_eq!(ticks.period(), HOUR);
    (start, ticks)
}

async fn is_pending(ticks: &mut Interval) -> bool {
    // A deadline that is past is seen at the next turn.
    let mut tick = Box::pin(ticks.tick());
    for _ in 0..3 {
        if poll_immediate(&mut tick).await.is_some() {
            return false;
        }
        nop().await.unwrap();
    }
    true
}

#[test]
fn a_burst_makes_up_for_all_that_was_missed() {
    bounded(|| {
        runtime().block_on(async {
            assert_eq!(
                interval(HOUR).missed_tick_behavior(),
                MissedTickBehavior::Burst
            );
            let (start, mut ticks) = late(MissedTickBehavior::Burst);
            for n in 0..11 {
                assert_eq!(ticks.tick().await, start + HOUR * n);
            }
            assert!(is_pending(&mut ticks).await);
        });
    });
}

/// The tick after the late one: a period after that with `Delay`, and with `Skip` at a multiple of the period after the
/// start.
#[test]
fn delay_and_skip_leave_out_what_was_missed() {
    bounded(|| {
        runtime().block_on(async {
            for behavior in [MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
                let (start, mut ticks) = late(behavior);
                assert_eq!(ticks.tick().await, start);
                assert!(is_pending(&mut ticks).await, "{behavior:?}");

                let period = Duration::from_millis(20);
                let start = Instant::now() - period * 10 - period / 2;
                let mut ticks = interval_at(start, period);
                ticks.set_missed_tick_behavior(behavior);
                let before = Instant::now();
                assert_eq!(ticks.tick().await, start);
                let after = Instant::now();
                let due = ticks.tick().await;
                assert!(Instant::now() >= due);
                match behavior {
                    MissedTickBehavior::Delay => {
                        assert!(due >= before + period && due <= after + period);
                    }
                    _ => {
                        let since = (due - start).as_nanos();
                        assert_eq!(since % period.as_nanos(), 0);
                        assert!(due > before && due <= after + period);
                    }
                }
            }
        });
    });
}

#[test]
fn an_interval_ticks_at_once_and_anew_after_a_reset() {
    bounded(|| {
        runtime().block_on(async {
            let before = Instant::now();
            let mut ticks = interval(HOUR);
            let first = poll_fn(|cx| ticks.poll_tick(cx)).await;
            assert!(first >= before && first <= Instant::now());
            assert!(is_pending(&mut ticks).await);

            let (_, mut ticks) = late(MissedTickBehavior::Burst);
            ticks.reset();
            assert!(is_pending(&mut ticks).await);
            let mut ticks = interval(SHORT);
            ticks.tick().await;
            let before = Instant::now();
            ticks.reset();
            assert!(ticks.tick().await >= before + SHORT);
            assert!(Instant::now() >= before + SHORT);
        });
    });
}

#[test]
fn an_interval_without_a_period_is_refused() {
    bounded(|| {
        runtime().block_on(async {
            let refused = std::panic::catch_unwind(|| interval(Duration::ZERO));
            assert!(refused.is_err());
            let start = Instant::now();
            let refused = std::panic::catch_unwind(|| interval_at(start, Duration::ZERO));
            assert!(refused.is_err());
        });
    });
}

#[test]
fn a_sleep_can_be_set_anew_before_and_after_its_end() {
    bounded(|| {
        runtime().block_on(async {
            let far = Instant::now() + HOUR;
            let mut slept = sleep_until(far);
            assert_eq!(slept.deadline(), far);
            assert!(!slept.is_elapsed());
            assert!(poll_immediate(Pin::new(&mut slept)).await.is_none());
            // Nearer, while it is armed.
            let near = Instant::now() + SHORT;
            slept.reset(near);
            assert_eq!(slept.deadline(), near);
            Pin::new(&mut slept).await;
            assert!(slept.is_elapsed());
            assert!(Instant::now() >= near);
            // As ready as before, when it is polled again.
            assert!(poll_immediate(Pin::new(&mut slept)).await.is_some());
            // Further, when it is over.
            slept.reset(Instant::now() + HOUR);
            assert!(!slept.is_elapsed());
            assert!(poll_immediate(Pin::new(&mut slept)).await.is_none());
            slept.reset(Instant::now() - SHORT);
            Pin::new(&mut slept).await;
            // The waker of the last poll is woken, also when it was polled before the reset.
            let mut slept = Box::pin(sleep(HOUR));
            assert!(poll_immediate(&mut slept).await.is_none());
            slept.reset(Instant::now() + SHORT);
            let task = saferring::spawn(slept);
            until("the sleep", || task.is_finished()).await;
            assert!(poll_immediate(pin!(sleep(Duration::MAX))).await.is_none());
        });
    });
}

#[test]
fn a_bound_ends_what_is_not_ready_by_then() {
    bounded(|| {
        runtime().block_on(async {
            let past = Instant::now() - SHORT;
            let elapsed: Result<(), Elapsed> = timeout_at(past, pending()).await;
            assert_eq!(elapsed.unwrap_err().to_string(), "deadline has elapsed");
            // As in tokio: what is ready at the first poll is in time.
            assert_eq!(timeout_at(past, ready(7)).await, Ok(7));
            assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
            let far = Instant::now() + HOUR;
            let slept = timeout_at(far, sleep(SHORT));
            assert!(!slept.get_ref().is_elapsed());
            assert_eq!(slept.await, Ok(()));
            let inner = timeout(HOUR, ready(8)).into_inner();
            assert_eq!(inner.await, 8);
            let near = Instant::now() + SHORT;
            assert!(timeout_at(near, pending::<()>()).await.is_err());
            assert!(Instant::now() >= near);
            // Polled on, it answers on.
            let mut bounded = pin!(timeout(SHORT, pending::<()>()));
            assert!(bounded.as_mut().await.is_err());
            let again = poll_fn(|cx| Poll::Ready(bounded.as_mut().poll(cx).is_ready()));
            assert!(again.await);
        });
    });
}

/// A bound beyond what an [`Instant`] can name is none.
#[test]
fn a_bound_may_be_as_long_as_a_duration_can_be() {
    bounded(|| {
        runtime().block_on(async {
            nop().timeout(Duration::MAX).await.unwrap();
            let (stream, peer) = UnixStream::pair().unwrap();
            let mut read = Box::pin(stream.read([0; 2]).timeout(Duration::MAX));
            assert!(poll_immediate(&mut read).await.is_none());
            timeout(Duration::MAX, nop()).await.unwrap().unwrap();
            peer.write_all(*b"ok").await.0.unwrap();
            assert_eq!(read.await.1, *b"ok");
            assert!(
                poll_immediate(Box::pin(sleep(Duration::MAX)))
                    .await
                    .is_none()
            );
        });
    });
}

/// Who waits is not forgotten when a sleep or an interval is set anew by whoever polls it, and does not poll it again.
#[test]
fn a_deadline_that_is_set_anew_wakes_who_waits() {
    bounded(|| {
        runtime().block_on(async {
            for first in [HOUR, SHORT] {
                let mut sleep = pin!(sleep(first));
                let mut polls = 0;
                poll_fn(|cx| {
                    polls += 1;
                    let ended = sleep.as_mut().poll(cx);
                    if polls == 1 {
                        sleep.as_mut().reset(Instant::now() + SHORT);
                    }
                    ended
                })
                .await;
            }
            let mut ticks = interval_at(Instant::now() + HOUR, SHORT);
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                let tick = ticks.poll_tick(cx);
                if polls == 1 {
                    ticks.reset();
                }
                tick
            })
            .await;
        });
    });
}
