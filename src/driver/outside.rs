//! A driver whose owner waits by a descriptor, among others of its own, and not in the kernel's enter call.

use std::io;
use std::time::Instant;

use super::driver::Driver;
use crate::sys::Readiness;

impl<W> Driver<W> {
    /// A descriptor that poll(2) finds readable when the ring has something for its owner. To be asked for once.
    ///
    /// # Errors
    ///
    /// If no descriptor is free; those of io_uring_register(2); after shutdown.
    pub(crate) fn readiness(&self) -> io::Result<Readiness> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => ring.readiness(),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Takes in what has come while the owner has waited by the descriptor, with a turn if that is needed.
    ///
    /// # Errors
    ///
    /// The ring is lost.
    pub(crate) fn look(&self) -> io::Result<()> {
        let wants_turn = self.with(|inner| match &mut inner.ring {
            Some(ring) => Ok(ring.look()? || inner.stubborn.is_due()),
            None => Ok::<_, io::Error>(inner.forked),
        })?;
        match wants_turn {
            true => self.turn(false),
            false => Ok(()),
        }
    }

    /// Submits what was prepared.
    ///
    /// # Errors
    ///
    /// The ring is lost.
    pub(crate) fn flush(&self) -> io::Result<()> {
        match self.has_unsubmitted() {
            true => self.turn(false),
            false => Ok(()),
        }
    }

    /// Whether there is nothing to do until the descriptor becomes readable, or the time of [`due`](Self::due) comes.
    ///
    /// # Errors
    ///
    /// The ring is lost.
    pub(crate) fn rests(&self) -> io::Result<bool> {
        self.with(|inner| {
            let Some(ring) = &mut inner.ring else {
                return Ok(true);
            };
            let completions = inner.counters.completions;
            let rests = inner.backlog.is_empty() && ring.rests(inner.rested_at != completions)?;
            if rests {
                inner.rested_at = completions;
            }
            Ok(rests)
        })
    }

    /// Whether anything was prepared that the kernel has not been given.
    pub(crate) fn has_unsubmitted(&self) -> bool {
        self.with(|inner| {
            let unsubmitted = inner
                .ring
                .as_mut()
                .is_some_and(|ring| ring.unsubmitted() > 0);
            unsubmitted || !inner.backlog.is_empty()
        })
    }

    /// When a turn is needed, if nothing comes before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.with(|inner| inner.due())
    }
}
