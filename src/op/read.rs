//! `IORING_OP_READ`: pread(2), and read(2) of files that have no position.

use std::io;

use super::cursor::Begun;
use super::fixed_buf::registered_slot;
use super::late::Order;
use super::{Completion, Entry, Op, Operation, SharedFd, Side};
use crate::buf::{BufResult, IoBufMut};
use crate::sys::{RingId, opcode};

/// What the kernel transfers in one call at most (`MAX_RW_COUNT`).
const LEN_MAX: usize = 0x7fff_f000;

/// The offset that stands for a file's own position.
pub(crate) const CURRENT: u64 = u64::MAX;

/// Where a file is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this offset, at any time.
    At(u64),
    /// At the position that the file has, for everybody who shares it; that is moved. In turn with other reads and writes
    /// there.
    Cursor,
    /// It has no positions: in turn with other reads, or with other writes.
    Stream,
}

impl Place {
    pub(super) fn offset(self) -> u64 {
        match self {
            Place::At(offset) => offset,
            Place::Cursor | Place::Stream => CURRENT,
        }
    }

    /// The turn of an operation of this side.
    pub(super) fn turn(self, side: Side) -> Option<Side> {
        match self {
            Place::At(_) => None,
            // Reads and writes move the same position.
            Place::Cursor => Some(Side::Read),
            Place::Stream => Some(side),
        }
    }
}

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
    /// Its number among the reads of a stream, once the kernel has it.
    order: Option<Order>,
    buf: B,
    place: Place,
    begun: Option<Begun>,
}

impl<B: IoBufMut> Read<B> {
    /// What arrives for a read of a stream that was dropped is kept for the next; one by cursor that was dropped moves that
    /// back.
    pub(crate) fn new(fd: &SharedFd, buf: B, place: Place) -> Op<Self> {
        Op::new(Read {
            fd: fd.clone(),
            order: None,
            buf,
            place,
            begun: None,
        })
    }

    /// What the kernel (or `early`) has put into the buffer.
    fn fill(&mut self, cqe: Completion) -> io::Result<usize> {
        let n = read_result(cqe, self.buf.buf_capacity())?;
        // SAFETY: the first n bytes were written, and n is at most the length that was given.
        unsafe { self.buf.set_filled(n) };
        Ok(n)
    }

    /// Leaves what came to the next read.
    #[cold]
    fn keep(&mut self, order: Order, cqe: Completion) {
        match self.fill(cqe) {
            Ok(0) => {}
            Ok(n) => {
                // SAFETY: the buffer holds at least the n bytes that were just filled.
                let bytes = unsafe { std::slice::from_raw_parts(self.buf.buf_ptr(), n) };
                self.fd.keep_bytes(order, bytes.to_vec());
            }
            Err(_) => self.fd.keep_error(order, cqe.raw_result()),
        }
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBufMut` stays valid and
// unaliased while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBufMut> Operation for Read<B> {
    const CODE: u8 = opcode::Read::CODE;
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = BufResult<usize, B>;

    fn turn(&self) -> Option<Side> {
        match self.buf.buf_capacity() {
            0 => None,
            _ => self.place.turn(Side::Read),
        }
    }

    fn early(&mut self) -> Option<i32> {
        // It may have been with the kernel before, and begin anew.
        self.order = None;
        if self.buf.buf_capacity() == 0 {
            return Some(-libc::EINVAL);
        }
        if self.place != Place::Stream {
            self.fd.note_use();
            return None;
        }
        let buf = &mut self.buf;
        self.fd.late_bytes(false, |late, _, _| buf.fill_from(late))
    }

    fn has_late(&self) -> bool {
        self.place == Place::Stream && self.fd.has_late()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, ring: RingId) -> Entry {
        if self.place == Place::Stream {
            self.order = Some(self.fd.next_read());
        }
        self.begun = Begun::read(&self.fd, self.place);
        let len = len_u32(self.buf.buf_capacity());
        let slot = registered_slot(&self.buf, ring);
        let (fd, start) = (self.fd.target(), self.buf.buf_mut_ptr());
        match slot {
            None => opcode::Read::new(fd, start, len)
                .offset(self.place.offset())
                .build(),
            // The kernel checks that the range is in the slot's memory.
            Some(slot) => opcode::ReadFixed::new(fd, start, len, slot)
                .offset(self.place.offset())
                .build(),
        }
        .into()
    }

    fn complete(mut self, mut cqe: Completion) -> Self::Output {
        if let Some(order) = self.order
            && self.fd.has_late_before(order)
        {
            // A read before this one was dropped after it had been answered: this one gets what came first.
            self.keep(order, cqe);
            cqe = Completion::new(0, self.early().unwrap_or(0), 0);
        }
        (self.fill(cqe), self.buf)
    }

    fn abandon(mut self, cqe: Completion) {
        if let Some(order) = self.order {
            self.keep(order, cqe);
        } else if let Some(begun) = self.begun {
            begun.undo(&self.fd, cqe.raw_result());
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
    use crate::sys::{RingConfig, RingTuning, Setup};

    fn driver() -> Rc<Driver> {
        let ring = RingConfig {
            entries: 8,
            completions: 8,
            setup: Setup::default(),
            tuning: RingTuning::default(),
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
            order: None,
            buf,
            place: Place::At(0),
            begun: None,
        };
        assert!(is(read.prepare(driver.id()), opcode::ReadFixed::CODE));
        let buf = read.buf.slice(..10);
        let mut read = Read {
            fd,
            order: None,
            buf,
            place: Place::At(0),
            begun: None,
        };
        assert!(is(read.prepare(driver.id()), opcode::ReadFixed::CODE));
        // To another ring it is an ordinary buffer.
        assert!(is(read.prepare(other.id()), opcode::Read::CODE));
        drop(entered);
    }
}
