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
                rare.paused_until = Instant::now().checked_add(rare.pause);
            });
        } else if result >= 0 && self.0.rare.borrow().is_some() {
            self.with_rare(|rare| {
                rare.pause = Duration::ZERO;
                rare.paused_until = None;
            });
        }
    }

    /// The pause that an accept has to make first. It is over for all when one has made it, and stays if that one is dropped.
    #[inline]
    pub(crate) fn pause(&self) -> Option<Pause> {
        if self.0.rare.borrow().is_none() {
            return None;
        }
        let until = self.with_rare(|rare| rare.paused_until)?;
        Some(Pause {
            until,
            timer: None,
            wait: Some(Wait::default()),
        })
    }

    /// A pause has been made.
    pub(crate) fn end_pause(&self) {
        self.with_rare(|rare| rare.paused_until = None);
    }
}

/// Ends after some time, or, for who waits for that, when a descriptor was closed on this thread.
#[derive(Debug)]
pub(crate) struct Pause {
    until: Instant,
    timer: Option<(Rc<Driver>, TimerKey)>,
    wait: Option<Wait>,
}

impl Pause {
    /// For nothing but time.
    pub(crate) fn new(length: Duration) -> Self {
        Pause {
            until: Instant::now() + length,
            timer: None,
            wait: None,
        }
    }
}

/// The pauses between looks at what nobody tells of: each twice as long as the one before, up to `longest`.
pub(crate) struct Looks {
    next: Duration,
    longest: Duration,
}

impl Looks {
    pub(crate) fn new(longest: Duration) -> Self {
        let next = Duration::from_millis(1);
        Looks { next, longest }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> SharedFd {
        SharedFd::new(std::fs::File::open("/dev/null").unwrap().into())
    }

    /// Both ways of accepting tell each answer so, and ask for the pause before the next.
    #[test]
    fn each_shortage_makes_the_next_wait_and_nothing_else_does() {
        for shortage in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            let fd = fd();
            fd.note_accept(-shortage);
            let first = fd.with_rare(|rare| rare.pause);
            assert!(fd.pause().is_some() && first == FIRST, "{shortage}");
            for _ in 0..20 {
                fd.note_accept(-shortage);
            }
            assert_eq!(fd.with_rare(|rare| rare.pause), LONGEST);
            fd.note_accept(0);
            assert!(fd.pause().is_none(), "{shortage}");
        }
        for other in [libc::ECONNABORTED, libc::EPERM, libc::EBADF, libc::EINVAL] {
            let fd = fd();
            fd.note_accept(-other);
            assert!(fd.pause().is_none(), "{other}");
        }
    }
}
