//! `IORING_OP_ACCEPT`: accept4(2), one connection.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::fd::Side;
use super::{Admission, Completion, Entry, Op, Operation, SharedFd, sock_addr};
use crate::sys::opcode;

/// Room for an Internet address. Longer ones (of Unix sockets) are left to getpeername(2).
const ADDR_SIZE: usize = size_of::<libc::sockaddr_in6>();

/// Accepts a connection.
#[derive(Debug)]
pub struct Accept {
    fd: SharedFd,
    /// Accepted for an operation before this one, which nobody waited for any more.
    late: Option<OwnedFd>,
    addr_size: libc::socklen_t,
    addr: [u8; ADDR_SIZE],
}

impl Accept {
    pub(crate) fn new(fd: &SharedFd) -> Op<Self> {
        Op::new(Accept {
            fd: fd.clone(),
            late: None,
            addr_size: ADDR_SIZE as libc::socklen_t,
            addr: [0; ADDR_SIZE],
        })
    }

    /// The connection that the completion stands for.
    fn connection(&mut self, cqe: Completion) -> io::Result<OwnedFd> {
        if let Some(late) = self.late.take() {
            return Ok(late);
        }
        let fd = cqe.result()?;
        // SAFETY: a successful accept gives us a new descriptor, and this is the only place that hears of it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}

// SAFETY: the entry points to `addr` and `addr_size` inside `self`, which nobody reads before `complete`; the
// descriptor is counted.
unsafe impl Operation for Accept {
    const CODE: u8 = opcode::Accept::CODE;
    const BY_SLOT: bool = true;
    /// The connection, and its peer's address where that is known.
    type Output = io::Result<(OwnedFd, Option<SockAddr>)>;

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        self.late = self.fd.late_connection();
        if self.late.is_some() {
            self.addr_size = 0;
            self.fd.end_turn(Side::Read);
            return Poll::Ready(Admission::Answered(0));
        }
        Poll::Ready(Admission::Submit)
    }

    fn has_late(&self) -> bool {
        self.fd.has_late()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        opcode::Accept::new(
            self.fd.target(),
            (&raw mut self.addr).cast(),
            &raw mut self.addr_size,
        )
        .flags(libc::SOCK_CLOEXEC)
        .build()
        .into()
    }

    fn complete(mut self, cqe: Completion) -> Self::Output {
        let connection = self.connection(cqe)?;
        let size = self.addr_size as usize;
        let addr = (size <= ADDR_SIZE)
            .then(|| sock_addr::from_bytes(&self.addr, size))
            .flatten();
        Ok((connection, addr))
    }

    fn abandon(mut self, cqe: Completion) {
        if let Ok(connection) = self.connection(cqe) {
            self.fd.keep_connection(connection);
        }
    }

    fn leave(&mut self, _cqe: Completion) {
        self.fd.end_turn(Side::Read);
    }
}
