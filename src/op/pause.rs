//! Waiting for a descriptor, or for memory: what an accept does that found none.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::context::current_or_panic;
use super::waiters::{Wait, Waiters};
use super::{Driver, SharedFd};
use crate::driver::TimerKey;
use crate::task::WakeRef;

/// The first pause, which doubles with each that comes to nothing, and the longest.
const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(500);

thread_local! {
    /// Who waits for a descriptor to be closed on this thread.
    static WAITING: Waiters = Waiters::default();
    /// Whether there may be some. Without a destructor, so that a look at it is one load.
    static ANY: Cell<bool> = const { Cell::new(false) };
}

/// A descriptor was closed: one who waits for that looks again.
#[inline]
pub(super) fn descriptor_closed() {
    if ANY.get() {
        wake_one();
    }
}

#[cold]
fn wake_one() {
    // At the thread's end the queue may be gone already.
    ANY.set(WAITING.try_with(Waiters::wake_one).unwrap_or(false));
}

/// Whether an error says that there is no descriptor, or no memory, and nothing about the operation itself.
fn is_shortage(result: i32) -> bool {
    matches!(
        -result,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
    )
}

impl SharedFd {
    /// Takes note of how an accept has ended: after a shortage, the next waits for a while.
    #[inline]
    pub(crate) fn note_accept(&self, result: i32) {
        if result < 0 && is_shortage(result) {
            self.with_rare(|rare| {
                let longer = (rare.pause * 2).min(LONGEST);
                rare.pause = longer.max(FIRST);
                rare.paused = true;
            });
        } else if result >= 0 && self.0.rare.borrow().is_some() {
            self.with_rare(|rare| rare.pause = Duration::ZERO);
        }
    }

    /// The pause that the next accept has to make first.
    #[inline]
    pub(crate) fn take_pause(&self) -> Option<Pause> {
        if self.0.rare.borrow().is_none() {
            return None;
        }
        self.with_rare(|rare| std::mem::take(&mut rare.paused).then(|| Pause::new(rare.pause)))
    }
}

/// Ends when a descriptor was closed on this thread, or after some time.
#[derive(Debug)]
pub(crate) struct Pause {
    length: Duration,
    timer: Option<(Rc<Driver>, TimerKey)>,
    wait: Wait,
}

impl Pause {
    pub(crate) fn new(length: Duration) -> Self {
        Pause {
            length,
            timer: None,
            wait: Wait::default(),
        }
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
                let woken = WAITING.try_with(|waiting| this.wait.was_woken(waiting));
                if woken.unwrap_or(true) || driver.timer_has_fired(*timer) {
                    return Poll::Ready(());
                }
                drop(driver.poll_timer(*timer, waiter.clone()));
            }
            None => {
                let driver = current_or_panic();
                let timer = driver.add_timer(Instant::now() + this.length, Some(waiter.clone()));
                this.timer = Some((driver, timer));
            }
        }
        let _ = WAITING.try_with(|waiting| this.wait.register(waiting, waiter));
        ANY.set(true);
        Poll::Pending
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some((driver, timer)) = self.timer.take() {
            drop(driver.remove_timer(timer));
        }
        let _ = WAITING.try_with(|waiting| self.wait.leave(waiting));
    }
}
