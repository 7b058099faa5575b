//! `IORING_OP_CLOSE`: close(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use socket2::{Protocol, SockRef};

use super::{Completion, Entry, Looks, Operation};
use crate::sys::{RingId, opcode, types};

/// How often, at the least, it is looked whether a socket has sent all.
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// Closes the descriptor of somebody who does not wait for it: at once, as in std. A socket that lingers would wait until
/// all is sent, which the kernel sees to without that, too.
pub(super) fn close_dropped(fd: OwnedFd, socket: bool) {
    if socket && lingers(&fd).is_some() {
        let _ = SockRef::from(&fd).set_linger(None);
    }
}

/// How long the end of a socket waits for the peer.
fn lingers(fd: &OwnedFd) -> Option<Duration> {
    let socket = SockRef::from(fd);
    let time = socket.linger().ok()??;
    // Others take the option, and do nothing about it.
    let tcp = matches!(socket.protocol(), Ok(Some(Protocol::TCP)));
    (tcp && !time.is_zero()).then_some(time)
}

/// Waits as a close of the socket would that lingers, but holds up nobody.
pub(super) async fn linger(fd: &OwnedFd) {
    let Some(time) = lingers(fd) else { return };
    // So that no close of it waits, not even that of a future which is dropped.
    if SockRef::from(fd).set_linger(None).is_err() {
        return;
    }
    let (began, mut looks) = (Instant::now(), Looks::new(LONGEST_LOOK));
    while is_sending(fd) {
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        looks.pause(left).await;
    }
}

/// Whether there is something that the peer has not acknowledged.
fn is_sending(fd: &OwnedFd) -> bool {
    let mut unsent: libc::c_int = 0;
    // SAFETY: the call writes one number, which lives across it; the descriptor is open while `fd` is borrowed.
    let asked = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut unsent) };
    asked == 0 && unsent > 0
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
