//! `IORING_OP_STATX`: statx(2).

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, c_path};
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// What statx(2) tells about a file.
pub type StatxBuf = libc::statx;

/// Asks for a file's metadata.
pub struct Statx {
    of: Of,
    answer: MaybeUninit<StatxBuf>,
}

enum Of {
    Path { path: CString, flags: i32 },
    File(SharedFd),
}

impl Statx {
    /// # Errors
    ///
    /// `InvalidInput` if the path holds a NUL byte.
    pub(crate) fn path(path: &Path, flags: i32) -> io::Result<Op<Self>> {
        let path = c_path(path)?;
        Ok(Self::of(Of::Path { path, flags }))
    }

    pub(crate) fn file(fd: &SharedFd) -> Op<Self> {
        Self::of(Of::File(fd.clone()))
    }

    fn of(of: Of) -> Op<Self> {
        Op::new(Statx {
            of,
            answer: MaybeUninit::zeroed(),
        })
    }
}

// SAFETY: the entry points to the path, which `self` owns on the heap (or which is static), and to `answer` inside
// `self`, which nobody reads before `complete`.
unsafe impl Operation for Statx {
    const CODE: u8 = opcode::Statx::CODE;
    const NAME: &'static str = "statx";
    type Output = io::Result<StatxBuf>;

    fn file(&self) -> Option<&SharedFd> {
        match &self.of {
            Of::Path { .. } => None,
            Of::File(fd) => Some(fd),
        }
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        const SELF: &CStr = c"";
        let (fd, path, flags) = match &self.of {
            Of::Path { path, flags } => (types::Fd(libc::AT_FDCWD), path.as_ptr(), *flags),
            Of::File(fd) => (fd.target(), SELF.as_ptr(), libc::AT_EMPTY_PATH),
        };
        opcode::Statx::new(fd, path, self.answer.as_mut_ptr().cast())
            .flags(flags)
            .mask(libc::STATX_BASIC_STATS | libc::STATX_BTIME)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result()?;
        // SAFETY: statx is plain numbers, valid when zeroed, and the kernel has filled it in.
        Ok(unsafe { self.answer.assume_init() })
    }
}

impl fmt::Debug for Statx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::Path { path, .. } => f.debug_tuple("Statx").field(path).finish(),
            Of::File(fd) => f.debug_tuple("Statx").field(fd).finish(),
        }
    }
}
