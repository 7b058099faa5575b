//! `IORING_OP_READV`: preadv(2).

use super::cursor::Begun;
use super::iovecs::IoVecs;
use super::read::{Place, read_result};
use super::{Completion, Entry, Op, Operation, SharedFd, Side};
use crate::buf::{BufResult, IoVectoredBufMut};
use crate::sys::{RingId, opcode};

/// Reads a file into several buffers.
#[derive(Debug)]
pub struct Readv<V> {
    fd: SharedFd,
    bufs: V,
    vecs: IoVecs,
    place: Place,
    begun: Option<Begun>,
}

impl<V: IoVectoredBufMut> Readv<V> {
    pub(crate) fn new(fd: &SharedFd, bufs: V, place: Place) -> Op<Self> {
        Op::new(Readv {
            fd: fd.clone(),
            bufs,
            vecs: IoVecs::new(),
            place,
            begun: None,
        })
    }
}

// SAFETY: the entry points to the array in `vecs`, which lies in `self` or is owned by it, and that points to the
// buffers, which `self` owns and which by the contract of `IoVectoredBufMut` stay valid and unaliased while they are
// not moved or touched; the descriptor is counted.
unsafe impl<V: IoVectoredBufMut> Operation for Readv<V> {
    const CODE: u8 = opcode::Readv::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, V>;

    fn turn(&self) -> Option<Side> {
        match self.bufs.total_capacity() {
            0 => None,
            _ => self.place.turn(Side::Read),
        }
    }

    fn early(&mut self) -> Option<i32> {
        (self.bufs.total_capacity() == 0).then_some(-libc::EINVAL)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.vecs.expect(self.bufs.buf_count());
        let vecs = &mut self.vecs;
        self.bufs.for_each_buf_mut(|ptr, len| vecs.push(ptr, len));
        self.begun = Begun::read(&self.fd, self.place);
        opcode::Readv::new(
            self.fd.target(),
            self.vecs.as_mut_ptr(),
            self.vecs.len() as u32,
        )
        .offset(self.place.offset())
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
            begun.undo(&self.fd, cqe.raw_result());
        }
    }
}
