//! A descriptor that tells poll(2) and its kin that there is something to do for the owner of a ring.
//!
//! For a ring of the kernel's it is an epoll(7) that has the ring's own descriptor, and an eventfd(2) for what is no completion.
//!
//! With `DEFER_TASKRUN` that does not do from 6.3 on: what waits for the owner to enter shows when poll(2) looks, but wakes nobody
//! who sleeps in it already, because polls have a queue of their own since, which is woken when completions are posted. (Seen
//! on 6.18: poll(2) and epoll(7) sleep on until their timeout.) There it is an eventfd that the ring is told to signal
//! (`IORING_REGISTER_EVENTFD`), which it does when such work comes, too. Other rings are not told so, because before 5.18
//! that call waits until nothing is in flight any more (seen on 5.10: it did not return).
//!
//! The kernel does not signal an eventfd while it signals another, as whoever writes to one does: then it puts the signal
//! off, for some ten milliseconds, if the work is of a ring with `DEFER_TASKRUN`; and from 6.11 on it does so once and never again, as
//! it forgets to take back that it has (seen on 6.18). So what wakes a ring's owner from this crate writes to this eventfd itself,
//! and not to one that the ring waits for; and for operations of users on eventfds, or on an epoll(7) that has one, the
//! eventfd is registered anew before each wait that could be such a second time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use super::generation::generation;
use super::software::Remote;

/// The descriptor, and how it is made readable without a completion.
pub(crate) struct Readiness {
    fd: Arc<OwnedFd>,
    raised_by: RaisedBy,
    generation: u32,
}

enum RaisedBy {
    /// Itself, an eventfd that the ring signals, too.
    Itself,
    /// An eventfd that it has beside the ring.
    Event(Arc<OwnedFd>),
    /// What wakes the owner of a software ring.
    Software(Arc<Remote>),
}

impl Readiness {
    fn new(fd: Arc<OwnedFd>, raised_by: RaisedBy) -> Self {
        Readiness {
            fd,
            raised_by,
            generation: generation(),
        }
    }

    /// That of a ring which signals this eventfd.
    pub(super) fn of_event(event: Arc<OwnedFd>) -> Self {
        Self::new(event, RaisedBy::Itself)
    }

    /// That of a ring whose own descriptor wakes who polls it.
    ///
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn of_ring(ring: BorrowedFd<'_>) -> io::Result<Self> {
        let (all, event) = (epoll::create(epoll::CreateFlags::CLOEXEC)?, new_event()?);
        epoll::add(&all, ring, EventData::new_u64(0), EventFlags::IN)?;
        epoll::add(&all, &event, EventData::new_u64(1), EventFlags::IN)?;
        Ok(Self::new(Arc::new(all), RaisedBy::Event(event)))
    }

    /// That of a software ring: another descriptor of its epoll(7).
    ///
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn of_software(epoll: BorrowedFd<'_>, remote: &Arc<Remote>) -> io::Result<Self> {
        let fd = Arc::new(epoll.try_clone_to_owned()?);
        Ok(Self::new(fd, RaisedBy::Software(Arc::clone(remote))))
    }

    /// Makes it readable.
    pub(crate) fn raise(&self) {
        if self.generation != generation() {
            return; // The owner is another process.
        }
        match &self.raised_by {
            RaisedBy::Itself => add_one(&self.fd),
            RaisedBy::Event(event) => add_one(event),
            RaisedBy::Software(remote) => {
                if let Some(event) = remote.event() {
                    add_one(&event);
                }
            }
        }
    }

    /// The eventfd, unless it is a software ring's.
    pub(super) fn event(&self) -> Option<&Arc<OwnedFd>> {
        match &self.raised_by {
            RaisedBy::Itself => Some(&self.fd),
            RaisedBy::Event(event) => Some(event),
            RaisedBy::Software(_) => None,
        }
    }

    /// Takes back that it was raised; look afterwards whether anything has come. What else makes it readable is taken in by a
    /// look at the ring.
    pub(crate) fn lower(&self) {
        if let Some(event) = self.event() {
            // It cannot block. Nothing to read is the usual case.
            let _ = rustix::io::read(event, &mut [0_u8; 8]);
        }
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An eventfd that never blocks.
///
/// # Errors
///
/// If no descriptor is free.
pub(super) fn new_event() -> io::Result<Arc<OwnedFd>> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok(Arc::new(event))
}

/// Adds to an eventfd. It refuses only when it is full, and then it is readable.
fn add_one(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}
