//! What reads and writes have in common: lengths, and a buffer into which something arrives.

use std::io;

use super::fd::Order;
use super::fd::SharedFd;
use crate::buf::{BufResult, IoBufMut, bytes};
use crate::sys::{Completion, ELAPSED, counts_sends};

/// What the kernel transfers in one call at most (`MAX_RW_COUNT`).
const LEN_MAX: usize = 0x7fff_f000;

/// A length as an entry holds it. What is beyond is left for the next call: reads and writes may end short.
#[inline]
pub(in crate::op) fn len_u32(len: usize) -> u32 {
    len.min(LEN_MAX) as u32
}

/// The number of bytes that an answer tells.
#[inline]
pub(in crate::op) fn byte_count(cqe: Completion) -> io::Result<usize> {
    cqe.result().map(|n| n as usize)
}

/// The number of bytes of an operation that was given to the kernel in parts, and had done so many before the last. One that was
/// cancelled then tells of those.
#[inline]
pub(in crate::op) fn byte_count_after(done: usize, cqe: Completion) -> io::Result<usize> {
    match cqe.raw_result() {
        ELAPSED | CANCELLED if done > 0 => Ok(done),
        _ => byte_count(cqe).map(|n| done + n),
    }
}

/// The flags of a send as the kernel gets them: where it loses count of what it sends in several steps, it takes one at a time.
#[inline]
pub(in crate::op) fn send_flags(flags: i32) -> i32 {
    match counts_sends() {
        true => flags,
        false => flags & !libc::MSG_WAITALL,
    }
}

const CANCELLED: i32 = -libc::ECANCELED;

/// How a read answers: an empty buffer is told apart from the end of the file.
#[inline]
pub(in crate::op) fn read_result(cqe: Completion, capacity: usize) -> io::Result<usize> {
    match byte_count(cqe) {
        Err(_) if capacity == 0 && cqe.raw_result() == -libc::EINVAL => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the buffer has no room to read into: give it a capacity, as in Vec::with_capacity(4096)",
        )),
        result => result,
    }
}

/// A buffer into which something arrives from a descriptor. What arrives for a read of a stream that was dropped is stashed
/// for the next.
#[derive(Debug)]
pub(in crate::op) struct ReadInto<B> {
    pub(in crate::op) fd: SharedFd,
    /// Its number among the reads of a stream, once the kernel has it.
    order: Option<Order>,
    pub(in crate::op) buf: B,
}

impl<B: IoBufMut> ReadInto<B> {
    pub(in crate::op) fn new(fd: &SharedFd, buf: B) -> Self {
        ReadInto {
            fd: fd.clone(),
            order: None,
            buf,
        }
    }

    /// Whether the buffer can take anything. A read without room is refused at once.
    #[inline]
    pub(in crate::op) fn has_room(&self) -> bool {
        self.buf.buf_capacity() > 0
    }

    /// The kernel gets it now, as the next read of a stream.
    #[inline]
    pub(in crate::op) fn begin(&mut self) {
        self.order = Some(self.fd.next_read());
    }

    /// Whether the kernel had it, as a read of a stream.
    #[inline]
    pub(in crate::op) fn has_begun(&self) -> bool {
        self.order.is_some()
    }

    /// Answers it without the kernel, out of the stash if it is a read of a `stream`.
    #[inline]
    pub(in crate::op) fn early(&mut self, stream: bool) -> Option<i32> {
        // It may have been with the kernel before, and begin anew.
        self.order = None;
        if !self.has_room() {
            return Some(-libc::EINVAL);
        }
        if !stream {
            return None;
        }
        let buf = &mut self.buf;
        self.fd
            .stashed_bytes(false, |bytes, _, _| buf.fill_from(bytes))
    }

    /// What the kernel (or `early`) has put into the buffer.
    #[inline]
    fn fill(&mut self, cqe: Completion) -> io::Result<usize> {
        let n = read_result(cqe, self.buf.buf_capacity())?;
        // SAFETY: the first n bytes were written, and n is at most the length that was given, which is the capacity's.
        unsafe { self.buf.set_filled(n) };
        Ok(n)
    }

    /// The answer: what the kernel has written, or what was stashed before.
    #[inline]
    pub(in crate::op) fn complete(mut self, mut cqe: Completion) -> BufResult<usize, B> {
        if let Some(order) = self.order {
            if self.fd.has_stashed_before(order) {
                // A read before this one was dropped after it had been answered: this one gets what came first.
                self.stash(cqe);
                cqe = Completion::new(0, self.early(true).unwrap_or(0), 0);
            }
        }
        (self.fill(cqe), self.buf)
    }

    /// Leaves what came to the next read, if this is one of a stream.
    #[cold]
    pub(in crate::op) fn stash(&mut self, cqe: Completion) {
        let Some(order) = self.order else { return };
        match self.fill(cqe) {
            // Nothing from a stream is its end, which comes again.
            Ok(n) if n > 0 || self.fd.is_datagram() => {
                self.fd.stash_bytes(order, &bytes(&self.buf)[..n]);
            }
            Ok(_) => {}
            Err(_) => self.fd.stash_error(order, cqe.raw_result()),
        }
    }
}
