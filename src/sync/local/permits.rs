//! Counts permits for one core: what semaphores, locks and channels with a bound are made of.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::TryAcquireError;

use super::error::AcquireError;
use super::waiters::Waiters;
use crate::foreign::Scope;
use crate::task::{WakeRef, cooperative};

/// A number of permits, without guards: what is taken has to be given back by [`release`](Self::release).
pub(super) struct Permits {
    state: RefCell<State>,
}

/// While somebody waits in the line there are no permits: all that come go to the first.
struct State {
    permits: usize,
    is_closed: bool,
    /// How many each still misses.
    waiters: Waiters<usize>,
}

impl Permits {
    pub(super) const MAX: usize = usize::MAX >> 3;

    /// # Panics
    ///
    /// If there are more than [`MAX`](Self::MAX).
    #[track_caller]
    pub(super) const fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX, "more permits than there can be");
        Permits {
            state: RefCell::new(State {
                permits,
                is_closed: false,
                waiters: Waiters::new(),
            }),
        }
    }

    pub(super) fn available(&self) -> usize {
        self.state.borrow().permits
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().is_closed
    }

    /// Takes away so many for good, or as many as there are; says how many.
    pub(super) fn forget(&self, n: usize) -> usize {
        let mut state = self.state.borrow_mut();
        let forgotten = n.min(state.permits);
        state.permits -= forgotten;
        forgotten
    }

    /// Gives no more permits. Who waits is told so; permits that are out stay valid.
    pub(super) fn close(&self) {
        let _scope = Scope::enter();
        let mut state = self.state.borrow_mut();
        state.is_closed = true;
        while let Some(first) = state.waiters.first() {
            if let Some(waker) = state.waiters.call(first) {
                waker.wake();
            }
        }
    }

    /// Takes `n`, if there are as many.
    pub(super) fn try_take(&self, n: usize) -> Result<(), TryAcquireError> {
        let mut state = self.state.borrow_mut();
        if state.is_closed {
            return Err(TryAcquireError::Closed);
        }
        state.permits = state
            .permits
            .checked_sub(n)
            .ok_or(TryAcquireError::NoPermits)?;
        Ok(())
    }

    /// Takes `n`, when there are as many and nobody has waited longer.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost. What it had got goes to the next.
    pub(super) async fn take(&self, n: usize) -> Result<(), AcquireError> {
        cooperative(Take {
            permits: self,
            asked: n,
            place: None,
        })
        .await
    }

    /// Gives permits to who waits, and keeps the rest.
    pub(super) fn release(&self, mut n: usize) {
        // The wakes come to anything only when the state is free again.
        let _scope = Scope::enter();
        let mut state = self.state.borrow_mut();
        while let (1.., Some(first)) = (n, state.waiters.first()) {
            let missing = state.waiters.data_mut(first);
            let given = n.min(*missing);
            *missing -= given;
            n -= given;
            if *missing > 0 {
                return;
            }
            if let Some(waker) = state.waiters.call(first) {
                waker.wake();
            }
        }
        // Who has added too many while others were out loses some, as a drop must not panic.
        state.permits = state.permits.saturating_add(n).min(Self::MAX);
    }
}

/// Waits for permits.
struct Take<'a> {
    permits: &'a Permits,
    asked: usize,
    /// In the line, once it waits.
    place: Option<u32>,
}

impl Take<'_> {
    /// The answer, if it has not to wait.
    fn answer(&mut self) -> Option<Result<(), AcquireError>> {
        let mut state = self.permits.state.borrow_mut();
        if state.is_closed {
            return Some(Err(AcquireError::new()));
        }
        match self.place {
            None => state.permits = state.permits.checked_sub(self.asked)?,
            Some(place) if *state.waiters.data(place) == 0 => {
                // It has no waker any more: it was called.
                let _ = state.waiters.leave(place);
                self.place = None;
            }
            Some(_) => return None,
        }
        Some(Ok(()))
    }

    fn is_woken_by(&self, cx: &Context<'_>) -> bool {
        let state = self.permits.state.borrow();
        self.place
            .is_some_and(|place| state.waiters.wakes(place, cx))
    }

    /// Waits: in its place, or at the end of the line with what there is.
    fn wait(&mut self, waker: WakeRef) {
        let mut state = self.permits.state.borrow_mut();
        let before = match self.place {
            Some(place) => state.waiters.set_waker(place, waker),
            None => {
                let missing = self.asked - std::mem::take(&mut state.permits);
                self.place = Some(state.waiters.join(missing, Some(waker)));
                None
            }
        };
        drop(state);
        drop(before);
    }
}

impl Future for Take<'_> {
    type Output = Result<(), AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answer) = self.answer() {
            return Poll::Ready(answer);
        }
        if self.is_woken_by(cx) {
            return Poll::Pending;
        }
        let waker = WakeRef::new(cx.waker());
        // That may have run anything.
        if let Some(answer) = self.answer() {
            return Poll::Ready(answer);
        }
        self.wait(waker);
        Poll::Pending
    }
}

impl Drop for Take<'_> {
    /// What it got goes to the next.
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let (missing, _waker) = self.permits.state.borrow_mut().waiters.leave(place);
        self.permits.release(self.asked - missing);
    }
}
