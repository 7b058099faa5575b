//! `IORING_OP_RECV`: recv(2).

use std::io;

use super::late::Order;
use super::read::{len_u32, read_result};
use super::{Completion, Entry, Op, Operation, SharedFd, Side};
use crate::buf::{BufResult, IoBufMut};
use crate::sys::{RingId, features, opcode};

/// Do not try before there is data: `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1 << 0;

/// Receives from a connected socket.
///
/// Receives on one socket take turns. What arrives for one that was dropped is kept for the next.
#[derive(Debug)]
pub struct Recv<B> {
    fd: SharedFd,
    /// Its number among the reads of the socket, once the kernel has it.
    order: Option<Order>,
    buf: B,
}

impl<B: IoBufMut> Recv<B> {
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        Op::new(Recv {
            fd: fd.clone(),
            order: None,
            buf,
        })
    }

    /// What the kernel (or `early`) has put into the buffer.
    fn fill(&mut self, cqe: Completion) -> io::Result<usize> {
        let n = read_result(cqe, self.buf.buf_capacity())?;
        // SAFETY: the first n bytes were written, and n is at most the capacity.
        unsafe { self.buf.set_filled(n) };
        Ok(n)
    }

    /// Leaves what came to the next read.
    #[cold]
    fn keep(&mut self, order: Order, cqe: Completion) {
        match self.fill(cqe) {
            // Nothing from a stream is its end, which comes again.
            Ok(n) if n > 0 || self.fd.is_datagram() => {
                // SAFETY: the buffer holds at least the n bytes that were just filled.
                let bytes = unsafe { std::slice::from_raw_parts(self.buf.buf_ptr(), n) };
                self.fd.keep_bytes(order, bytes.to_vec());
            }
            Ok(_) => {}
            Err(_) => self.fd.keep_error(order, cqe.raw_result()),
        }
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBufMut` stays valid and
// unaliased while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBufMut> Operation for Recv<B> {
    const CODE: u8 = opcode::Recv::CODE;
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = BufResult<usize, B>;

    /// None for a buffer without room, which is refused at once.
    #[inline]
    fn turn(&self) -> Option<Side> {
        (self.buf.buf_capacity() > 0).then_some(Side::Read)
    }

    #[inline]
    fn early(&mut self) -> Option<i32> {
        // It may have been with the kernel before, and begin anew.
        self.order = None;
        if self.buf.buf_capacity() == 0 {
            return Some(-libc::EINVAL);
        }
        let buf = &mut self.buf;
        self.fd.late_bytes(false, |late, _, _| buf.fill_from(late))
    }

    #[inline]
    fn has_late(&self) -> bool {
        self.fd.has_late()
    }

    #[inline]
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.order = Some(self.fd.next_read());
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
    fn complete(mut self, mut cqe: Completion) -> Self::Output {
        if let Some(order) = self.order {
            self.fd.note_receive(cqe);
            cqe = self.fd.or_write_error(cqe);
            if self.fd.has_late_before(order) {
                // A read before this one was dropped after it had been answered: this one gets what came first.
                self.keep(order, cqe);
                cqe = Completion::new(0, self.early().unwrap_or(0), 0);
            }
        }
        (self.fill(cqe), self.buf)
    }

    fn abandon(mut self, cqe: Completion) {
        if let Some(order) = self.order {
            self.fd.note_receive(cqe);
            self.keep(order, cqe);
        }
    }
}
