//! How much may still be sent to a core, and how room comes back from there.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::local::Semaphore;

/// Room at another core, counted by the core that sends.
pub(super) struct Room {
    room: usize,
    /// Another one after a restart: what has come back of the one before is not added.
    semaphore: RefCell<Rc<Semaphore>>,
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
        let new = |_| Room {
            room,
            semaphore: RefCell::new(Rc::new(Semaphore::new(room))),
        };
        (0..cores).map(new).collect()
    }

    fn semaphore(&self) -> Rc<Semaphore> {
        Rc::clone(&self.semaphore.borrow())
    }

    /// Takes room for one, as soon as there is some. First come, first served.
    pub(super) async fn take(&self) -> Result<(), NoRoom> {
        let semaphore = self.semaphore();
        match semaphore.acquire().await {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_) => Err(NoRoom::Closed),
        }
    }

    /// Takes room for one, if there is some now.
    pub(super) fn try_take(&self) -> Result<(), NoRoom> {
        let semaphore = self.semaphore();
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
    pub(super) fn give_back(&self, count: usize) {
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

/// Room that goes back from one core to another: a message is on its way while the count is not 0.
#[derive(Debug, Default)]
pub(super) struct Credit(AtomicUsize);

impl Credit {
    /// One more. True: it is the first, and somebody has to carry it home.
    pub(super) fn add(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// All that there is, at home.
    pub(super) fn take(&self) -> usize {
        self.0.swap(0, Ordering::AcqRel)
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
