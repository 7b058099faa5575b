//! Tells tasks of one core that something has happened.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::waiters::Waiters;
use crate::foreign::Scope;
use crate::task::{WakeRef, poll_proceed, spend};

/// Tells one task of this core or all that wait that something has happened. It carries no value.
///
/// ```
/// use std::rc::Rc;
/// use saferring::sync::local::Notify;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let notify = Rc::new(Notify::new());
/// let told = saferring::spawn(Rc::clone(&notify).notified_owned());
/// notify.notify_one(); // nobody waits yet: it is kept
/// told.await.unwrap();
/// # });
/// ```
pub struct Notify {
    state: RefCell<State>,
}

struct State {
    /// Somebody was to be told, and nobody waited.
    is_kept: bool,
    /// How often all were told.
    calls: u64,
    waiters: Waiters<Told>,
}

/// What a waiter was told.
#[derive(Clone, Copy)]
enum Told {
    Nothing,
    /// It alone, so that it must not be lost: as one that came first, or last.
    Alone(End),
    All,
}

/// Which end of the line.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl Notify {
    /// One that has told nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Notify {
            state: RefCell::new(State {
                is_kept: false,
                calls: 0,
                waiters: Waiters::new(),
            }),
        }
    }

    /// Waits until it is told: by [`notify_waiters`](Self::notify_waiters) from now on, by
    /// [`notify_one`](Self::notify_one) from the first poll on, or by one that found nobody before.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost. What was told to it alone is told to the next.
    pub fn notified(&self) -> Notified<'_> {
        Notified(Wait::new(self))
    }

    /// [`notified`](Self::notified) with a share in the `Notify`, for futures that outlive the borrow.
    ///
    /// # Cancel safety
    ///
    /// As `notified`.
    pub fn notified_owned(self: Rc<Self>) -> OwnedNotified {
        OwnedNotified(Wait::new(self))
    }

    /// Tells the one that has waited longest. If nobody waits, the next that does is told at once; this is kept once, however
    /// often it is called.
    pub fn notify_one(&self) {
        self.tell(End::First);
    }

    /// [`notify_one`](Self::notify_one) for the one that came last.
    pub fn notify_last(&self) {
        self.tell(End::Last);
    }

    /// Tells all that wait, and all futures of [`notified`](Self::notified) that there are. Nothing is kept for others.
    pub fn notify_waiters(&self) {
        let _scope = Scope::enter();
        let mut state = self.state.borrow_mut();
        state.calls = state.calls.wrapping_add(1);
        while let Some(first) = state.waiters.first() {
            *state.waiters.data_mut(first) = Told::All;
            if let Some(waker) = state.waiters.call(first) {
                waker.wake();
            }
        }
    }

    fn tell(&self, end: End) {
        let _scope = Scope::enter();
        let mut state = self.state.borrow_mut();
        let next = match end {
            End::First => state.waiters.first(),
            End::Last => state.waiters.last(),
        };
        let Some(next) = next else {
            state.is_kept = true;
            return;
        };
        *state.waiters.data_mut(next) = Told::Alone(end);
        if let Some(waker) = state.waiters.call(next) {
            waker.wake();
        }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("is_kept", &self.state.borrow().is_kept)
            .finish_non_exhaustive()
    }
}

/// Waits until it is told.
struct Wait<N: Deref<Target = Notify>> {
    notify: N,
    at: At,
}

enum At {
    /// All had been told so often when it was made.
    New(u64),
    /// In the line, or called out of it.
    Place(u32),
    End,
}

impl<N: Deref<Target = Notify>> Wait<N> {
    fn new(notify: N) -> Self {
        let calls = notify.state.borrow().calls;
        Wait {
            notify,
            at: At::New(calls),
        }
    }

    /// Whether it was told.
    fn is_told(&mut self) -> bool {
        let mut state = self.notify.state.borrow_mut();
        match self.at {
            At::New(calls) if state.calls != calls || std::mem::take(&mut state.is_kept) => {}
            At::New(_) => return false,
            At::Place(place) => {
                if matches!(state.waiters.data(place), Told::Nothing) {
                    return false;
                }
                // It has no waker any more: it was called.
                let _ = state.waiters.leave(place);
            }
            At::End => {}
        }
        self.at = At::End;
        true
    }

    fn is_woken_by(&self, cx: &Context<'_>) -> bool {
        let At::Place(place) = self.at else {
            return false;
        };
        self.notify.state.borrow().waiters.wakes(place, cx)
    }

    /// Waits, in its place or at the end of the line.
    fn wait(&mut self, waker: Option<WakeRef>) {
        let mut state = self.notify.state.borrow_mut();
        let before = match (&self.at, waker) {
            (At::Place(place), Some(waker)) => state.waiters.set_waker(*place, waker),
            (At::Place(_), None) => None,
            (_, waker) => {
                self.at = At::Place(state.waiters.join(Told::Nothing, waker));
                None
            }
        };
        drop(state);
        drop(before);
    }

    fn enable(&mut self) -> bool {
        let told = self.is_told();
        if !told {
            self.wait(None);
        }
        told
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        if !self.is_told() {
            if self.is_woken_by(cx) {
                return Poll::Pending;
            }
            let waker = WakeRef::new(cx.waker());
            // That may have run anything.
            if !self.is_told() {
                self.wait(Some(waker));
                return Poll::Pending;
            }
        }
        spend();
        Poll::Ready(())
    }
}

impl<N: Deref<Target = Notify>> Drop for Wait<N> {
    fn drop(&mut self) {
        let At::Place(place) = self.at else {
            return;
        };
        let (told, _waker) = self.notify.state.borrow_mut().waiters.leave(place);
        if let Told::Alone(end) = told {
            self.notify.tell(end);
        }
    }
}

impl<N: Deref<Target = Notify>> fmt::Debug for Wait<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified`].
#[must_use = "futures do nothing unless you await them"]
#[derive(Debug)]
pub struct Notified<'a>(Wait<&'a Notify>);

/// The future of [`Notify::notified_owned`].
#[must_use = "futures do nothing unless you await them"]
#[derive(Debug)]
pub struct OwnedNotified(Wait<Rc<Notify>>);

impl Notified<'_> {
    /// Waits from now on, without a poll; says whether it has been told already.
    pub fn enable(mut self: Pin<&mut Self>) -> bool {
        self.0.enable()
    }
}

impl OwnedNotified {
    /// Waits from now on, without a poll; says whether it has been told already.
    pub fn enable(mut self: Pin<&mut Self>) -> bool {
        self.0.enable()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}
