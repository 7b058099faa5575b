//! Pauses before something is tried again, each longer than the one before.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::driver::TimerKey;
use crate::op::context::{Driver, current_or_panic};
use crate::op::resource::waiters::{Wait, Waiters};
use crate::task::WakeRef;

/// The first pause.
pub(super) const FIRST: Duration = Duration::from_millis(1);

thread_local! {
    /// Who waits for a descriptor to be closed on this thread.
    static WAITING: Waiters = Waiters::default();
    /// Whether there may be some. Without a destructor, so that a look at it is one load.
    static ANY: Cell<bool> = const { Cell::new(false) };
}

/// A descriptor was closed: one who waits for that looks again.
#[inline]
pub(in crate::op) fn descriptor_closed() {
    if ANY.get() {
        wake_one();
    }
}

#[cold]
fn wake_one() {
    // At the thread's end the queue may be gone already.
    ANY.set(WAITING.try_with(Waiters::wake_one).unwrap_or(false));
}

/// Ends after some time, or, for who waits for that, when a descriptor was closed on this thread.
#[derive(Debug)]
pub(crate) struct Pause {
    until: Instant,
    timer: Option<(Rc<Driver>, TimerKey)>,
    wait: Option<Wait>,
}

impl Pause {
    /// Ends then, or sooner, when a descriptor was closed on this thread.
    pub(super) fn for_descriptor(until: Instant) -> Self {
        Pause {
            until,
            timer: None,
            wait: Some(Wait::default()),
        }
    }

    /// For nothing but time.
    pub(crate) fn new(length: Duration) -> Self {
        Pause {
            until: Instant::now() + length,
            timer: None,
            wait: None,
        }
    }
}

/// The pauses between two looks at what nobody tells of: each twice as long as the one before, up to `longest`.
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(longest: Duration) -> Self {
        Backoff {
            next: FIRST,
            longest,
        }
    }

    /// The next one, but no longer than `most`.
    pub(crate) fn pause(&mut self, most: Duration) -> Pause {
        let pause = Pause::new(self.next.min(most));
        self.next = (2 * self.next).min(self.longest);
        pause
    }
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Foreign code, before anything is looked at.
        let waiter = WakeRef::new(cx.waker());
        match &this.timer {
            Some((driver, timer)) => {
                let was_woken = |wait: &Wait| WAITING.try_with(|waiting| wait.was_woken(waiting));
                let woken = this
                    .wait
                    .as_ref()
                    .is_some_and(|wait| was_woken(wait).unwrap_or(true));
                if woken || driver.timer_has_fired(*timer) {
                    return Poll::Ready(());
                }
                drop(driver.poll_timer(*timer, waiter.clone()));
            }
            None => {
                let driver = current_or_panic();
                let timer = driver.add_timer(this.until, Some(waiter.clone()));
                this.timer = Some((driver, timer));
            }
        }
        if let Some(wait) = &mut this.wait {
            let _ = WAITING.try_with(|waiting| wait.register(waiting, waiter));
            ANY.set(true);
        }
        Poll::Pending
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some((driver, timer)) = self.timer.take() {
            drop(driver.remove_timer(timer));
        }
        if let Some(wait) = &mut self.wait {
            let _ = WAITING.try_with(|waiting| wait.leave(waiting));
        }
    }
}
