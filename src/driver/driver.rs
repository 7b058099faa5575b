//! The driver as those above it know it. Each method is one short borrow of what it consists of.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::accounts;
use super::event::{self, Orphaned, Owner, Progress, Submission};
use super::inflight::InFlightOp;
use super::inner::{Counters, Inner};
use super::pool::{Pool, PoolConfig};
use super::slots::{self, CANCELLED, FileRef, INTERRUPTED, OWN, State};
use crate::Error;
use crate::sys::{Completion, Features, Notifier, Promised, Ring, RingConfig, RingId, RingInfo};

/// What can be done to an operation by someone who does not know its type. What is foreign to the driver is done by
/// whoever turns it, with nothing borrowed.
pub(crate) struct Calls<W: 'static> {
    /// Gives a completion to the operation when its future is gone; with the final one, takes the operation out, frees
    /// the cell, and drops it.
    pub(crate) abandon: unsafe fn(&Driver<W>, Abandoned<W>),
    /// Gives the operation, which waited, to the kernel. False: it is complete without.
    pub(crate) admit: unsafe fn(&Driver<W>, Key<W>) -> bool,
    /// Gives the rest of the operation to the kernel, of which so much was done.
    pub(crate) resume: unsafe fn(&Driver<W>, Key<W>, usize),
}

pub(crate) type Abandoned<W> = event::Abandoned<W, Calls<W>>;
pub(crate) type Event<W> = event::Event<W, Calls<W>>;
pub(crate) type Key<W> = slots::Key<W, Calls<W>>;
pub(crate) type OpVTable<W> = slots::OpVTable<Calls<W>>;

impl<W> Abandoned<W> {
    /// Runs the operation's own ending.
    pub(crate) fn run(self, driver: &Driver<W>) {
        // SAFETY: `next_event` took this from a cell of an orphan of this driver, whose payload holds the operation that
        // `vtable` was made for; nobody else reaches it, for its future is gone, and the kernel is done with it if this is
        // the last completion.
        unsafe { (self.vtable.calls.abandon)(driver, self) }
    }
}

impl<W> event::Partial<W, Calls<W>> {
    /// Gives the rest to the kernel.
    pub(crate) fn resume(self, driver: &Driver<W>) {
        // SAFETY: `next_event` took this from a cell of this driver, whose payload holds the operation that `vtable` was
        // made for. The kernel is done with it for now, and its future does not reach it before the final completion.
        unsafe { (self.vtable.calls.resume)(driver, self.key, self.done) }
    }
}

/// The operations in flight on one thread, and the ring they travel through.
pub(crate) struct Driver<W: 'static> {
    id: RingId,
    features: Features,
    inner: UnsafeCell<Inner<W, Calls<W>>>,
    /// Guards the one rule of `inner`, in debug builds.
    borrowed: Cell<bool>,
    /// Whether everything is to end.
    pub(super) ending: Cell<bool>,
}

impl<W> Driver<W> {
    pub(crate) fn new(config: &RingConfig, pool: PoolConfig) -> Result<Self, Error> {
        let id = RingId::new();
        let mut inner = Inner::new(config, pool, id)?;
        accounts::made();
        Ok(Driver {
            id,
            features: match &mut inner.ring {
                Some(ring) => *ring.features(),
                None => Features::default(),
            },
            inner: UnsafeCell::new(inner),
            borrowed: Cell::new(false),
            ending: Cell::new(false),
        })
    }

    /// What its ring is known by, for all time.
    #[inline]
    pub(crate) fn id(&self) -> RingId {
        self.id
    }

    /// What its ring can do.
    #[inline]
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// The only way to `inner`. A `RefCell` here costs 6 ns an operation, 1 % of a cached read.
    #[inline(always)]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Inner<W, Calls<W>>) -> R) -> R {
        debug_assert!(!self.borrowed.replace(true), "the driver was re-entered");
        // SAFETY: the driver is `!Sync`, so all calls are on one thread. No closure given to `with` calls `with`
        // again or runs foreign code: they touch only the fields of `Inner` and the ring, drop no waiter and no
        // operation, and call nothing that is handed in by a layer above, but for the table of multishot operations and the `id` of
        // the dump, which touch nothing but the operation. So this reference is the only one while it lives. Debug builds check it.
        let result = f(unsafe { &mut *self.inner.get() });
        if cfg!(debug_assertions) {
            self.borrowed.set(false);
        }
        result
    }

    /// Hands out a cell for an operation. `None` if the table is full, at 67 million operations, or the driver is shut
    /// down.
    #[inline]
    pub(crate) fn reserve(&self, vtable: &'static OpVTable<W>) -> Option<Key<W>> {
        self.with(|inner| {
            inner.ring.as_ref()?;
            inner.slots.reserve(vtable)
        })
    }

    /// Puts the operation into flight, for a future, or for the runtime itself: as an orphan from the start.
    ///
    /// # Safety
    ///
    /// `key` was reserved, perhaps has waited, and was not submitted before. Its payload holds the operation that the entry
    /// was made from, and all that the entry points to stays valid and untouched until the operation's final completion.
    #[inline]
    pub(crate) unsafe fn submit(&self, key: Key<W>, mut what: Submission, owner: Owner<W>) {
        what.seal(key);
        self.with(|inner| {
            let now = inner.now;
            let head = inner.slots.head(key);
            debug_assert!(matches!(head.state, State::Reserved | State::Waiting));
            let (own, waiter) = match owner {
                Owner::Runtime => (true, None),
                Owner::Future(waiter) => (false, waiter),
                Owner::Same => (false, head.waiter.take()),
            };
            (head.state, head.tag) = if own {
                (State::Orphan, what.turn | OWN)
            } else {
                (State::InFlight, what.turn)
            };
            head.a = now;
            if !head.is_multishot() {
                head.b = what.whole;
            }
            head.file = what.file;
            head.waiter = waiter;
            inner.slots.in_flight += 1;
            inner.slots.orphans += u32::from(own);
            inner.slots.own += u32::from(own);
            // SAFETY: the caller's promise.
            inner.push(unsafe { Promised::new(&what.entry) });
        });
    }

    /// Gives the rest of an operation to the kernel, of which a part was done.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), but that `key` is in flight, and the kernel does not have it.
    pub(crate) unsafe fn resubmit(&self, key: Key<W>, mut what: Submission) {
        what.seal(key);
        self.with(|inner| {
            let head = inner.slots.head(key);
            if !head.is_multishot() {
                head.b = what.whole;
            }
            // SAFETY: the caller's promise.
            inner.push(unsafe { Promised::new(&what.entry) });
        });
    }

    /// Frees the cell of an operation that was taken out.
    #[inline]
    pub(crate) fn release(&self, key: Key<W>) {
        self.with(|inner| inner.slots.release(key));
    }

    /// How far the single-shot operation `key` is. `wakes` says whether a waiter is the one that asks, and does no more than
    /// compare.
    #[inline]
    pub(crate) fn progress(&self, key: Key<W>, wakes: impl FnOnce(&W) -> bool) -> Progress {
        self.with(|inner| {
            let head = inner.slots.head(key);
            if head.state != State::Complete {
                return match &head.waiter {
                    Some(waiter) if wakes(waiter) => Progress::Waits,
                    _ => Progress::Unwatched,
                };
            }
            let cancelled = head.tag & CANCELLED != 0;
            let result = match head.a as i32 {
                // A thread of the kernel was interrupted in a transfer that cannot go on: by the cancel.
                result if result == -libc::EINTR && cancelled => -libc::ECANCELED,
                result => result,
            };
            // Nobody has asked for its end: the kernel has given it up.
            let given_up = result == -libc::ECANCELED && !cancelled;
            let mark = match head.tag & (INTERRUPTED | CANCELLED) {
                INTERRUPTED => Completion::BEGINS_ANEW,
                _ if given_up => Completion::GIVEN_UP,
                _ => 0,
            };
            Progress::Complete(Completion::new(mark, result, head.b))
        })
    }

    /// Leaves `waiter` to be woken by the next completion of `key`, and gives back the one that it replaces. `Err`: there is
    /// a completion to take.
    #[inline]
    pub(crate) fn set_waiter(&self, key: Key<W>, waiter: W) -> Result<Option<W>, W> {
        self.with(|inner| {
            let head = inner.slots.head(key);
            match head.state {
                State::Waiting => Ok(head.waiter.replace(waiter)),
                State::InFlight if !head.has_queued() => Ok(head.waiter.replace(waiter)),
                _ => Err(waiter),
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
                State::Waiting => Some(Orphaned::Waiting(head.a, head.waiter.take())),
                State::Complete => Some(Orphaned::Complete(Completion::new(
                    0,
                    head.a as i32,
                    head.b,
                ))),
                State::Free | State::Reserved | State::Orphan | State::Ending => None,
            }
        })
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
            Some(ring) => ring.unsubmitted() > 0 || !inner.backlog.is_empty() || ring.wants_enter(),
            None => false,
        })
    }

    /// Whether there are completions to take.
    pub(crate) fn has_completions(&self) -> bool {
        self.with(|inner| inner.ring.as_mut().is_some_and(Ring::has_completions))
    }

    /// Takes one completion from the ring and files it; the caller acts on what it returns. `None`: no more.
    #[inline(always)]
    pub(crate) fn next_event(&self) -> Option<Event<W>> {
        self.with(Inner::next_event)
    }

    /// The provided buffers, to pick a group from.
    pub(crate) fn pool(&self) -> Rc<Pool> {
        self.with(|inner| Rc::clone(&inner.pool))
    }

    /// In a child of fork(2): the ring is its parent's, who goes on with it, and so is what was in flight.
    pub(crate) fn lose_ring(&self) {
        self.with(|inner| {
            inner.forked = true;
            inner.backlog.clear();
            // Its memory is not there, and its descriptor says nothing to the kernel when the child ends.
            std::mem::forget(inner.ring.take());
        });
    }

    /// Adds a group of provided buffers; false if there are enough already, or no more can be had.
    pub(crate) fn grow_pool(&self) -> bool {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => inner.pool.grow(ring),
            None => false,
        })
    }

    /// Drops the ring. What is still in flight stays where it is for good.
    pub(crate) fn close(&self) {
        let (ring, timers, pool, lost) = self.with(|inner| {
            inner.backlog.clear();
            let timers = inner.timers.take_waiters();
            let pool = Rc::clone(&inner.pool);
            let lost = inner.slots.in_flight;
            (inner.ring.take(), timers, pool, lost)
        });
        drop(ring);
        // Timers that outlive the runtime would keep its tasks' memory.
        drop(timers);
        accounts::closed(lost);
        if lost > 0 {
            // What the kernel did not give back may still take a buffer and write to it.
            std::mem::forget(pool);
        }
    }

    /// What other threads can end a wait of this driver's with. To be silenced before `close`.
    ///
    /// # Errors
    ///
    /// If it needs a descriptor and none is free; after shutdown.
    pub(crate) fn notifier(&self) -> io::Result<Notifier> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => ring.notifier(),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Operations of users in flight, and how many of them are orphans.
    pub(crate) fn in_flight(&self) -> (u32, u32) {
        self.with(|inner| {
            let slots = &inner.slots;
            (slots.in_flight - slots.own, slots.orphans - slots.own)
        })
    }

    /// Whether the kernel has anything, be it the runtime's own.
    pub(crate) fn has_in_flight(&self) -> bool {
        self.with(|inner| inner.slots.in_flight > 0)
    }

    pub(crate) fn counters(&self) -> (Counters, u64) {
        self.with(|inner| {
            let overflows = inner.ring.as_mut().map_or(0, Ring::overflows);
            (inner.counters, overflows)
        })
    }

    /// The ring's size and flags; `None` after shutdown.
    pub(crate) fn ring_info(&self) -> Option<RingInfo> {
        self.with(|inner| inner.ring.as_mut().map(Ring::info))
    }

    /// Every operation in flight. `id` names the task that a waiter belongs to, by number and perhaps by name, `number` a file's descriptor.
    pub(crate) fn operations(
        &self,
        id: impl Fn(&W) -> Option<(u64, Option<String>)>,
        number: impl Fn(FileRef) -> RawFd,
    ) -> Vec<InFlightOp> {
        self.with(|inner| inner.operations(id, number))
    }
}

impl<W> Drop for Driver<W> {
    fn drop(&mut self) {
        accounts::dropped(self.inner.get_mut().slots.forgotten());
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
