//! `IORING_OP_READ`: pread(2), and read(2) of files that have no position.

use std::io;
use std::task::{Context, Poll};

use super::context::registered_slot;
use super::fd::Side;
use super::{Admission, Completion, Entry, Op, Operation, SharedFd};
use crate::buf::{BufResult, IoBufMut};
use crate::sys::opcode;

/// What the kernel transfers in one call at most (`MAX_RW_COUNT`).
const LEN_MAX: usize = 0x7fff_f000;

/// The offset that stands for a file's own position.
pub(crate) const CURRENT: u64 = u64::MAX;

/// A length as an entry holds it. What is beyond is left for the next call: reads and writes may end short.
#[inline]
pub(super) fn len_u32(len: usize) -> u32 {
    len.min(LEN_MAX) as u32
}

/// How a read answers: an empty buffer is told apart from the end of the file.
#[inline]
pub(super) fn read_result(cqe: Completion, capacity: usize) -> io::Result<usize> {
    match cqe.result() {
        Ok(n) => Ok(n as usize),
        Err(_) if capacity == 0 && cqe.raw_result() == -libc::EINVAL => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the buffer has no room to read into: give it a capacity, as in Vec::with_capacity(4096)",
        )),
        Err(error) => Err(error),
    }
}

/// Reads a file.
#[derive(Debug)]
pub struct Read<B> {
    fd: SharedFd,
    buf: B,
    offset: u64,
}

impl<B: IoBufMut> Read<B> {
    /// Reads at `offset`; [`CURRENT`] reads a file without positions, such as a pipe: in turn, and what arrives for
    /// a read that was dropped is kept for the next.
    pub(crate) fn new(fd: &SharedFd, buf: B, offset: u64) -> Op<Self> {
        let fd = fd.clone();
        Op::new(Read { fd, buf, offset })
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBufMut` stays valid and
// unaliased while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBufMut> Operation for Read<B> {
    const CODE: u8 = opcode::Read::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        if self.buf.buf_capacity() == 0 {
            return Poll::Ready(Admission::Answered(-libc::EINVAL));
        }
        if self.offset != CURRENT {
            self.fd.note_use();
            return Poll::Ready(Admission::Submit);
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

    fn has_late(&self) -> bool {
        self.offset == CURRENT && self.fd.has_late()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        let len = len_u32(self.buf.buf_capacity());
        let slot = registered_slot(&self.buf);
        let (fd, start) = (self.fd.target(), self.buf.buf_mut_ptr());
        match slot {
            None => opcode::Read::new(fd, start, len)
                .offset(self.offset)
                .build(),
            // The kernel checks that the range is in the slot's memory.
            Some(slot) => opcode::ReadFixed::new(fd, start, len, slot)
                .offset(self.offset)
                .build(),
        }
        .into()
    }

    fn complete(mut self, cqe: Completion) -> Self::Output {
        let result = read_result(cqe, self.buf.buf_capacity());
        if let Ok(n) = result {
            // SAFETY: the kernel has written the first n bytes, and n is at most the length it was given.
            unsafe { self.buf.set_filled(n) };
        }
        (result, self.buf)
    }

    fn abandon(self, cqe: Completion) {
        let fd = (self.offset == CURRENT).then(|| self.fd.clone());
        let (result, buf) = self.complete(cqe);
        if let (Some(fd), Ok(n @ 1..)) = (fd, result) {
            // SAFETY: the buffer holds at least the n bytes that were just filled.
            let bytes = unsafe { std::slice::from_raw_parts(buf.buf_ptr(), n) };
            fd.keep_bytes(bytes, None);
        }
    }

    fn leave(&mut self, _cqe: Completion) {
        if self.offset == CURRENT {
            self.fd.end_turn(Side::Read);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::buf::IoBuf;
    use crate::driver::PoolConfig;
    use crate::op::{Driver, FixedBufPool, enter};
    use crate::sys::{RingConfig, RingDials, Setup};

    fn driver() -> Rc<Driver> {
        let ring = RingConfig {
            entries: 8,
            completions: 8,
            setup: Setup::default(),
            dials: RingDials::default(),
        };
        let pool = PoolConfig {
            buffer_size: 64,
            buffers: 1,
            groups_max: 1,
        };
        Rc::new(Driver::new(&ring, pool).unwrap())
    }

    #[test]
    fn registered_buffers_and_their_slices_go_by_the_fixed_operation() {
        let fd = SharedFd::new(std::fs::File::open("Cargo.toml").unwrap().into());
        let is =
            |entry: Entry, code: u8| format!("{entry:?}").contains(&format!("op_code: {code},"));
        let (driver, other) = (driver(), driver());
        let entered = enter(&driver);
        let pool = FixedBufPool::new(1, 64).unwrap();
        if !pool.is_registered() {
            return; // Before 5.19.
        }
        let buf = pool.try_take().unwrap();
        let mut read = Read {
            fd: fd.clone(),
            buf,
            offset: 0,
        };
        assert!(is(read.prepare(), opcode::ReadFixed::CODE));
        let buf = read.buf.slice(..10);
        let mut read = Read { fd, buf, offset: 0 };
        assert!(is(read.prepare(), opcode::ReadFixed::CODE));
        // To another ring it is an ordinary buffer.
        let entered_other = enter(&other);
        assert!(is(read.prepare(), opcode::Read::CODE));
        drop(entered_other);
        drop(entered);
    }
}
