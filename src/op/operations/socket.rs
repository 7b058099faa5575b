//! `IORING_OP_SOCKET`: socket(2), since kernel 5.19; before that the call itself.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use socket2::{Domain, Protocol, Type};

use crate::op::mechanism::{Op, Operation};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Makes a socket.
///
/// The types of [`net`](crate::net) call socket(2) directly: it never blocks, and a round trip through the ring costs
/// more. The operation is for those who batch.
#[derive(Debug)]
pub struct Socket {
    domain: Domain,
    kind: Type,
    protocol: Option<Protocol>,
}

impl Socket {
    /// A socket as socket(2) makes it, closed on exec.
    ///
    /// # Errors
    ///
    /// Those of socket(2).
    #[allow(clippy::new_ret_no_self)] // All operations are made as `Op`.
    pub fn new(domain: Domain, kind: Type, protocol: Option<Protocol>) -> Op<Self> {
        Op::new(Socket {
            domain,
            kind,
            protocol,
        })
    }
}

// SAFETY: the entry points to nothing.
unsafe impl Operation for Socket {
    const CODE: u8 = opcode::Socket::CODE;
    const NAME: &'static str = "socket";
    type Output = io::Result<OwnedFd>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let kind = i32::from(self.kind) | libc::SOCK_CLOEXEC;
        let protocol = self.protocol.map_or(0, i32::from);
        opcode::Socket::new(self.domain.into(), kind, protocol)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        let fd = cqe.result()?;
        // SAFETY: success gives us a new descriptor, and this is the only place that hears of it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}
