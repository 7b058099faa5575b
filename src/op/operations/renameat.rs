//! `IORING_OP_RENAMEAT`: renameat2(2).

use std::ffi::CString;
use std::io;
use std::path::Path;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::c_path;
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Gives a file another name.
#[derive(Debug)]
pub struct RenameAt {
    from: CString,
    to: CString,
}

impl RenameAt {
    /// # Errors
    ///
    /// `InvalidInput` if a path holds a NUL byte.
    pub(crate) fn new(from: &Path, to: &Path) -> io::Result<Op<Self>> {
        Ok(Op::new(RenameAt {
            from: c_path(from)?,
            to: c_path(to)?,
        }))
    }
}

// SAFETY: the entry points to the two paths, which `self` owns on the heap.
unsafe impl Operation for RenameAt {
    const CODE: u8 = opcode::RenameAt::CODE;
    const NAME: &'static str = "renameat";
    type Output = io::Result<()>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let here = types::Fd(libc::AT_FDCWD);
        opcode::RenameAt::new(here, self.from.as_ptr(), here, self.to.as_ptr())
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
