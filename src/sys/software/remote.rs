//! What other threads give to the ring: results of its jobs, and wakes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// A job's result: the operation that it was for, and what the kernel said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) index: u32,
    pub(super) result: i32,
    /// Whether the result is a descriptor.
    pub(super) opens: bool,
}

#[derive(Default)]
struct Inbox {
    answers: Vec<Answer>,
    /// The owner is not to sleep.
    woken: bool,
    /// The owner sleeps, or is about to: whoever brings something has to write to the eventfd.
    parked: bool,
    /// There is no owner any more.
    closed: bool,
}

/// Shared by a ring, the threads that work for it, and those that wake its owner.
pub(in crate::sys) struct Remote {
    inbox: Mutex<Inbox>,
    event: OwnedFd,
}

impl Remote {
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Remote {
            inbox: Mutex::default(),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Brings the result of a job.
    pub(super) fn answer(&self, answer: Answer) {
        let mut inbox = self.lock();
        if inbox.closed {
            drop(inbox);
            if answer.opens && answer.result >= 0 {
                // SAFETY: the job has just opened it, and nobody has heard of it.
                drop(unsafe { OwnedFd::from_raw_fd(answer.result) });
            }
            return;
        }
        inbox.answers.push(answer);
        self.ring(inbox);
    }

    /// Ends the owner's wait, this one or the next.
    pub(in crate::sys) fn wake(&self) {
        let mut inbox = self.lock();
        inbox.woken = true;
        self.ring(inbox);
    }

    fn ring(&self, mut inbox: MutexGuard<'_, Inbox>) {
        let parked = std::mem::take(&mut inbox.parked);
        drop(inbox);
        if parked {
            // It cannot be full: it is written to once a sleep.
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }

    /// The owner is about to sleep; false if it is not to.
    pub(in crate::sys) fn park(&self) -> bool {
        let mut inbox = self.lock();
        let sleeps = !std::mem::take(&mut inbox.woken) && inbox.answers.is_empty();
        inbox.parked = sleeps;
        sleeps
    }

    /// The owner is awake; whether somebody has written to the eventfd.
    pub(in crate::sys) fn unpark(&self) {
        let mut inbox = self.lock();
        let rung = !std::mem::take(&mut inbox.parked);
        inbox.woken = false;
        drop(inbox);
        if rung {
            let _ = rustix::io::read(&self.event, &mut [0_u8; 8]);
        }
    }

    /// Moves what jobs have brought to `into`.
    pub(super) fn collect(&self, into: &mut Vec<Answer>) {
        std::mem::swap(&mut self.lock().answers, into);
    }

    /// Whether jobs have brought anything.
    pub(super) fn has_answers(&self) -> bool {
        !self.lock().answers.is_empty()
    }

    /// There is no owner any more: what jobs still open, they close. Gives what they had brought.
    pub(super) fn close(&self) -> Vec<Answer> {
        let mut inbox = self.lock();
        inbox.closed = true;
        std::mem::take(&mut inbox.answers)
    }
}
