//! `IORING_OP_ACCEPT`: accept4(2), one connection.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use socket2::SockAddr;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, sock_addr};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Room for an Internet address. Longer ones (of Unix sockets) are left to getpeername(2).
const ADDR_SIZE: usize = size_of::<libc::sockaddr_in6>();

/// Accepts a connection.
#[derive(Debug)]
pub struct Accept {
    fd: SharedFd,
    /// Accepted for an operation before this one, which nobody waited for any more.
    stashed: Option<(OwnedFd, Option<Box<SockAddr>>)>,
    addr_size: libc::socklen_t,
    addr: [u8; ADDR_SIZE],
}

impl Accept {
    pub(crate) fn new(fd: &SharedFd) -> Op<Self> {
        Op::new(Accept {
            fd: fd.clone(),
            stashed: None,
            addr_size: ADDR_SIZE as libc::socklen_t,
            addr: [0; ADDR_SIZE],
        })
    }

    /// The connection that the completion stands for, and its peer's address.
    fn connection(&mut self, cqe: Completion) -> io::Result<(OwnedFd, Option<SockAddr>)> {
        if let Some((stashed, from)) = self.stashed.take() {
            return Ok((stashed, from.map(|from| *from)));
        }
        let fd = cqe.result()?;
        // SAFETY: a successful accept gives us a new descriptor, and this is the only place that hears of it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let size = self.addr_size as usize;
        let addr = (size <= ADDR_SIZE)
            .then(|| sock_addr::from_bytes(&self.addr, size))
            .flatten();
        Ok((fd, addr))
    }
}

// SAFETY: the entry points to `addr` and `addr_size` inside `self`, which nobody reads before `complete`; the
// descriptor is counted.
unsafe impl Operation for Accept {
    const CODE: u8 = opcode::Accept::CODE;
    const NAME: &'static str = "accept";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    /// The connection, and its peer's address where that is known.
    type Output = io::Result<(OwnedFd, Option<SockAddr>)>;

    fn early(&mut self) -> Option<i32> {
        let (stashed, from) = self.fd.stashed_connection()?;
        self.stashed = Some((stashed, from.map(Box::new)));
        Some(0)
    }

    fn has_stashed(&self) -> bool {
        self.fd.has_stashed()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
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
        self.fd.accept_ended(cqe);
        self.connection(cqe)
    }

    fn abandon(mut self, cqe: Completion) {
        self.fd.accept_ended(cqe);
        if let Ok((connection, from)) = self.connection(cqe) {
            self.fd.stash_connection(connection, from);
        }
    }
}
