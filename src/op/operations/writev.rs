//! `IORING_OP_WRITEV`: pwritev(2).

use crate::buf::{BufResult, IoVectoredBuf};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{IoVecs, Position, SharedFd, Side, byte_count};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Writes several buffers to a file.
#[derive(Debug)]
pub struct Writev<V> {
    fd: SharedFd,
    bufs: V,
    vecs: IoVecs,
    position: Position,
}

impl<V: IoVectoredBuf> Writev<V> {
    pub(crate) fn new(fd: &SharedFd, bufs: V, position: Position) -> Op<Self> {
        Op::new(Writev {
            fd: fd.clone(),
            bufs,
            vecs: IoVecs::new(),
            position,
        })
    }
}

// SAFETY: the entry points to the array in `vecs`, which lies in `self` or is owned by it, and that points to the
// buffers, which `self` owns and which by the contract of `IoVectoredBuf` stay valid and unchanged while they are not
// moved or touched; the descriptor is counted.
unsafe impl<V: IoVectoredBuf> Operation for Writev<V> {
    const CODE: u8 = opcode::Writev::CODE;
    const NAME: &'static str = "writev";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, V>;

    fn turn(&self) -> Option<Side> {
        self.position.turn(Side::Write)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.vecs.show(&self.bufs, 0);
        self.fd.begin_write(self.position);
        opcode::Writev::new(
            self.fd.target(),
            self.vecs.as_mut_ptr(),
            self.vecs.len() as u32,
        )
        .offset(self.position.offset())
        .build()
        .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (byte_count(cqe), self.bufs)
    }
}
