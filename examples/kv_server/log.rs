//! The log of a shard, as those see it who change something and wait until that is safe.
//!
//! What changes is gathered while a write is under way, and is then written by one: a batch. So many connections share one write,
//! and one wait for the disk.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use saferring::sync::local::Notify;

use crate::server::{Append, Options, tell};
use crate::shard::Shard;

/// How much may wait to be written before those who change something wait, too.
const PENDING_MAX: usize = 64 << 20;

/// The log as those see it who change something.
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    pub(crate) len: Cell<u64>,
    pub(crate) append: Append,
    pub(crate) rewrite_from: u64,
    /// The number of the batch that is being gathered.
    pub(crate) gathering: Cell<u64>,
    /// The last one that is as safe as was asked for.
    pub(crate) safe: Cell<u64>,
    /// Why nothing can be written now.
    trouble: RefCell<Option<Rc<[u8]>>>,
    pub(crate) work: Notify,
    /// Those who wait for batches with even and with odd numbers: there are never more than two.
    pub(crate) done: [Notify; 2],
    pub(crate) room: Notify,
    pub(crate) ends: Cell<bool>,
}

impl Log {
    pub(crate) fn new(path: PathBuf, len: u64, options: &Options) -> Self {
        Log {
            path,
            len: Cell::new(len),
            append: options.append,
            rewrite_from: options.rewrite_from,
            gathering: Cell::new(1),
            safe: Cell::new(0),
            trouble: RefCell::new(None),
            work: Notify::new(),
            done: [Notify::new(), Notify::new()],
            room: Notify::new(),
            ends: Cell::new(false),
        }
    }

    /// Why changes are refused, as clients are told.
    pub(crate) fn trouble(&self) -> Option<Rc<[u8]>> {
        self.trouble.borrow().clone()
    }

    /// There is something in the journal; returns the number of the batch that it will be in.
    pub(crate) fn wake(&self) -> u64 {
        self.work.notify_one();
        self.gathering.get()
    }

    /// Waits until a batch is safe.
    ///
    /// # Errors
    ///
    /// If it cannot be written now. It still will be when that is possible.
    pub(crate) async fn committed(&self, batch: u64) -> Result<(), Rc<[u8]>> {
        while self.safe.get() < batch {
            if let Some(trouble) = self.trouble() {
                return Err(trouble);
            }
            self.done[batch as usize % 2].notified().await;
        }
        Ok(())
    }

    /// Whether more may be changed while so much waits to be written.
    pub(crate) fn has_room(&self, pending: usize) -> bool {
        // When nothing can be written, nothing is changed either, and all others go on.
        pending <= PENDING_MAX || self.trouble.borrow().is_some()
    }

    /// Waits until more may be changed.
    pub(crate) async fn room(&self, pending: impl Fn() -> usize) {
        while !self.has_room(pending()) {
            self.room.notified().await;
        }
    }

    /// Lets the log's task end when all is on the disk.
    pub(crate) fn end(&self) {
        self.ends.set(true);
        self.work.notify_one();
    }

    /// Nothing can be written, for this reason; or all can again.
    pub(crate) fn set_trouble(&self, shard: &Shard, error: Option<&io::Error>) {
        let text = error.map(|error| {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            format!("MISCONF Errors writing to the AOF file: {text}")
        });
        let old = self
            .trouble
            .replace(text.as_ref().map(|text| text.as_bytes().into()));
        shard
            .totals()
            .in_trouble
            .store(text.is_some().into(), Relaxed);
        match (error, old) {
            (Some(error), None) => {
                tell(format_args!(
                    "{}: {error}; changes are refused until it can be written",
                    self.path.display()
                ));
                self.done.iter().for_each(Notify::notify_waiters);
                self.room.notify_waiters();
            }
            (None, Some(_)) => tell(format_args!(
                "{}: can be written again",
                self.path.display()
            )),
            _ => {}
        }
    }
}
