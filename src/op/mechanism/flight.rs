//! A single-shot operation from its first poll to its answer: what [`Op`](super::Op) and [`Submitted`](super::Submitted)
//! share.
//!
//! It is submitted, or waits for its turn; it leaves a waker, and watches what may end it before its time; and it takes the answer. If it is
//! dropped before, the operation is left to the driver.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::bound::Bound;
use super::operation::Operation;
use super::stored::Stored;
use super::vtable::Table;
use crate::driver::{Owner, Progress};
use crate::foreign::Scope;
use crate::op::context::{Driver, current, current_or_panic};
use crate::sys::{Completion, ELAPSED, NO_THREAD};
use crate::task::{WakeRef, is_active, poll_proceed, spend};

pub(super) struct Flight<T: Operation> {
    state: State<T>,
    /// Emptied by hand, because few operations have any: its drop, in three places, is 2 ns of a nop.
    bound: ManuallyDrop<Bound>,
}

enum State<T> {
    /// Not submitted.
    Idle(T),
    /// The driver has it.
    InFlight(Stored<T>),
    /// The output was given out.
    Done,
}

impl<T: Operation> Flight<T> {
    pub(super) fn new(op: T) -> Self {
        Flight {
            state: State::Idle(op),
            bound: ManuallyDrop::new(Bound::None),
        }
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        *self.bound = Bound::after(timeout);
    }

    /// Changes the operation, if it is not submitted yet.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut T)) {
        if let State::Idle(op) = &mut self.state {
            change(op);
        }
    }

    /// Submits the operation if it is not in flight yet, and asks how far it is.
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T::Output> {
        loop {
            let stored = match &self.state {
                State::InFlight(stored) => stored,
                State::Idle(_) => {
                    // It may be answered at once, again and again. What goes to the kernel ends the turn itself.
                    ready!(poll_proceed(cx));
                    return self.start(cx, true);
                }
                State::Done => panic!("an operation was polled after it had completed"),
            };
            match stored.progress(cx.waker()) {
                Progress::Complete(cqe) => {
                    if let Some(output) = self.finish(cqe) {
                        return Poll::Ready(output);
                    }
                }
                Progress::Waits if self.bound.is_none() => {
                    stored.attend();
                    return Poll::Pending;
                }
                Progress::Waits | Progress::Unwatched => {
                    if self.watch(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Sees to what may end it, and leaves a waker. False: there is something to take.
    fn watch(&mut self, cx: &Context<'_>) -> bool {
        let State::InFlight(stored) = &self.state else {
            return false;
        };
        // Foreign code, in which the operation may end, or its scope be cancelled: the first is noticed when the waker is left.
        let waiter = WakeRef::new(cx.waker());
        if !self.bound.is_none() {
            if self.bound.expire() {
                stored.cancel();
            }
            let driver = current().unwrap_or_else(|| Rc::clone(stored.driver()));
            self.bound.arm(&driver, Some(&waiter));
        }
        stored.watch(waiter)
    }

    /// Submits the operation. `waits`: the waker of `cx` is to be woken by its completion, and what has arrived already may
    /// be taken.
    #[inline]
    pub(super) fn start(&mut self, cx: &mut Context<'_>, waits: bool) -> Poll<T::Output> {
        let State::Idle(op) = &mut self.state else {
            return Poll::Pending;
        };
        let driver = current_or_panic();
        // Foreign code, before anything is looked at.
        let waiter = waits.then(|| WakeRef::new(cx.waker()));
        if is_active() && T::IN_SCOPE {
            if let Some(reason) = self.bound.join_scope() {
                return self.answer(reason);
            }
        }
        // Of one that begins anew, or could not be submitted before, the time may be over: it is told of that once.
        let over = !self.bound.is_none() && {
            self.bound.arm(&driver, waiter.as_ref());
            self.bound.has_passed()
        };
        let free = op
            .turn()
            .is_none_or(|side| op.file().is_none_or(|file| file.is_free(side)));
        if free {
            if !waits && op.has_stashed() {
                return Poll::Pending;
            }
            if let Some(result) = op.early() {
                spend();
                return self.answer(result);
            }
        }
        if over {
            return self.answer(ELAPSED);
        }
        self.submit(driver, waiter, false)
    }

    /// Moves the operation into flight, or into the queue for its turn unless it has that.
    #[inline]
    pub(super) fn submit(
        &mut self,
        driver: Rc<Driver>,
        waiter: Option<WakeRef>,
        has_turn: bool,
    ) -> Poll<T::Output> {
        let State::Idle(op) = &mut self.state else {
            return Poll::Pending;
        };
        // Moving the whole state out would load it in larger pieces than it was just stored in, and wait for the stores:
        // 4 ns an operation.
        // SAFETY: the operation is moved out, and the state overwritten without dropping it, with nothing between that
        // could panic; so there is one of it.
        let op = unsafe {
            let op = ptr::read(op);
            ptr::write(&mut self.state, State::Done);
            op
        };
        let owner = Owner::Future(waiter);
        match Stored::submit(driver, op, Table::<T>::SINGLE, owner, has_turn) {
            Ok(stored) => {
                self.state = State::InFlight(stored);
                Poll::Pending
            }
            Err((op, result)) => {
                if let (true, Some(side), Some(file)) = (has_turn, op.turn(), op.file()) {
                    file.end_turn(side);
                }
                self.clear_bound();
                Poll::Ready(op.complete(Completion::new(0, result, 0)))
            }
        }
    }

    /// Completes an operation that was never submitted.
    fn answer(&mut self, result: i32) -> Poll<T::Output> {
        self.clear_bound();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Idle(op) => Poll::Ready(op.complete(Completion::new(0, result, 0))),
            _ => Poll::Pending,
        }
    }

    #[inline]
    fn clear_bound(&mut self) {
        if !self.bound.is_none() {
            self.drop_bound();
        }
    }

    #[cold]
    fn drop_bound(&mut self) {
        *self.bound = Bound::None;
    }

    /// Takes the operation out of the driver and reads its answer; `None` if it is to begin anew.
    #[inline]
    fn finish(&mut self, mut cqe: Completion) -> Option<T::Output> {
        let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) else {
            unreachable!("only an operation in flight is answered");
        };
        let op = stored.take();
        if cqe.begins_anew() && was_cancelled(cqe) {
            self.state = State::Idle(op);
            return None;
        }
        if cqe.is_given_up() {
            cqe = Completion::new(0, NO_THREAD, cqe.flags());
        }
        if !self.bound.is_none() {
            if let (true, Some(verdict)) = (was_cancelled(cqe), self.bound.verdict()) {
                cqe = Completion::new(0, verdict, cqe.flags());
            }
            self.drop_bound();
        }
        Some(op.complete(cqe))
    }

    /// Asks for the end of the operation, which then answers with `ECANCELED` or with the result that won. `Some` if it was
    /// not submitted yet.
    pub(super) fn cancel(&mut self) -> Option<T::Output> {
        match &self.state {
            State::InFlight(stored) => {
                stored.cancel();
                None
            }
            State::Idle(_) => match self.answer(-libc::ECANCELED) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            },
            State::Done => None,
        }
    }
}

impl<T: Operation> Drop for Flight<T> {
    #[inline]
    fn drop(&mut self) {
        if let State::InFlight(_) = self.state {
            self.orphan();
        }
        self.clear_bound();
    }
}

impl<T: Operation> Flight<T> {
    /// Leaves the operation to the driver.
    #[cold]
    fn orphan(&mut self) {
        let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) else {
            return;
        };
        let _scope = Scope::enter();
        self.clear_bound();
        stored.abandon();
    }
}

/// Submits an operation that nobody waits for; gives it back if it cannot be submitted.
pub(crate) fn submit_detached<T: Operation>(driver: &Rc<Driver>, op: T) -> Result<(), T> {
    let driver = Rc::clone(driver);
    match Stored::submit(driver, op, Table::<T>::SINGLE, Owner::Runtime, true) {
        Ok(_) => Ok(()),
        Err((op, _)) => Err(op),
    }
}

fn was_cancelled(cqe: Completion) -> bool {
    matches!(-cqe.raw_result(), libc::ECANCELED | libc::EINTR)
}

impl<T: Operation> fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "not submitted",
            State::InFlight(_) => "in flight",
            State::Done => "complete",
        };
        write!(f, "{}: {state}", T::NAME)
    }
}
