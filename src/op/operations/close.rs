//! `IORING_OP_CLOSE`: close(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::op::context::current;
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, descriptor_closed, linger};
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Closes a descriptor, on a thread of the kernel.
#[derive(Debug)]
pub struct Close {
    /// Ours until the kernel is asked.
    fd: Option<OwnedFd>,
    raw: RawFd,
}

impl SharedFd {
    /// Cancels what is in flight on the descriptor, waits until the kernel is done with that, and closes it. What was
    /// not submitted by then gets `EBADF`.
    ///
    /// # Errors
    ///
    /// What close(2) says.
    ///
    /// # Panics
    ///
    /// Outside a runtime, if there is something to wait for; the descriptor is then closed when that has ended.
    pub(crate) async fn close(self) -> io::Result<()> {
        self.drain().await;
        let (fd, is_socket) = self.take_drained();
        let closed = match fd {
            // Sockets are closed in no time, once they do not linger.
            Some(fd) if is_socket => {
                if current().is_some() {
                    linger(&fd).await;
                }
                Close::new(fd).now()
            }
            Some(fd) if current().is_some() => Op::new(Close::new(fd)).await,
            Some(fd) => Close::new(fd).now(),
            None => Ok(()),
        };
        descriptor_closed();
        closed
    }
}

impl Close {
    fn new(fd: OwnedFd) -> Self {
        let raw = fd.as_raw_fd();
        Close { fd: Some(fd), raw }
    }

    /// Closes it without the ring.
    ///
    /// # Errors
    ///
    /// What close(2) says. The descriptor is closed all the same.
    fn now(self) -> io::Result<()> {
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
    const NAME: &'static str = "close";
    /// A close is done in any case.
    const IN_SCOPE: bool = false;
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
