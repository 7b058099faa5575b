//! The way back for provided buffers that are dropped on any thread, and the streams that wait for one.

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::task::Waker;

#[cfg(loom)]
use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use super::event::drop_payload;
use super::pool::Lease;
use crate::sys::Memory;

/// What a pool shares with other threads. It outlives the pool while buffers are out.
pub(super) struct Returns {
    /// Whether `leases` may hold some: read without the lock, by the owner, for each buffer that the kernel takes.
    some: AtomicBool,
    state: Mutex<State>,
}

/// Nobody waits while there are leases: what brings one wakes all that wait, and nobody begins to.
struct State {
    /// Came back, and the kernel does not have them yet.
    leases: Vec<Lease>,
    /// Streams that found no buffer. All are woken by the first that comes back, in order: one that was woken alone might
    /// not need it any more, and the others would wait beside a free buffer.
    waiters: Vec<Waker>,
    /// How often `waiters` were taken out.
    round: u64,
}

/// A place among those who wait, so that one who looks in between does not wait twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    round: u64,
    index: usize,
}

/// How an attempt to wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// It has begun.
    New,
    /// It goes on.
    Still,
    /// There is something to collect instead.
    No,
}

impl Returns {
    pub(super) fn new() -> Self {
        Returns {
            some: AtomicBool::new(false),
            state: Mutex::new(State {
                leases: Vec::new(),
                waiters: Vec::new(),
                round: 0,
            }),
        }
    }

    /// Wakers are cloned, woken and dropped without the lock, because that may run code of a user.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a buffer back, on any thread, and wakes those who wait.
    fn bring(&self, lease: Lease) {
        let mut state = self.lock();
        state.leases.push(lease);
        self.some.store(true, Ordering::Relaxed);
        let waiters = state.take_waiters();
        drop(state);
        wake_all(waiters);
    }

    /// Whether it is worth the lock to collect. May miss what is just being brought; [`wait`](Self::wait) does not.
    #[inline(always)]
    pub(super) fn has_some(&self) -> bool {
        self.some.load(Ordering::Relaxed)
    }

    /// Takes what came back, and leaves the empty `spare` in its place.
    pub(super) fn collect(&self, spare: Vec<Lease>) -> Vec<Lease> {
        debug_assert!(spare.is_empty());
        let mut state = self.lock();
        self.some.store(false, Ordering::Relaxed);
        mem::replace(&mut state.leases, spare)
    }

    /// Leaves `waker` to be woken by the next buffer that comes back, at `place` if that is still in the queue.
    pub(super) fn wait(&self, place: &mut Option<Place>, waker: &Waker) -> Waiting {
        // Declared before the guard, so that what it holds in the end is dropped after it.
        let mut waker = waker.clone();
        let mut state = self.lock();
        if !state.leases.is_empty() {
            return Waiting::No;
        }
        if let Some(place) = place
            && place.round == state.round
            && let Some(before) = state.waiters.get_mut(place.index)
        {
            mem::swap(before, &mut waker);
            return Waiting::Still;
        }
        *place = Some(Place {
            round: state.round,
            index: state.waiters.len(),
        });
        state.waiters.push(waker);
        Waiting::New
    }

    /// Takes out all that wait.
    pub(super) fn take_waiters(&self) -> Vec<Waker> {
        self.lock().take_waiters()
    }

    pub(super) fn waiter_count(&self) -> usize {
        self.lock().waiters.len()
    }
}

impl State {
    fn take_waiters(&mut self) -> Vec<Waker> {
        self.round += 1;
        mem::take(&mut self.waiters)
    }
}

/// Wakes all, whatever one of them does.
pub(super) fn wake_all(waiters: Vec<Waker>) {
    for waiter in waiters {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waiter.wake())) {
            drop_payload(payload);
        }
    }
}

/// A lease that any thread may hold: its buffer's memory stays, whatever becomes of the runtime, and it goes back on
/// drop.
pub(crate) struct RemoteLease {
    lease: Lease,
    returns: Arc<Returns>,
    /// Held for what lies in it.
    _memory: std::sync::Arc<Memory>,
}

impl RemoteLease {
    pub(super) fn new(
        lease: Lease,
        returns: &Arc<Returns>,
        memory: &std::sync::Arc<Memory>,
    ) -> Self {
        RemoteLease {
            lease,
            returns: Arc::clone(returns),
            _memory: std::sync::Arc::clone(memory),
        }
    }
}

impl Drop for RemoteLease {
    fn drop(&mut self) {
        self.returns.bring(self.lease);
    }
}

impl fmt::Debug for RemoteLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteLease({:?})", self.lease)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_old_place_is_not_taken_for_another_streams() {
        let returns = Returns::new();
        let counts: [Arc<Count>; 2] = Default::default();
        let [first, second] = counts.clone().map(Waker::from);
        let (mut one, mut two) = (None, None);
        assert_eq!(returns.wait(&mut one, &first), Waiting::New);
        assert_eq!(returns.wait(&mut one, &first), Waiting::Still);
        wake_all(returns.take_waiters());
        assert_eq!(returns.wait(&mut two, &second), Waiting::New);
        assert_eq!(returns.wait(&mut one, &first), Waiting::New);
        returns.bring(Lease { group: 0, id: 0 });
        assert_eq!(returns.wait(&mut one, &first), Waiting::No);
        assert_eq!(
            counts
                .each_ref()
                .map(|count| count.0.load(Ordering::SeqCst)),
            [2, 1]
        );
        assert!(returns.has_some());
        assert_eq!(returns.collect(Vec::new()).len(), 1);
        assert!(!returns.has_some());
    }

    #[test]
    fn one_that_panics_when_woken_does_not_keep_others_from_it() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("woken");
            }
        }
        let returns = Returns::new();
        let count = Arc::new(Count::default());
        returns.wait(&mut None, &Waker::from(Arc::new(Panics)));
        returns.wait(&mut None, &Waker::from(Arc::clone(&count)));
        returns.bring(Lease { group: 0, id: 0 });
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}

/// loom models of a return beside an owner that looks for a buffer, and waits if there is none.
#[cfg(all(test, loom))]
mod models {
    use std::task::Wake;

    use loom::sync::Notify;
    use loom::thread;

    use super::*;

    struct Bell(Notify);

    impl Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.notify();
        }
    }

    /// Looks and waits as a stream does, until `count` buffers came.
    fn collect(returns: &Returns, count: usize) {
        let bell = std::sync::Arc::new(Bell(Notify::new()));
        let waker = Waker::from(bell.clone());
        let (mut place, mut came) = (None, 0);
        loop {
            if returns.has_some() {
                came += returns.collect(Vec::new()).len();
            }
            if came == count {
                return;
            }
            if returns.wait(&mut place, &waker) != Waiting::No {
                bell.0.wait();
            } else {
                came += returns.collect(Vec::new()).len();
            }
        }
    }

    /// All interleavings with at most three preemptions: such bugs as there are show with two.
    fn bounded(model: fn()) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    #[test]
    fn returns_beside_a_wait_wake_it() {
        bounded(|| {
            let returns = Arc::new(Returns::new());
            let threads = [0, 1].map(|id| {
                let returns = returns.clone();
                thread::spawn(move || returns.bring(Lease { group: 0, id }))
            });
            collect(&returns, 2);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(returns.waiter_count(), 0);
        });
    }

    #[test]
    fn waiters_taken_beside_a_return_are_woken_once() {
        loom::model(|| {
            let returns = Arc::new(Returns::new());
            let bell = std::sync::Arc::new(Bell(Notify::new()));
            let waker = Waker::from(bell.clone());
            let mut place = None;
            assert_eq!(returns.wait(&mut place, &waker), Waiting::New);
            let other = returns.clone();
            let thread = thread::spawn(move || other.bring(Lease { group: 0, id: 0 }));
            // A buffer comes back on the owner's thread, too.
            wake_all(returns.take_waiters());
            bell.0.wait();
            if returns.wait(&mut place, &waker) == Waiting::New {
                bell.0.wait();
            }
            thread.join().unwrap();
            assert_eq!(returns.collect(Vec::new()).len(), 1);
        });
    }
}
