//! A descriptor that tells poll(2) and its kin that there is something to do for the owner of a ring.
//!
//! For a ring of the kernel's it is an eventfd(2) that the ring is told to signal (`IORING_REGISTER_EVENTFD`), and not the ring's own
//! descriptor. With `DEFER_TASKRUN` that does not do from 6.3 on: what waits for the owner to enter shows when poll(2)
//! looks, but wakes nobody who sleeps in it already, because polls have a queue of their own since, which is woken when
//! completions are posted. (Seen on 6.18: poll(2) and epoll(7) sleep on until their timeout.) The eventfd is signalled when
//! such work comes, too, and on every kernel and with every setup when a completion is posted, so there is one way for all.
//!
//! The kernel does not signal an eventfd while it signals another, as whoever writes to one does: then it puts the signal
//! off, for some ten milliseconds, if the work is of a ring with `DEFER_TASKRUN`; and from 6.11 on it does so once and never again, as
//! it forgets to take back that it has (seen on 6.18). So what wakes a ring's owner from this crate writes to this eventfd itself,
//! and not to one that the ring waits for; and for operations of users on eventfds, or on an epoll(7) that has one, the
//! eventfd is registered anew before each wait that could be such a second time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use super::generation::generation;
use super::software::Remote;

/// The descriptor, and how it is made readable without a completion.
pub(crate) struct Readiness {
    fd: Arc<OwnedFd>,
    /// For a software ring, whose epoll descriptor it is.
    remote: Option<Arc<Remote>>,
    generation: u32,
}

impl Readiness {
    /// That of a ring which signals this eventfd.
    pub(super) fn of_event(event: Arc<OwnedFd>) -> Self {
        Readiness {
            fd: event,
            remote: None,
            generation: generation(),
        }
    }

    /// That of a software ring: another descriptor of its epoll(7).
    ///
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn of_software(epoll: BorrowedFd<'_>, remote: &Arc<Remote>) -> io::Result<Self> {
        Ok(Readiness {
            fd: Arc::new(epoll.try_clone_to_owned()?),
            remote: Some(Arc::clone(remote)),
            generation: generation(),
        })
    }

    /// Makes it readable.
    pub(crate) fn raise(&self) {
        if self.generation != generation() {
            return; // The owner is another process.
        }
        match &self.remote {
            None => add_one(&self.fd),
            Some(remote) => {
                if let Some(event) = remote.event() {
                    add_one(&event);
                }
            }
        }
    }

    /// The eventfd, if it is one.
    pub(super) fn event(&self) -> Option<&Arc<OwnedFd>> {
        match self.remote {
            None => Some(&self.fd),
            Some(_) => None,
        }
    }

    /// Takes back that it is readable; look afterwards whether anything has come. What makes a software ring's readable is
    /// taken in by a look at the ring.
    pub(crate) fn lower(&self) {
        if self.remote.is_none() {
            // It cannot block. Nothing to read is the usual case.
            let _ = rustix::io::read(&self.fd, &mut [0_u8; 8]);
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
