//! `IORING_OP_SOCKET` into the ring's own table.

use std::io;

use socket2::{Domain, Protocol, Type};

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{RegisteredFd, Slot};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Makes a socket as a direct descriptor; made by [`Registry::socket`](crate::op::Registry::socket).
#[derive(Debug)]
pub struct SocketDirect {
    domain: Domain,
    kind: Type,
    protocol: Option<Protocol>,
    slot: Slot,
}

impl SocketDirect {
    pub(in crate::op) fn new(
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
        slot: Slot,
    ) -> Op<Self> {
        Op::new(SocketDirect {
            domain,
            kind,
            protocol,
            slot,
        })
    }
}

// SAFETY: the entry points to nothing.
unsafe impl Operation for SocketDirect {
    const CODE: u8 = opcode::Socket::CODE;
    const NAME: &'static str = "socket";
    type Output = io::Result<RegisteredFd>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let protocol = self.protocol.map_or(0, i32::from);
        opcode::Socket::new(self.domain.into(), self.kind.into(), protocol)
            .file_index(self.slot.destination())
            .build()
            .into()
    }

    fn ring(&self) -> Option<RingId> {
        Some(self.slot.ring())
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result()?;
        let socket = RegisteredFd::new(self.slot.fill());
        if self.kind == Type::DGRAM {
            socket.mark_datagram();
        }
        Ok(socket)
    }
}
