//! `IORING_OP_OPENAT` into the ring's own table.

use std::ffi::CString;
use std::io;
use std::path::Path;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{RegisteredFd, Slot, c_path};
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Opens a file as a direct descriptor; made by [`Registry::open`](crate::op::Registry::open).
#[derive(Debug)]
pub struct OpenDirect {
    path: CString,
    flags: i32,
    mode: u32,
    slot: Slot,
}

impl OpenDirect {
    pub(in crate::op) fn new(
        path: &Path,
        flags: i32,
        mode: u32,
        slot: Slot,
    ) -> io::Result<Op<Self>> {
        Ok(Op::new(OpenDirect {
            path: c_path(path)?,
            // What is in no table of descriptors cannot be inherited, and the kernel refuses the flag.
            flags: flags & !libc::O_CLOEXEC,
            mode,
            slot,
        }))
    }
}

// SAFETY: the entry points to the path, which `self` owns on the heap.
unsafe impl Operation for OpenDirect {
    const CODE: u8 = opcode::OpenAt::CODE;
    const NAME: &'static str = "openat";
    type Output = io::Result<RegisteredFd>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.flags)
            .mode(self.mode)
            .file_index(self.slot.destination())
            .build()
            .into()
    }

    fn ring(&self) -> Option<RingId> {
        Some(self.slot.ring())
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result()?;
        Ok(RegisteredFd::new(self.slot.fill()))
    }
}
