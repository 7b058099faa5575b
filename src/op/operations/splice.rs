//! `IORING_OP_SPLICE`: splice(2), always carried out by a thread of the kernel.

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{CURRENT, SharedFd, Side};
use crate::sys::{Completion, Entry, RingId, opcode};

/// A full pipe is waited for by a poll of ours, which occupies no thread. (Sockets do not heed it: what they wait for is
/// up to their own `O_NONBLOCK`, which is off.)
const FLAGS: u32 = libc::SPLICE_F_NONBLOCK;

/// Moves bytes between a pipe and something else.
#[derive(Debug)]
pub(crate) struct Splice {
    pipe: SharedFd,
    /// The pipe's other end, which is not closed before this is over: the kernel holds a lock of the pipe while it waits for
    /// `other`, and a close waits for that.
    _end: SharedFd,
    other: SharedFd,
    /// In `other`; [`CURRENT`] if that is a stream, which is read and written in turn.
    offset: u64,
    len: u32,
    side: Side,
}

impl Splice {
    /// `pipe` is the end that is used, and the other.
    ///
    /// From `other` into the writing end of a pipe, which has room for `len` bytes. What is stashed for a read of
    /// `other` goes first.
    pub(crate) fn read(other: &SharedFd, offset: u64, pipe: [&SharedFd; 2], len: u32) -> Op<Self> {
        Self::op(other, offset, pipe, len, Side::Read)
    }

    /// From the reading end of a pipe to `other`.
    pub(crate) fn write(pipe: [&SharedFd; 2], other: &SharedFd, offset: u64, len: u32) -> Op<Self> {
        Self::op(other, offset, pipe, len, Side::Write)
    }

    fn op(
        other: &SharedFd,
        offset: u64,
        [pipe, end]: [&SharedFd; 2],
        len: u32,
        side: Side,
    ) -> Op<Self> {
        Op::new(Splice {
            pipe: pipe.clone(),
            _end: end.clone(),
            other: other.clone(),
            offset,
            len,
            side,
        })
    }

    /// Puts stashed bytes into the pipe.
    fn take_stashed(&self) -> Option<i32> {
        let most = self.len as usize;
        let mut failed = None;
        let taken = self.other.stashed_bytes(false, |bytes, _, _| {
            // There is room, so this does not block.
            let written = rustix::io::write(&self.pipe, &bytes[..bytes.len().min(most)]);
            written.unwrap_or_else(|error| {
                failed = Some(-error.raw_os_error());
                0
            })
        })?;
        // What went wrong with the pipe, or an error that was stashed.
        Some(failed.unwrap_or(taken))
    }
}

// SAFETY: the entry points to nothing; both descriptors are counted.
unsafe impl Operation for Splice {
    const CODE: u8 = opcode::Splice::CODE;
    const NAME: &'static str = "splice";
    type Output = io::Result<u32>;

    fn turn(&self) -> Option<Side> {
        (self.offset == CURRENT).then_some(self.side)
    }

    fn early(&mut self) -> Option<i32> {
        match self.side {
            Side::Read if self.offset == CURRENT => self.take_stashed(),
            _ => None,
        }
    }

    fn has_stashed(&self) -> bool {
        self.offset == CURRENT && self.side == Side::Read && self.other.has_stashed()
    }

    /// The pipe is nobody's but the splice's.
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.other)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let (pipe, other) = (self.pipe.target(), self.other.target());
        let offset = self.offset as i64;
        match self.side {
            Side::Read => opcode::Splice::new(other, offset, pipe, -1, self.len),
            Side::Write => opcode::Splice::new(pipe, -1, other, offset, self.len),
        }
        .flags(FLAGS)
        .build()
        .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result()
    }
}
