//! `IORING_OP_READV`: preadv(2).

use crate::buf::{BufResult, IoVectoredBufMut};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{Begun, IoVecs, Position, SharedFd, Side, read_result};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Reads a file into several buffers.
#[derive(Debug)]
pub struct Readv<V> {
    fd: SharedFd,
    bufs: V,
    vecs: IoVecs,
    position: Position,
    begun: Option<Begun>,
}

impl<V: IoVectoredBufMut> Readv<V> {
    pub(crate) fn new(fd: &SharedFd, bufs: V, position: Position) -> Op<Self> {
        Op::new(Readv {
            fd: fd.clone(),
            bufs,
            vecs: IoVecs::new(),
            position,
            begun: None,
        })
    }
}

// SAFETY: the entry points to the array in `vecs`, which lies in `self` or is owned by it, and that points to the
// buffers, which `self` owns and which by the contract of `IoVectoredBufMut` stay valid and unaliased while they are
// not moved or touched; the descriptor is counted.
unsafe impl<V: IoVectoredBufMut> Operation for Readv<V> {
    const CODE: u8 = opcode::Readv::CODE;
    const NAME: &'static str = "readv";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, V>;

    fn turn(&self) -> Option<Side> {
        match self.bufs.total_capacity() {
            0 => None,
            _ => self.position.turn(Side::Read),
        }
    }

    fn early(&mut self) -> Option<i32> {
        (self.bufs.total_capacity() == 0).then_some(-libc::EINVAL)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.vecs.show_room(&mut self.bufs);
        self.begun = self.fd.begin_read(self.position);
        opcode::Readv::new(
            self.fd.target(),
            self.vecs.as_mut_ptr(),
            self.vecs.len() as u32,
        )
        .offset(self.position.offset())
        .build()
        .into()
    }

    fn complete(mut self, cqe: Completion) -> Self::Output {
        let result = read_result(cqe, self.bufs.total_capacity());
        if let Ok(n) = result {
            // SAFETY: the kernel has written the first n bytes of the buffers taken together.
            unsafe { self.bufs.set_filled(n) };
        }
        (result, self.bufs)
    }

    fn abandon(self, cqe: Completion) {
        if let Some(begun) = self.begun {
            self.fd.undo_read(begun, cqe.raw_result());
        }
    }
}
