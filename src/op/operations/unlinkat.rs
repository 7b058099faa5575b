//! `IORING_OP_UNLINKAT`: unlinkat(2).

use std::ffi::CString;
use std::io;
use std::path::Path;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::c_path;
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Removes a file or an empty directory.
#[derive(Debug)]
pub struct UnlinkAt {
    path: CString,
    flags: i32,
}

impl UnlinkAt {
    /// # Errors
    ///
    /// `InvalidInput` if the path holds a NUL byte.
    pub(crate) fn new(path: &Path, flags: i32) -> io::Result<Op<Self>> {
        let path = c_path(path)?;
        Ok(Op::new(UnlinkAt { path, flags }))
    }
}

// SAFETY: the entry points to the path, which `self` owns on the heap.
unsafe impl Operation for UnlinkAt {
    const CODE: u8 = opcode::UnlinkAt::CODE;
    const NAME: &'static str = "unlinkat";
    type Output = io::Result<()>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.flags)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
