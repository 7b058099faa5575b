//! `IORING_OP_RECV`: recv(2).

use std::task::{Context, Poll};

use super::fd::Side;
use super::read::{len_u32, read_result};
use super::{Admission, Completion, Entry, Op, Operation, SharedFd};
use crate::buf::{BufResult, IoBufMut};
use crate::sys::{features, opcode};

/// Do not try before there is data: `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1 << 0;

/// Receives from a connected socket.
///
/// Receives on one socket take turns. What arrives for one that was dropped is kept for the next.
#[derive(Debug)]
pub struct Recv<B> {
    fd: SharedFd,
    buf: B,
}

impl<B: IoBufMut> Recv<B> {
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        let fd = fd.clone();
        Op::new(Recv { fd, buf })
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBufMut` stays valid and
// unaliased while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBufMut> Operation for Recv<B> {
    const CODE: u8 = opcode::Recv::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    #[inline]
    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        if self.buf.buf_capacity() == 0 {
            return Poll::Ready(Admission::Answered(-libc::EINVAL));
        }
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        let buf = &mut self.buf;
        match self.fd.late_bytes(false, |late, _| buf.fill_from(late)) {
            Some(n) => {
                self.fd.end_turn(Side::Read);
                Poll::Ready(Admission::Answered(n as i32))
            }
            None => Poll::Ready(Admission::Submit),
        }
    }

    #[inline]
    fn has_late(&self) -> bool {
        self.fd.has_late()
    }

    #[inline]
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        let len = len_u32(self.buf.buf_capacity());
        let entry =
            Entry::from(opcode::Recv::new(self.fd.target(), self.buf.buf_mut_ptr(), len).build());
        if self.fd.is_drained() && features().poll_first() {
            entry.with_ioprio(POLL_FIRST)
        } else {
            entry
        }
    }

    #[inline]
    fn complete(mut self, cqe: Completion) -> Self::Output {
        let result = read_result(cqe, self.buf.buf_capacity());
        if let Ok(n) = result {
            // SAFETY: the kernel (or `admit`) has written the first n bytes, and n is at most the capacity.
            unsafe { self.buf.set_filled(n) };
        }
        (result, self.buf)
    }

    fn abandon(self, cqe: Completion) {
        let fd = self.fd.clone();
        let (result, buf) = self.complete(cqe);
        let Ok(n) = result else { return };
        // Nothing from a stream is its end, which comes again.
        if n > 0 || fd.is_datagram() {
            // SAFETY: the buffer holds at least the n bytes that were just filled.
            let bytes = unsafe { std::slice::from_raw_parts(buf.buf_ptr(), n) };
            fd.keep_bytes(bytes, None);
        }
    }

    #[inline]
    fn leave(&mut self, cqe: Completion) {
        self.fd.note_receive(cqe);
        self.fd.end_turn(Side::Read);
    }
}
