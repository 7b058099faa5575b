//! How much may still be sent to a core, and how room comes back from there.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::local::Semaphore;
use crate::task::{poll_proceed, spend};

/// Room at another core, counted by the core that sends.
pub(super) struct Room {
    room: usize,
    /// Another one after a restart: what has come back of the one before is not added.
    semaphore: RefCell<Rc<Semaphore>>,
    /// What its credit had come to when room was given back last.
    seen: Cell<usize>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    Full,
    /// The core has ended.
    Closed,
}

impl Room {
    pub(super) fn all(cores: usize, room: usize) -> Box<[Room]> {
        let room = room.min(Semaphore::MAX_PERMITS);
        let new = |_| Room {
            room,
            semaphore: RefCell::new(Rc::new(Semaphore::new(room))),
            seen: Cell::new(0),
        };
        (0..cores).map(new).collect()
    }

    fn semaphore(&self) -> Rc<Semaphore> {
        Rc::clone(&self.semaphore.borrow())
    }

    /// Takes room for one, as soon as there is some. First come, first served.
    pub(super) async fn take(&self) -> Result<(), NoRoom> {
        // Mostly there is some; while others wait there is none.
        poll_fn(|cx| poll_proceed(cx)).await;
        if self.try_take().is_ok() {
            spend();
            return Ok(());
        }
        match self.semaphore().acquire().await {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_) => Err(NoRoom::Closed),
        }
    }

    /// Takes room for one, if there is some now.
    pub(super) fn try_take(&self) -> Result<(), NoRoom> {
        let semaphore = self.semaphore.borrow();
        match semaphore.try_acquire() {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_) if semaphore.is_closed() => Err(NoRoom::Closed),
            Err(_) => Err(NoRoom::Full),
        }
    }

    /// Room for so many has come back.
    fn give_back(&self, count: usize) {
        let semaphore = self.semaphore();
        let missing = self.room.saturating_sub(semaphore.available_permits());
        semaphore.add_permits(count.min(missing));
    }

    /// The core has ended.
    pub(super) fn close(&self) {
        self.semaphore().close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.semaphore().is_closed()
    }

    /// It runs again.
    pub(super) fn reopen(&self) {
        let new = Rc::new(Semaphore::new(self.room));
        let before = self.semaphore.replace(new);
        before.close();
    }
}

/// How much of what one core has sent to another was taken there, ever. The core that takes it alone writes it, and sends it
/// home once for all that it takes before it looks at the kernel again. In cache lines of its own: it is written for each
/// message, and what lies beside it is the other core's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Credit(AtomicUsize);

/// What the core that takes keeps of a credit.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The lot in which it goes home; 0: none yet.
    lot: Cell<u64>,
}

impl Credit {
    /// One more was taken. True: it is the first in this lot, and has to be sent home.
    pub(super) fn add(&self, taken: &Taken, lot: u64) -> bool {
        let total = self.0.load(Ordering::Relaxed).wrapping_add(1);
        self.0.store(total, Ordering::Release);
        taken.lot.replace(lot) != lot
    }

    /// Gives room back for what was taken since the last time, at home.
    pub(super) fn give_back(&self, room: &Room) {
        let total = self.0.load(Ordering::Acquire);
        let before = room.seen.replace(total);
        room.give_back(total.wrapping_sub(before));
    }

    /// What has been taken so far is nothing to a core that begins to send.
    pub(super) fn begin(&self, room: &Room) {
        room.seen.set(self.0.load(Ordering::Acquire));
    }
}

/// Room for the calls of one core at another.
#[derive(Debug)]
pub(super) struct CallCredit {
    pub(super) count: Credit,
    /// Where the room is.
    pub(super) to: usize,
}

/// One of each ordered pair of cores.
pub(super) struct Pairs<T> {
    cores: usize,
    all: Box<[Arc<T>]>,
}

impl<T> Pairs<T> {
    pub(super) fn new(cores: usize, mut make: impl FnMut(usize, usize) -> T) -> Self {
        let pairs = (0..cores).flat_map(|from| (0..cores).map(move |to| (from, to)));
        Pairs {
            cores,
            all: pairs.map(|(from, to)| Arc::new(make(from, to))).collect(),
        }
    }

    pub(super) fn between(&self, from: usize, to: usize) -> &Arc<T> {
        &self.all[from * self.cores + to]
    }
}
