//! One value that another thread gives, once, to whoever waits for it in any runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::caught::Ending;
use crate::foreign;

/// A place for the answer to one question. The asker polls it, and the answerer fills it and says so.
pub(super) struct Answer<R>(Mutex<State<R>>);

struct State<R> {
    ending: Option<Ending<R>>,
    /// Who waits.
    asker: Option<Waker>,
    /// Who works on it, to be told when nobody waits any more.
    answerer: Option<Waker>,
    /// There will be no other ending than the one that is here, if any.
    closed: bool,
    /// Nobody waits any more.
    abandoned: bool,
}

impl<R> Answer<R> {
    pub(super) fn new() -> Self {
        Answer(Mutex::new(State {
            ending: None,
            asker: None,
            answerer: None,
            closed: false,
            abandoned: false,
        }))
    }

    /// The answer, which the asker does not hear of before [`tell`](Self::tell).
    pub(super) fn fill(&self, ending: Ending<R>) {
        self.lock().ending = Some(ending);
    }

    /// Nothing comes any more: tells the asker what is here.
    pub(super) fn tell(&self) {
        let asker = {
            let mut state = self.lock();
            state.closed = true;
            state.asker.take()
        };
        if let Some(asker) = asker {
            foreign::guarded(|| asker.wake());
        }
    }

    /// The ending, or `None` if there was to be none. Ready once.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Ending<R>>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if state.closed {
            let ending = state.ending.take();
            drop(state);
            // A panic in here would take the place of the ending, and nobody would drop that.
            foreign::guarded(|| drop(waker));
            return Poll::Ready(ending);
        }
        let before = state.asker.replace(waker);
        drop(state);
        foreign::guarded(|| drop(before));
        Poll::Pending
    }

    /// The asker is gone.
    pub(super) fn abandon(&self) {
        let [asker, answerer] = {
            let mut state = self.lock();
            state.abandoned = true;
            [state.asker.take(), state.answerer.take()]
        };
        foreign::guarded(|| drop(asker));
        if let Some(answerer) = answerer {
            foreign::guarded(|| answerer.wake());
        }
    }

    /// Whether the asker is gone; if not, `cx` hears of it when it goes.
    pub(super) fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if state.abandoned {
            return Poll::Ready(());
        }
        let before = state.answerer.replace(waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
