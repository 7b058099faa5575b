//! `IORING_OP_CONNECT`: connect(2).

use std::io;

use socket2::SockAddr;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode};

/// Connects a socket.
#[derive(Debug)]
pub struct Connect {
    fd: SharedFd,
    /// Boxed, because it would not fit into a cell; a connect is rare and costs a hundred times as much.
    addr: Box<SockAddr>,
}

impl Connect {
    pub(crate) fn new(fd: &SharedFd, addr: SockAddr) -> Op<Self> {
        Op::new(Connect {
            fd: fd.clone(),
            addr: Box::new(addr),
        })
    }
}

// SAFETY: the entry points to the address, which `self` owns on the heap; the descriptor is counted.
unsafe impl Operation for Connect {
    const CODE: u8 = opcode::Connect::CODE;
    const NAME: &'static str = "connect";
    const BY_SLOT: bool = true;
    type Output = io::Result<()>;

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Connect::new(self.fd.target(), self.addr.as_ptr().cast(), self.addr.len())
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
