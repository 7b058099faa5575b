//! Foreign code: what a user's wakers and drops do in the middle of our work.
//!
//! A waker that is not one of this crate's tasks may do anything when it is woken or dropped: panic, poll or drop any
//! future, run a runtime, end it. So such a call is not made where it comes up. It is put into a list of the thread, and
//! made at one of two points, each call guarded so that its panic goes nowhere else:
//!
//! - a runtime's loop makes the calls once a turn, between two tasks' polls and with nothing half done;
//! - where no loop runs, the outermost [`Scope`] makes them when it ends; with no scope at all, [`defer`] makes the call at
//!   once, so its caller calls it last.
//!
//! Wakers get here through `task::WakeRef` alone, by its type: it can be woken and dropped anywhere. What is left are
//! *clones* of wakers, which only a poll makes: before it looks at anything, or it looks again afterwards.

#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Waker;

/// A call that waits to be made.
pub(crate) enum Call {
    /// Wakes, and drops the waker.
    Wake(Rc<Waker>),
    /// Drops the waker.
    Release(Rc<Waker>),
}

impl Call {
    fn make(self) {
        match self {
            Call::Wake(waker) => match Rc::try_unwrap(waker) {
                Ok(waker) => waker.wake(),
                Err(shared) => shared.wake_by_ref(),
            },
            Call::Release(waker) => drop(waker),
        }
    }
}

/// First come, first made.
type Calls = RefCell<VecDeque<Call>>;

thread_local! {
    static CALLS: Calls = const { RefCell::new(VecDeque::new()) };
    /// Takes the place of `CALLS` where that is gone, at the thread's end. It has no destructor: its memory is given back when
    /// it is empty.
    static LAST_CALLS: ManuallyDrop<Calls> = const { ManuallyDrop::new(RefCell::new(VecDeque::new())) };
    /// Whether there are calls. It has no destructor, so that a look at it is one load.
    static PENDING: Cell<bool> = const { Cell::new(false) };
    /// How many loops and scopes there are around the present call: one of them makes the calls.
    static SCOPES: Cell<u32> = const { Cell::new(0) };
}

/// Runs foreign code whose panic has nowhere to go. The panic hook has told of it.
pub(crate) fn guarded(code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        drop_payload(payload);
    }
}

/// Drops what a panic carried, which may panic in its turn.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    // What that throws is mostly a message; anything else may throw again, without end, so it is leaked.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        if !again.is::<&'static str>() && !again.is::<String>() {
            std::mem::forget(again);
        }
    }
}

/// Works on the list of calls.
fn with_calls<R>(mut work: impl FnMut(&Calls) -> R) -> R {
    match CALLS.try_with(&mut work) {
        Ok(result) => result,
        Err(_) => LAST_CALLS.with(|calls| work(calls)),
    }
}

/// Makes the call at the next point where nothing is half done; at once if there is no loop and no scope around.
#[cold]
pub(crate) fn defer(call: Call) {
    if SCOPES.get() == 0 {
        return guarded(|| call.make());
    }
    let mut call = Some(call);
    with_calls(|calls| calls.borrow_mut().extend(call.take()));
    PENDING.set(true);
}

/// Whether calls wait.
#[inline]
pub(crate) fn is_pending() -> bool {
    PENDING.get()
}

/// Makes the calls that wait. For the loop, between two of its turns: nothing is borrowed or half done. Those that they
/// add wait for the next turn, so that a waker that makes itself due again keeps nobody else waiting.
#[inline]
pub(crate) fn run() {
    if is_pending() {
        run_pending();
    }
}

#[cold]
fn run_pending() {
    debug_assert!(
        SCOPES.get() > 0,
        "what the calls defer would be made at once"
    );
    let due = with_calls(|calls| calls.borrow().len());
    // A call may run a loop of its own, which makes some of the others.
    for _ in 0..due {
        let Some(call) = with_calls(|calls| calls.borrow_mut().pop_front()) else {
            break;
        };
        guarded(|| call.make());
    }
    let is_empty = with_calls(|calls| calls.borrow().is_empty());
    PENDING.set(!is_empty);
    if is_empty {
        // Mostly it has no memory.
        drop(LAST_CALLS.with(|calls| calls.take()));
    }
}

/// Makes all calls, and those that they add: nobody is left who would. One after the other, so a chain needs no deep stack.
#[cold]
fn drain() {
    while is_pending() {
        run_pending();
    }
}

/// Keeps foreign code away until it is dropped. The outermost one makes the calls that have come up meanwhile.
#[must_use = "foreign code is kept away until it is dropped"]
#[derive(Debug)]
pub(crate) struct Scope(());

impl Scope {
    #[inline]
    pub(crate) fn enter() -> Self {
        SCOPES.set(SCOPES.get() + 1);
        Scope(())
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        let scopes = SCOPES.get();
        if scopes == 1 && is_pending() {
            drain();
        }
        SCOPES.set(scopes - 1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::Wake;

    use super::*;

    /// Counts its wakes; panics if told to; and defers others when it is woken.
    struct Counts(AtomicUsize, bool, Option<Waker>);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            if let Some(next) = &self.2 {
                defer(Call::Wake(Rc::new(next.clone())));
            }
            assert!(!self.1, "told to");
        }
    }

    fn counts(panics: bool, next: Option<Waker>) -> (Arc<Counts>, Waker) {
        let counts = Arc::new(Counts(AtomicUsize::new(0), panics, next));
        (Arc::clone(&counts), Waker::from(counts))
    }

    #[test]
    fn calls_wait_for_the_outermost_scope_and_a_panic_stops_none() {
        let (last, waker) = counts(false, None);
        let (first, panics) = counts(true, Some(waker.clone()));
        let outer = Scope::enter();
        let inner = Scope::enter();
        defer(Call::Wake(Rc::new(panics)));
        defer(Call::Wake(Rc::new(waker)));
        drop(inner);
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        assert!(is_pending());
        drop(outer);
        assert_eq!(first.0.load(Ordering::SeqCst), 1);
        assert_eq!(last.0.load(Ordering::SeqCst), 2);
        assert!(!is_pending());
    }

    #[test]
    fn without_a_scope_a_call_is_made_at_once() {
        let (count, waker) = counts(true, None);
        defer(Call::Wake(Rc::new(waker)));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        // What its panic left behind keeps no scope open.
        assert_eq!(SCOPES.get(), 0);
    }

    #[test]
    fn what_a_call_adds_waits_for_the_loops_next_turn() {
        let (last, waker) = counts(false, None);
        let (_first, waker) = counts(false, Some(waker));
        let scope = Scope::enter();
        defer(Call::Wake(Rc::new(waker)));
        run();
        assert_eq!(last.0.load(Ordering::SeqCst), 0);
        assert!(is_pending());
        run();
        assert_eq!(last.0.load(Ordering::SeqCst), 1);
        assert!(!is_pending());
        drop(scope);
    }

    #[test]
    fn a_scope_keeps_calls_away_at_the_threads_end() {
        struct Last(mpsc::Sender<[usize; 2]>);
        impl Drop for Last {
            fn drop(&mut self) {
                let (count, waker) = counts(false, None);
                let scope = Scope::enter();
                defer(Call::Wake(Rc::new(waker)));
                let within = count.0.load(Ordering::SeqCst);
                drop(scope);
                let made = count.0.load(Ordering::SeqCst);
                self.0.send([within, made]).unwrap();
            }
        }
        thread_local! {
            static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
        }
        let (tell, told) = mpsc::channel();
        std::thread::spawn(|| {
            // Made before the list, it is dropped after that.
            LAST.set(Some(Last(tell)));
            let scope = Scope::enter();
            defer(Call::Release(Rc::new(Waker::noop().clone())));
            drop(scope);
        });
        assert_eq!(told.recv().unwrap(), [0, 1]);
    }

    #[test]
    fn a_loop_makes_the_calls_within_its_scope() {
        let (count, waker) = counts(false, None);
        let scope = Scope::enter();
        defer(Call::Wake(Rc::new(waker)));
        run();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        drop(scope);
    }
}
