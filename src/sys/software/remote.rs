//! What other threads give to the ring: results of its jobs, and wakes.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// A job's result: the operation that it was for, and what the kernel said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) index: u32,
    pub(super) result: i32,
    /// Whether the result is a descriptor.
    pub(super) opens: bool,
}

struct Inbox {
    answers: Vec<Answer>,
    /// The owner is not to sleep.
    woken: bool,
    /// The owner sleeps, or is about to: whoever brings something has to write to the eventfd.
    parked: bool,
    /// What it sleeps by, if that is another one.
    elsewhere: Option<Arc<OwnedFd>>,
    /// `None` when there is no owner any more: wakers may live for long, and keep no descriptor.
    event: Option<Arc<OwnedFd>>,
}

/// Shared by a ring, the threads that work for it, and those that wake its owner.
pub(in crate::sys) struct Remote {
    inbox: Mutex<Inbox>,
}

impl Remote {
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Remote {
            inbox: Mutex::new(Inbox {
                answers: Vec::new(),
                woken: false,
                parked: false,
                elsewhere: None,
                event: Some(Arc::new(event)),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is written to when the owner sleeps; `None` when there is none any more.
    pub(in crate::sys) fn event(&self) -> Option<Arc<OwnedFd>> {
        self.lock().event.clone()
    }

    /// Brings the result of a job.
    pub(super) fn answer(&self, answer: Answer) {
        let mut inbox = self.lock();
        if inbox.event.is_none() {
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
        let event = match inbox.elsewhere.take() {
            _ if !parked => None,
            None => inbox.event.clone(),
            elsewhere => elsewhere,
        };
        drop(inbox);
        if let Some(event) = event {
            // It cannot be full: it is written to once a sleep.
            let _ = rustix::io::write(&event, &1_u64.to_ne_bytes());
        }
    }

    /// The owner is about to sleep; false if it is not to.
    pub(in crate::sys) fn park(&self) -> bool {
        self.park_until(None)
    }

    /// The same, if another eventfd ends its sleep.
    pub(in crate::sys) fn park_by(&self, event: &Arc<OwnedFd>) -> bool {
        self.park_until(Some(Arc::clone(event)))
    }

    fn park_until(&self, elsewhere: Option<Arc<OwnedFd>>) -> bool {
        let mut inbox = self.lock();
        inbox.elsewhere = elsewhere;
        let sleeps = !std::mem::take(&mut inbox.woken) && inbox.answers.is_empty();
        inbox.parked = sleeps;
        sleeps
    }

    /// The owner is awake.
    pub(in crate::sys) fn unpark(&self) {
        let mut inbox = self.lock();
        inbox.parked = false;
        inbox.woken = false;
    }

    /// Takes back what was written to the eventfd, which has told so. Who has taken the mark of a sleep may write only when
    /// that is over: so this does not go by the mark.
    pub(super) fn was_rung(&self) {
        if let Some(event) = self.event() {
            let _ = rustix::io::read(&event, &mut [0_u8; 8]);
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
        inbox.event = None;
        inbox.elsewhere = None;
        std::mem::take(&mut inbox.answers)
    }
}
