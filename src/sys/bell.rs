//! How other threads end the owner's wait.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};

use io_uring::{opcode, types};

use super::{EventFd, IGNORED};

const SEND_MSG_RING: u32 = 31;

/// Rung from any thread, it puts a completion into the owner's ring.
pub(crate) enum Bell {
    /// A message straight to the ring (6.13): no descriptor, and nothing to arm again.
    Message(Mutex<Option<RawFd>>),
    /// An eventfd, of which the owner keeps a read in flight.
    Event(EventFd),
}

impl Bell {
    /// The best that there is for the ring with this descriptor, which is the calling thread's.
    ///
    /// # Errors
    ///
    /// If no descriptor is free for an eventfd.
    pub(super) fn new(ring: RawFd) -> io::Result<Self> {
        // Tried out, because a kernel may lack it and a filter may forbid it. The completion says nothing.
        Ok(match send(ring) {
            Ok(()) => Bell::Message(Mutex::new(Some(ring))),
            Err(_) => Bell::Event(EventFd::new()?),
        })
    }

    /// Ends the owner's wait, this one or the next.
    pub(crate) fn ring(&self) {
        match self {
            Bell::Event(event) => event.notify(),
            Bell::Message(ring) => {
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
        if let Bell::Message(ring) = self {
            ring.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// The eventfd to be read, if there is one.
    pub(crate) fn event(&self) -> Option<RawFd> {
        match self {
            Bell::Event(event) => Some(event.as_raw_fd()),
            Bell::Message(_) => None,
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOMEM | libc::EAGAIN | libc::EINTR | libc::EBUSY)
    )
}

/// Sends an empty message to a ring, without a ring.
fn send(ring: RawFd) -> io::Result<()> {
    let message = opcode::MsgRingData::new(types::Fd(ring), 0, IGNORED, None).build();
    // SAFETY: the call reads one entry, which lives across it, and which points to nothing.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            -1,
            SEND_MSG_RING,
            &raw const message,
            1,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bell::Message(_) => "Bell(message)",
            Bell::Event(_) => "Bell(eventfd)",
        })
    }
}
