//! How other threads end the owner's wait.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::generation::generation;
use super::message::send;
use super::readiness::Readiness;
use super::software::Remote;

/// Ends the wait of a ring's owner, from any thread.
pub(crate) struct Notifier {
    generation: u32,
    way: Way,
}

/// How a completion gets into the owner's ring.
enum Way {
    /// A message straight to the ring (6.13): no descriptor, and nothing to arm again.
    Message(Mutex<Option<RawFd>>),
    /// An eventfd(2), of which the owner keeps a read in flight; and what is written to instead while it waits elsewhere.
    Event(OwnedFd, Mutex<Option<Arc<OwnedFd>>>),
    /// What the threads of a software ring use, too.
    Software(Arc<Remote>),
}

impl Notifier {
    /// The best that there is for the ring with this descriptor, which is the calling thread's; a message only if it may be one.
    ///
    /// # Errors
    ///
    /// If no descriptor is free for an eventfd.
    pub(super) fn new(ring: RawFd, by_message: bool) -> io::Result<Self> {
        // Tried out, because a filter may forbid it to this thread. The completion says nothing.
        let way = match by_message && send(ring).is_ok() {
            true => Way::Message(Mutex::new(Some(ring))),
            false => Way::Event(eventfd(0, EventfdFlags::CLOEXEC)?, Mutex::default()),
        };
        Ok(Notifier {
            generation: generation(),
            way,
        })
    }

    /// That of a software ring.
    pub(super) fn of_software(remote: &Arc<Remote>) -> Self {
        Notifier {
            generation: generation(),
            way: Way::Software(Arc::clone(remote)),
        }
    }

    /// Ends the owner's wait, this one or the next.
    pub(crate) fn notify(&self) {
        if self.generation != generation() {
            return; // The owner is another process.
        }
        match &self.way {
            Way::Software(remote) => remote.wake(),
            Way::Event(event, elsewhere) => {
                let elsewhere = elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
                let event = elsewhere.as_deref().unwrap_or(event);
                // It makes the descriptor readable. It cannot block before 2^64 - 2 notifications that nobody has read, and so
                // cannot be interrupted.
                let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
            }
            Way::Message(ring) => {
                // Held across the call, so that the ring is not closed, and its number another's, meanwhile.
                let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(fd) = *ring else { return };
                // What can fail for a moment is the memory for the message. A wake must not be lost.
                while send(fd).is_err_and(|error| is_passing(&error)) {
                    std::thread::yield_now();
                }
            }
        }
    }

    /// The ring is about to be closed.
    pub(crate) fn silence(&self) {
        self.waits_by(None);
        if let Way::Message(ring) = &self.way {
            ring.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// From now on the owner waits by this, or as usual. A wait that begins after this is ended so: whoever has seen that the
    /// owner is parked for it takes the lock later than we.
    pub(crate) fn waits_by(&self, readiness: Option<&Readiness>) {
        if let Way::Event(_, elsewhere) = &self.way {
            let event = readiness.and_then(Readiness::event).map(Arc::clone);
            *elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = event;
        }
    }

    /// The eventfd to be read, if there is one.
    pub(crate) fn event(&self) -> Option<RawFd> {
        match &self.way {
            Way::Event(event, _) => Some(event.as_raw_fd()),
            Way::Message(_) | Way::Software(_) => None,
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOMEM | libc::EAGAIN | libc::EINTR | libc::EBUSY)
    )
}
