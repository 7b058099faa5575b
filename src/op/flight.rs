//! The flight of one single-shot operation: what [`Op`](super::Op) and [`Submitted`](super::Submitted) share.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::store::{Stored, Table, landed};
use super::{Admission, Driver, Operation, current};
use crate::driver::{Orphaned, Owner, TimerKey};
use crate::sys::Completion;
use crate::task::WakeRef;

pub(super) struct Flight<T: Operation> {
    state: State<T>,
    /// Emptied by hand, because few operations have any: its drop, in three places, is 2 ns of a nop.
    deadline: ManuallyDrop<Deadline>,
}

enum State<T> {
    /// Not submitted.
    Idle(T),
    /// The driver has it.
    InFlight(Stored),
    /// The output was given out.
    Done,
}

/// The bound on an operation's time: one of the runtime's timers, and a cancel when it fires.
enum Deadline {
    None,
    After(Duration),
    Armed {
        driver: Rc<Driver>,
        timer: TimerKey,
        /// Whether the cancel has been sent.
        expired: bool,
    },
}

impl<T: Operation> Flight<T> {
    pub(super) fn new(op: T) -> Self {
        Flight {
            state: State::Idle(op),
            deadline: ManuallyDrop::new(Deadline::None),
        }
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        *self.deadline = Deadline::After(timeout);
    }

    /// Submits the operation if it is not in flight yet, and asks how far it is.
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T::Output> {
        if let State::Idle(_) = self.state {
            return self.start(cx, true);
        }
        let State::InFlight(stored) = &self.state else {
            panic!("an operation was polled after it had completed");
        };
        if let Some(cqe) = stored.driver.completion(stored.key) {
            return Poll::Ready(self.land(cqe));
        }
        if self.deadline.expire() {
            stored.driver.cancel(stored.key);
        }
        self.deadline.arm(&stored.driver, cx);
        // The waker is cloned, and the one before dropped, with no borrow of the driver held: both are foreign code.
        let before = stored
            .driver
            .set_waiter(stored.key, WakeRef::new(cx.waker()));
        drop(before);
        Poll::Pending
    }

    /// Submits the operation if it is admitted. `waits`: the waker of `cx` is to be woken by its completion.
    #[inline]
    pub(super) fn start(&mut self, cx: &mut Context<'_>, waits: bool) -> Poll<T::Output> {
        let State::Idle(op) = &mut self.state else {
            return Poll::Pending;
        };
        let driver = current_or_panic();
        self.deadline.arm(&driver, cx);
        if !waits && op.has_late() {
            return Poll::Pending;
        }
        match op.admit(cx) {
            Poll::Ready(Admission::Submit) => {
                let early = self.submit(driver, waits.then(|| WakeRef::new(cx.waker())));
                // The timer may have fired while the operation waited for its turn: it will not tell again.
                if self.deadline.expire() {
                    self.cancel();
                }
                early
            }
            Poll::Ready(Admission::Answered(result)) => self.answer(result),
            Poll::Pending if self.deadline.has_passed() => self.answer(-libc::ETIMEDOUT),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Moves the operation into flight; it was admitted.
    #[inline]
    pub(super) fn submit(
        &mut self,
        driver: Rc<Driver>,
        waiter: Option<WakeRef>,
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
        match Stored::submit(driver, op, Table::<T>::SINGLE, Owner::Future(waiter)) {
            Ok(stored) => {
                self.state = State::InFlight(stored);
                Poll::Pending
            }
            Err(mut op) => {
                let cqe = Completion::new(0, -libc::ENOMEM, 0);
                op.leave(cqe);
                Poll::Ready(op.complete(cqe))
            }
        }
    }

    /// Completes an operation that was never submitted.
    fn answer(&mut self, result: i32) -> Poll<T::Output> {
        self.clear_deadline();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Idle(op) => Poll::Ready(op.complete(Completion::new(0, result, 0))),
            _ => Poll::Pending,
        }
    }

    #[inline]
    fn clear_deadline(&mut self) {
        if !matches!(*self.deadline, Deadline::None) {
            self.drop_deadline();
        }
    }

    #[cold]
    fn drop_deadline(&mut self) {
        *self.deadline = Deadline::None;
    }

    /// Takes the operation out of the driver and reads its answer.
    #[inline]
    fn land(&mut self, mut cqe: Completion) -> T::Output {
        let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) else {
            unreachable!("only an operation in flight lands");
        };
        if self.deadline.is_expired() && matches!(-cqe.raw_result(), libc::ECANCELED | libc::EINTR)
        {
            cqe = Completion::new(0, -libc::ETIMEDOUT, cqe.flags());
        }
        self.clear_deadline();
        // SAFETY: `submit` made this value for a `T`; the driver has filed its final completion; and the state has
        // just been left, so that nobody takes it again.
        let mut op = unsafe { stored.take::<T>() };
        landed(&mut op, cqe);
        op.complete(cqe)
    }

    /// Asks for the end of the operation, which then answers with `ECANCELED` or with the result that won.
    pub(super) fn cancel(&mut self) {
        if let State::InFlight(stored) = &self.state {
            stored.driver.cancel(stored.key);
        }
    }

    /// Completes an operation that still waits to be admitted as cancelled.
    pub(super) fn cancel_idle(&mut self) -> Option<T::Output> {
        match &self.state {
            State::Idle(_) => match self.answer(-libc::ECANCELED) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            },
            _ => None,
        }
    }
}

impl<T: Operation> Drop for Flight<T> {
    #[inline]
    fn drop(&mut self) {
        if let State::InFlight(_) = self.state {
            self.orphan();
        }
        self.clear_deadline();
    }
}

impl<T: Operation> Flight<T> {
    /// Leaves the operation to the driver.
    #[cold]
    fn orphan(&mut self) {
        let State::InFlight(stored) = std::mem::replace(&mut self.state, State::Done) else {
            return;
        };
        match stored.driver.orphan(stored.key) {
            // The completion will find it. Dropping the waiter may run foreign code: no borrow is held here.
            Some(Orphaned::InFlight(waiter)) => drop(waiter),
            Some(Orphaned::Complete(cqe)) => {
                // SAFETY: as in `land`.
                let mut op = unsafe { stored.take::<T>() };
                landed(&mut op, cqe);
                op.abandon(cqe);
            }
            None => {}
        }
    }
}

impl Deadline {
    /// Starts the timer, or moves it to the task that polls now.
    #[inline]
    fn arm(&mut self, driver: &Rc<Driver>, cx: &Context<'_>) {
        if !matches!(self, Deadline::None) {
            self.arm_timer(driver, cx);
        }
    }

    fn arm_timer(&mut self, driver: &Rc<Driver>, cx: &Context<'_>) {
        match self {
            Deadline::None => {}
            Deadline::After(timeout) => {
                let now = Instant::now();
                let deadline = now.checked_add(*timeout).unwrap_or_else(|| far_future(now));
                let timer = driver.add_timer(deadline, Some(WakeRef::new(cx.waker())));
                *self = Deadline::Armed {
                    driver: Rc::clone(driver),
                    timer,
                    expired: false,
                };
            }
            Deadline::Armed { driver, timer, .. } => {
                let before = driver.poll_timer(*timer, WakeRef::new(cx.waker()));
                drop(before);
            }
        }
    }

    /// Whether the timer has fired.
    #[inline]
    fn has_passed(&self) -> bool {
        match self {
            Deadline::Armed { driver, timer, .. } => driver.timer_has_fired(*timer),
            _ => false,
        }
    }

    /// True once: when the timer is first seen to have fired.
    #[inline]
    fn expire(&mut self) -> bool {
        let passed = self.has_passed();
        match self {
            Deadline::Armed { expired, .. } if passed => !std::mem::replace(expired, true),
            _ => false,
        }
    }

    fn is_expired(&self) -> bool {
        matches!(self, Deadline::Armed { expired: true, .. })
    }
}

impl Drop for Deadline {
    #[inline]
    fn drop(&mut self) {
        if let Deadline::Armed { driver, timer, .. } = self {
            drop(driver.remove_timer(*timer));
        }
    }
}

/// A deadline for timeouts beyond what an `Instant` can name.
fn far_future(now: Instant) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(THIRTY_YEARS).unwrap_or(now)
}

/// The thread's driver.
///
/// # Panics
///
/// Outside a runtime.
pub(super) fn current_or_panic() -> Rc<Driver> {
    match current() {
        Some(driver) => driver,
        None => panic!(
            "an operation was awaited outside a saferring runtime: call it inside Runtime::block_on, a spawned task or \
             #[saferring::main]"
        ),
    }
}

impl<T: Operation> fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "not submitted",
            State::InFlight(_) => "in flight",
            State::Done => "complete",
        };
        write!(f, "{}: {state}", crate::driver::code_name(T::CODE))
    }
}
