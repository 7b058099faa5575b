//! `IORING_OP_READ`: pread(2), and read(2) of files that have no position.

use crate::buf::{BufResult, IoBufMut};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{Begun, Position, ReadInto, SharedFd, Side, len_u32, registered_slot};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Reads a file.
#[derive(Debug)]
pub struct Read<B> {
    into: ReadInto<B>,
    position: Position,
    begun: Option<Begun>,
}

impl<B: IoBufMut> Read<B> {
    /// What arrives for a read of a stream that was dropped is stashed for the next; one by cursor that was dropped moves that
    /// back.
    pub(crate) fn new(fd: &SharedFd, buf: B, position: Position) -> Op<Self> {
        Op::new(Self::with(fd, buf, position))
    }

    fn with(fd: &SharedFd, buf: B, position: Position) -> Self {
        Read {
            into: ReadInto::new(fd, buf),
            position,
            begun: None,
        }
    }

    fn is_of_stream(&self) -> bool {
        self.position == Position::Stream
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBufMut` stays valid and
// unaliased while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBufMut> Operation for Read<B> {
    const CODE: u8 = opcode::Read::CODE;
    const NAME: &'static str = "read";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = BufResult<usize, B>;

    fn turn(&self) -> Option<Side> {
        match self.into.has_room() {
            true => self.position.turn(Side::Read),
            false => None,
        }
    }

    fn early(&mut self) -> Option<i32> {
        if !self.is_of_stream() && self.into.has_room() {
            self.into.fd.note_use();
        }
        self.into.early(self.is_of_stream())
    }

    fn has_stashed(&self) -> bool {
        self.is_of_stream() && self.into.fd.has_stashed()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.into.fd)
    }

    fn prepare(&mut self, ring: RingId) -> Entry {
        if self.is_of_stream() {
            self.into.begin();
        }
        let ReadInto { fd, buf, .. } = &mut self.into;
        self.begun = fd.begin_read(self.position);
        let len = len_u32(buf.buf_capacity());
        let slot = registered_slot(buf, ring);
        let (fd, start) = (fd.target(), buf.buf_mut_ptr());
        match slot {
            None => opcode::Read::new(fd, start, len)
                .offset(self.position.offset())
                .build(),
            // The kernel checks that the range is in the slot's memory.
            Some(slot) => opcode::ReadFixed::new(fd, start, len, slot)
                .offset(self.position.offset())
                .build(),
        }
        .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        self.into.complete(cqe)
    }

    fn abandon(mut self, cqe: Completion) {
        self.into.stash(cqe);
        if let Some(begun) = self.begun {
            self.into.fd.undo_read(begun, cqe.raw_result());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::buf::IoBuf;
    use crate::driver::PoolConfig;
    use crate::op::context::{Driver, enter};
    use crate::op::resource::FixedBufPool;
    use crate::sys::{Backend, RingConfig};

    fn driver() -> Rc<Driver> {
        let ring = RingConfig {
            backend: Backend::IoUring,
            entries: 8,
            completions: 8,
            ..RingConfig::default()
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
        let mut read = Read::with(&fd, buf, Position::At(0));
        assert!(is(read.prepare(driver.id()), opcode::ReadFixed::CODE));
        let buf = read.into.buf.slice(..10);
        let mut read = Read::with(&fd, buf, Position::At(0));
        assert!(is(read.prepare(driver.id()), opcode::ReadFixed::CODE));
        // To another ring it is an ordinary buffer.
        assert!(is(read.prepare(other.id()), opcode::Read::CODE));
        drop(entered);
    }
}
