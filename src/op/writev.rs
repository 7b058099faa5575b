//! `IORING_OP_WRITEV`: pwritev(2).

use super::cursor::Begun;
use super::iovecs::IoVecs;
use super::read::Place;
use super::{Completion, Entry, Op, Operation, SharedFd, Side};
use crate::buf::{BufResult, IoVectoredBuf};
use crate::sys::{RingId, opcode};

/// Writes several buffers to a file.
#[derive(Debug)]
pub struct Writev<V> {
    fd: SharedFd,
    bufs: V,
    vecs: IoVecs,
    place: Place,
}

impl<V: IoVectoredBuf> Writev<V> {
    pub(crate) fn new(fd: &SharedFd, bufs: V, place: Place) -> Op<Self> {
        Op::new(Writev {
            fd: fd.clone(),
            bufs,
            vecs: IoVecs::new(),
            place,
        })
    }
}

// SAFETY: the entry points to the array in `vecs`, which lies in `self` or is owned by it, and that points to the
// buffers, which `self` owns and which by the contract of `IoVectoredBuf` stay valid and unchanged while they are not
// moved or touched; the descriptor is counted.
unsafe impl<V: IoVectoredBuf> Operation for Writev<V> {
    const CODE: u8 = opcode::Writev::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, V>;

    fn turn(&self) -> Option<Side> {
        self.place.turn(Side::Write)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.vecs.expect(self.bufs.buf_count());
        let vecs = &mut self.vecs;
        // The kernel only reads what it is shown for a write.
        self.bufs
            .for_each_buf(|ptr, len| vecs.push(ptr.cast_mut(), len));
        Begun::write(&self.fd, self.place);
        opcode::Writev::new(
            self.fd.target(),
            self.vecs.as_mut_ptr(),
            self.vecs.len() as u32,
        )
        .offset(self.place.offset())
        .build()
        .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.bufs)
    }
}
