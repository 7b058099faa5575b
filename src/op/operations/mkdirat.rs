//! `IORING_OP_MKDIRAT`: mkdirat(2).

use std::ffi::CString;
use std::io;
use std::path::Path;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::c_path;
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Makes a directory.
#[derive(Debug)]
pub struct MkdirAt {
    path: CString,
    mode: u32,
}

impl MkdirAt {
    /// # Errors
    ///
    /// `InvalidInput` if the path holds a NUL byte.
    pub(crate) fn new(path: &Path, mode: u32) -> io::Result<Op<Self>> {
        let path = c_path(path)?;
        Ok(Op::new(MkdirAt { path, mode }))
    }
}

// SAFETY: the entry points to the path, which `self` owns on the heap.
unsafe impl Operation for MkdirAt {
    const CODE: u8 = opcode::MkDirAt::CODE;
    const NAME: &'static str = "mkdirat";
    type Output = io::Result<()>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::MkDirAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .mode(self.mode)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
