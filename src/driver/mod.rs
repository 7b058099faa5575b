//! Layer 1: owns every operation in flight on one thread: ring, table, timers, dispatch and cancel.
//!
//! # Life of an operation
//!
//! 1. [`Driver::reserve`] hands out a cell; the operation is moved there, once, and makes its entry from there.
//! 2. [`Driver::submit`] puts the entry into the submission queue, or behind others into the backlog when the queue is
//!    full. From here on the operation is *in flight*: only its final completion ends that. No error of the enter
//!    call frees anything.
//! 3. [`Driver::next_event`] reaps one completion under a short borrow and says what to do; the caller does it with the
//!    borrow ended, so that wakers, drops and callbacks may come back to the driver.
//! 4. The future takes the operation out ([`Driver::poll`], [`Driver::payload`], [`Driver::release`]). If it is gone
//!    ([`Driver::orphan`]), the completion itself runs [`Abandoned::run`]: the operation gets its answer all the same,
//!    so a buffer returns to its owner, a late descriptor closes itself, late bytes are kept.
//!
//! `W` is whatever wakes the waiting future. The driver only keeps it and gives it back.

mod cancel;
mod event;
mod inflight;
mod inner;
mod pool;
mod registered;
mod returns;
mod slots;
mod timer;
mod zero_copy;

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) use event::{Abandoned, Event, Orphaned, Owner};
pub use inflight::InFlightOp;
pub(crate) use inflight::code_name;
pub(crate) use inner::Counters;
use inner::Inner;
pub(crate) use pool::{Lease, Pool, PoolConfig};
pub(crate) use returns::{Place, RemoteLease};
use slots::State;
pub(crate) use slots::{Key, MultishotVTable, OpVTable, Payload};
pub(crate) use timer::TimerKey;

use crate::Error;
use crate::sys::{Bell, Completion, Entry, Ring, RingConfig, RingInfo};

/// The operations in flight on one thread, and the ring they travel through.
pub(crate) struct Driver<W> {
    inner: UnsafeCell<Inner<W>>,
    /// Guards the one rule of `inner`, in debug builds.
    borrowed: Cell<bool>,
}

impl<W> Driver<W> {
    pub(crate) fn new(config: &RingConfig, pool: PoolConfig) -> Result<Self, Error> {
        Ok(Driver {
            inner: UnsafeCell::new(Inner::new(config, pool)?),
            borrowed: Cell::new(false),
        })
    }

    /// The only way to `inner`. A `RefCell` here costs 6 ns an operation, 1 % of a cached read.
    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut Inner<W>) -> R) -> R {
        debug_assert!(!self.borrowed.replace(true), "the driver was re-entered");
        // SAFETY: the driver is `!Sync`, so all calls are on one thread. No closure given to `with` calls `with`
        // again or runs foreign code: they touch only the fields of `Inner` and the ring, drop no waiter and no
        // operation, and call nothing that is handed in by a layer above, but for the table of multishot operations and the `id` of
        // the dump, which only read. So this reference is the only one while it lives. Debug builds check it.
        let result = f(unsafe { &mut *self.inner.get() });
        if cfg!(debug_assertions) {
            self.borrowed.set(false);
        }
        result
    }

    /// Hands out a cell for an operation. `None` if the table is full, at 67 million operations, or the driver is shut
    /// down.
    #[inline]
    pub(crate) fn reserve(&self, vtable: &'static OpVTable) -> Option<Key<W>> {
        self.with(|inner| {
            inner.ring.as_ref()?;
            inner.slots.reserve(vtable)
        })
    }

    /// Puts the operation into flight, for a future, or as an orphan from the start. A close finds it by `fd`, or if that
    /// is -1 by the descriptor in its entry. Its file is the one in `slot` of the ring's table, if that is given.
    ///
    /// # Safety
    ///
    /// `key` was reserved and not submitted before. Its payload holds the operation that `entry` was made from, and all
    /// that the entry points to stays valid and untouched until the operation's final completion.
    #[inline]
    pub(crate) unsafe fn submit(
        &self,
        key: Key<W>,
        mut entry: Entry,
        fd: RawFd,
        slot: Option<u32>,
        owner: Owner<W>,
    ) {
        let fd = if fd == -1 { entry.fd() } else { fd };
        if let Some(slot) = slot {
            entry.use_file_slot(slot);
        }
        entry.set_user_data(key.user_data());
        self.with(|inner| {
            let now = inner.now;
            let (orphan, waiter) = match owner {
                Owner::Nobody => (true, None),
                Owner::Future(waiter) => (false, waiter),
            };
            let head = inner.slots.head(key);
            debug_assert_eq!(head.state, State::Reserved);
            head.state = if orphan {
                State::Orphan
            } else {
                State::InFlight
            };
            head.a = now;
            if !head.is_multishot() {
                head.b = fd as u32;
            }
            head.waiter = waiter;
            inner.slots.in_flight += 1;
            inner.slots.orphans += u32::from(orphan);
            // SAFETY: the caller's promise.
            unsafe { inner.push(entry) };
        });
    }

    /// Frees the cell of an operation that was taken out.
    #[inline]
    pub(crate) fn release(&self, key: Key<W>) {
        self.with(|inner| inner.slots.release(key));
    }

    /// The completion of the single-shot operation `key`, if it has arrived.
    #[inline]
    pub(crate) fn completion(&self, key: Key<W>) -> Option<Completion> {
        self.with(|inner| {
            let head = inner.slots.head(key);
            (head.state == State::Complete).then(|| Completion::new(0, head.a as i32, head.b))
        })
    }

    /// Leaves `waiter` to be woken by the next completion of `key`; gives back the one that it replaces.
    #[inline]
    pub(crate) fn set_waiter(&self, key: Key<W>, waiter: W) -> Option<W> {
        self.with(|inner| {
            let head = inner.slots.head(key);
            if head.state == State::InFlight {
                head.waiter.replace(waiter)
            } else {
                Some(waiter)
            }
        })
    }

    /// The next completion that a multishot operation has waiting. Once the last is taken (it has no more), the
    /// operation can be taken out.
    pub(crate) fn pop_queued(&self, key: Key<W>) -> Option<Completion> {
        self.with(|inner| inner.dequeue(key))
    }

    /// Tells the driver that the future of `key` is gone.
    pub(crate) fn orphan(&self, key: Key<W>) -> Option<Orphaned<W>> {
        self.with(|inner| {
            let head = inner.slots.head(key);
            match head.state {
                State::InFlight => {
                    head.state = State::Orphan;
                    let waiter = head.waiter.take();
                    inner.slots.orphans += 1;
                    inner.push_cancel(key);
                    Some(Orphaned::InFlight(waiter))
                }
                State::Complete => Some(Orphaned::Complete(Completion::new(
                    0,
                    head.a as i32,
                    head.b,
                ))),
                State::Free | State::Reserved | State::Orphan | State::Ending => None,
            }
        })
    }

    /// Asks the kernel to cancel `key`; its completion tells how that ended.
    pub(crate) fn cancel(&self, key: Key<W>) {
        self.with(|inner| {
            if inner.slots.head(key).state == State::InFlight {
                inner.push_cancel(key);
            }
        });
    }

    /// Asks the kernel to cancel all that is in flight on `fd`, or everything.
    pub(crate) fn cancel_all(&self, fd: Option<RawFd>) {
        self.with(|inner| {
            let keys = inner
                .slots
                .keys(|state| matches!(state, State::InFlight | State::Orphan));
            for key in keys {
                if fd.is_none_or(|fd| inner.fd_of(key) == fd) {
                    inner.push_cancel(key);
                }
            }
        });
    }

    /// How many operations on `fd` have completed, and wait to be taken.
    pub(crate) fn complete_on(&self, fd: RawFd) -> u32 {
        self.with(|inner| inner.complete_on(fd))
    }

    /// Leaves `watcher` to be woken after the next completion of anything.
    pub(crate) fn watch(&self, watcher: W) {
        self.with(|inner| inner.watchers.push(watcher));
    }

    /// One turn with the kernel: submits everything, and if `park` says so waits for a completion or the next timer.
    ///
    /// # Errors
    ///
    /// The ring is lost.
    #[inline(always)]
    pub(crate) fn turn(&self, park: bool) -> io::Result<()> {
        self.turn_for(park, Duration::MAX)
    }

    /// [`turn`](Self::turn) with a bound on the wait.
    #[inline(always)]
    pub(crate) fn turn_for(&self, park: bool, limit: Duration) -> io::Result<()> {
        self.with(|inner| inner.turn(park, limit))
    }

    /// Whether the kernel should be entered although there are tasks to run.
    #[inline]
    pub(crate) fn wants_enter(&self) -> bool {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => ring.unsubmitted() > 0 || ring.wants_enter(),
            None => false,
        })
    }

    /// Whether there are completions to take.
    pub(crate) fn has_completions(&self) -> bool {
        self.with(|inner| inner.ring.as_mut().is_some_and(Ring::has_completions))
    }

    /// When the next timer fires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.with(|inner| inner.timers.next_deadline())
    }

    /// Takes one completion from the ring and files it; the caller acts on what it returns. `None`: no more.
    #[inline]
    pub(crate) fn next_event(&self) -> Option<Event<W>> {
        self.with(Inner::next_event)
    }

    /// The provided buffers, to pick a group from.
    pub(crate) fn pool(&self) -> Rc<Pool> {
        self.with(|inner| Rc::clone(&inner.pool))
    }

    /// Adds a group of provided buffers; false if there are enough already.
    ///
    /// # Errors
    ///
    /// If there is no memory, or the kernel does not have provided buffers.
    pub(crate) fn grow_pool(&self) -> io::Result<bool> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => inner.pool.grow(ring),
            None => Ok(false),
        })
    }

    /// Drops the ring. What is still in flight stays where it is for good.
    pub(crate) fn close(&self) {
        let (ring, timers, watchers, pool, lost) = self.with(|inner| {
            inner.backlog.clear();
            let timers = inner.timers.take_waiters();
            let watchers = std::mem::take(&mut inner.watchers);
            let pool = Rc::clone(&inner.pool);
            let lost = inner.slots.in_flight > 0;
            (inner.ring.take(), timers, watchers, pool, lost)
        });
        // Timers and leases that outlive the runtime would keep its tasks' memory, and its eventfd.
        drop((timers, watchers, pool.take_waiters()));
        drop(ring);
        if lost {
            // What the kernel did not give back may still take a buffer and write to it.
            std::mem::forget(pool);
        }
    }

    pub(crate) fn add_timer(&self, deadline: Instant, waiter: Option<W>) -> TimerKey {
        self.with(|inner| inner.timers.insert(deadline, waiter))
    }

    /// `Err` gives `waiter` back if the timer has fired; `Ok` gives the one that it replaced.
    pub(crate) fn poll_timer(&self, key: TimerKey, waiter: W) -> Result<Option<W>, W> {
        self.with(|inner| match inner.timers.waiter_mut(key) {
            Some(place) => Ok(place.replace(waiter)),
            None => Err(waiter),
        })
    }

    pub(crate) fn timer_has_fired(&self, key: TimerKey) -> bool {
        self.with(|inner| inner.timers.has_fired(key))
    }

    /// Forgets a timer; gives back who waited for it.
    pub(crate) fn remove_timer(&self, key: TimerKey) -> Option<W> {
        self.with(|inner| inner.timers.remove(key))
    }

    pub(crate) fn has_timers(&self) -> bool {
        self.with(|inner| !inner.timers.is_empty())
    }

    /// The waiter of one timer that is over; call it until there is none.
    pub(crate) fn pop_expired(&self, now: Instant) -> Option<W> {
        self.with(|inner| inner.timers.pop_expired(now))
    }

    /// What other threads can end a wait of this driver's with. To be silenced before `close`.
    ///
    /// # Errors
    ///
    /// If it needs a descriptor and none is free; after shutdown.
    pub(crate) fn bell(&self) -> io::Result<Bell> {
        self.with(|inner| match &inner.ring {
            Some(ring) => ring.bell(),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Operations in flight, and how many of them are orphans.
    pub(crate) fn in_flight(&self) -> (u32, u32) {
        self.with(|inner| (inner.slots.in_flight, inner.slots.orphans))
    }

    pub(crate) fn counters(&self) -> (Counters, u64) {
        self.with(|inner| {
            let overflows = inner.ring.as_ref().map_or(0, Ring::overflows);
            (inner.counters, overflows)
        })
    }

    /// The ring's size and flags; `None` after shutdown.
    pub(crate) fn ring_info(&self) -> Option<RingInfo> {
        self.with(|inner| inner.ring.as_ref().map(Ring::info))
    }

    /// Every operation in flight. `id` names the task that a waiter belongs to.
    pub(crate) fn operations(&self, id: impl Fn(&W) -> Option<u64>) -> Vec<InFlightOp> {
        self.with(|inner| inner.operations(id))
    }
}

impl<W> fmt::Debug for Driver<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A formatter may write to code of a user, which may come back here: the borrow ends before.
        let (in_flight, orphans) = self.in_flight();
        let (counters, overflows) = self.counters();
        f.debug_struct("Driver")
            .field("ring", &self.ring_info())
            .field("in_flight", &in_flight)
            .field("orphans", &orphans)
            .field("backlog", &self.with(|inner| inner.backlog.len()))
            .field("counters", &counters)
            .field("overflows", &overflows)
            .finish()
    }
}
