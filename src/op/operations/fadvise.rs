//! `IORING_OP_FADVISE`: posix_fadvise(2).

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode};

/// No file has a byte here or behind it.
const FILE_END: u64 = i64::MAX as u64;

/// What 32 bits of an entry hold of a length, in whole pages, however large these are.
const LEN_MAX: u64 = 0xffff_0000;

/// Tells the kernel how a part of a file will be used.
#[derive(Debug)]
pub struct Fadvise {
    fd: SharedFd,
    offset: u64,
    /// What no file can have is not counted.
    len: u64,
    advice: i32,
}

impl Fadvise {
    /// A length of 0 is no byte at all, and not, as to the kernel, all to the end.
    pub(crate) fn new(fd: &SharedFd, offset: u64, len: u64, advice: i32) -> Op<Self> {
        Op::new(Fadvise {
            fd: fd.clone(),
            offset,
            len: len.min(FILE_END.saturating_sub(offset)),
            advice,
        })
    }

    fn reaches_the_end(&self) -> bool {
        self.offset.saturating_add(self.len) >= FILE_END
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for Fadvise {
    const CODE: u8 = opcode::Fadvise::CODE;
    const NAME: &'static str = "fadvise";
    const BY_SLOT: bool = true;
    type Output = io::Result<()>;

    /// No bytes, no advice. The kernel would take it for one about all to the end, and an offset that no file has for one
    /// near the beginning.
    fn early(&mut self) -> Option<i32> {
        (self.len == 0).then_some(0)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let len = match self.reaches_the_end() {
            true => 0,
            false => self.len.min(LEN_MAX),
        };
        opcode::Fadvise::new(self.fd.target(), len as libc::off_t, self.advice)
            .offset(self.offset)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
