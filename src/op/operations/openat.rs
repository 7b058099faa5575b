//! `IORING_OP_OPENAT`: openat(2), relative to the working directory.

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::c_path;
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Opens a file.
#[derive(Debug)]
pub struct OpenAt {
    path: CString,
    flags: i32,
    mode: u32,
}

impl OpenAt {
    /// # Errors
    ///
    /// `InvalidInput` if the path holds a NUL byte.
    pub(crate) fn new(path: &Path, flags: i32, mode: u32) -> io::Result<Op<Self>> {
        Ok(Op::new(OpenAt {
            path: c_path(path)?,
            flags: flags | libc::O_CLOEXEC,
            mode,
        }))
    }
}

// SAFETY: the entry points to the path, which `self` owns on the heap.
unsafe impl Operation for OpenAt {
    const CODE: u8 = opcode::OpenAt::CODE;
    const NAME: &'static str = "openat";
    type Output = io::Result<OwnedFd>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.flags)
            .mode(self.mode)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        let fd = cqe.result()?;
        // SAFETY: a successful open gives us a new descriptor, and this is the only place that hears of it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}
