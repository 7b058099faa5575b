//! `IORING_OP_CLOSE`: close(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use socket2::SockRef;

use super::{Completion, Entry, Operation, current, submit_detached};
use crate::sys::{RingId, opcode, types};

/// Closes the descriptor of somebody who does not wait for it: at once, as in std, unless that may take long, which is so of
/// a socket that lingers. A thread does it then.
pub(super) fn close_dropped(fd: OwnedFd, socket: bool) {
    if !socket || !lingers(&fd) {
        return drop(fd);
    }
    let unsubmitted = match current() {
        Some(driver) => match submit_detached(&driver, Close::new(fd)) {
            Ok(()) => return,
            Err(close) => close.fd,
        },
        None => Some(fd),
    };
    // Where no thread can be had, this one waits: the closure is dropped, and the descriptor with it.
    let _ = std::thread::Builder::new()
        .name("saferring-close".to_owned())
        .spawn(move || drop(unsubmitted));
}

/// Whether the end of a socket may wait for the peer.
pub(super) fn lingers(fd: &OwnedFd) -> bool {
    let linger = SockRef::from(fd).linger();
    linger.is_ok_and(|linger| linger.is_some_and(|time| !time.is_zero()))
}

/// Closes a descriptor, on a thread of the kernel.
#[derive(Debug)]
pub struct Close {
    /// Ours until the kernel is asked.
    fd: Option<OwnedFd>,
    raw: RawFd,
}

impl Close {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        Close { fd: Some(fd), raw }
    }

    /// Closes it without the ring.
    ///
    /// # Errors
    ///
    /// What close(2) says. The descriptor is closed all the same.
    pub(super) fn now(self) -> io::Result<()> {
        let Some(fd) = self.fd else { return Ok(()) };
        // SAFETY: the descriptor was ours, and is given up to the call.
        match unsafe { libc::close(fd.into_raw_fd()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

// SAFETY: the entry points to nothing; the descriptor is owned by the operation and given up to the kernel.
unsafe impl Operation for Close {
    const CODE: u8 = opcode::Close::CODE;
    type Output = io::Result<()>;

    fn raw_fd(&self) -> RawFd {
        self.raw
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        // From here on the kernel closes it.
        let raw = self.fd.take().map_or(-1, IntoRawFd::into_raw_fd);
        // The last close of a file may have much to do, and one of a socket may linger.
        opcode::Close::new(types::Fd(raw))
            .build()
            .flags(io_uring::squeue::Flags::ASYNC)
            .into()
    }

    fn complete(mut self, cqe: Completion) -> Self::Output {
        // Never submitted: dropped with the operation.
        if self.fd.is_some() {
            return self.now();
        }
        if cqe.raw_result() == -libc::ECANCELED {
            // Cancelled before it ran: the close did not happen.
            // SAFETY: `prepare` gave the descriptor to the kernel, which says that it did not take it.
            self.fd = Some(unsafe { OwnedFd::from_raw_fd(self.raw) });
            return self.now();
        }
        // Whatever else it says, as a file system's flush may, Linux has released the number.
        cqe.result().map(drop)
    }
}
