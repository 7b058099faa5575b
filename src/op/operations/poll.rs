//! `IORING_OP_POLL_ADD`: poll(2), once.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use crate::buf::BufResult;
use crate::op::mechanism::{Op, Operation};
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// What a descriptor is ready for: the bits of poll(2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Readiness(i16);

impl Readiness {
    /// Reading does not block.
    pub const READABLE: Readiness = Readiness(libc::POLLIN);
    /// Writing does not block.
    pub const WRITABLE: Readiness = Readiness(libc::POLLOUT);
    /// There is urgent data.
    pub const PRIORITY: Readiness = Readiness(libc::POLLPRI);

    /// Both.
    pub const fn or(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    pub const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the descriptor has an error to tell (`POLLERR`).
    pub const fn is_error(self) -> bool {
        self.0 & libc::POLLERR != 0
    }

    /// Whether the other side has hung up (`POLLHUP`).
    pub const fn is_hang_up(self) -> bool {
        self.0 & libc::POLLHUP != 0
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readiness({:#x})", self.0)
    }
}

/// Waits until a descriptor is ready.
#[derive(Debug)]
pub struct PollAdd<F> {
    /// The descriptor of `file`, which was asked for it once: that is foreign code.
    fd: RawFd,
    file: F,
    wanted: Readiness,
}

impl<F: AsFd + 'static> PollAdd<F> {
    /// Waits until `file` is ready for any of what is `wanted`; an error or a hang-up ends the wait, too.
    ///
    /// Like a buffer, the file goes in by value and comes back with the answer.
    ///
    /// # Errors
    ///
    /// Those of poll(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::op::{PollAdd, Readiness};
    /// use std::io::Write;
    ///
    /// let (reader, mut writer) = std::io::pipe()?;
    /// writer.write_all(b"x")?;
    /// let (ready, _reader) = PollAdd::new(reader, Readiness::READABLE).await;
    /// assert!(ready?.contains(Readiness::READABLE));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[allow(clippy::new_ret_no_self)] // All operations are made as `Op`.
    pub fn new(file: F, wanted: Readiness) -> Op<Self> {
        let fd = file.as_fd().as_raw_fd();
        Op::new(PollAdd { fd, file, wanted })
    }
}

// SAFETY: the entry points to nothing; the file is owned by the operation, so its descriptor stays open.
unsafe impl<F: AsFd + 'static> Operation for PollAdd<F> {
    const CODE: u8 = opcode::PollAdd::CODE;
    const NAME: &'static str = "poll";
    const BY_SLOT: bool = true;
    type Output = BufResult<Readiness, F>;

    fn raw_fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::PollAdd::new(types::Fd(self.fd), self.wanted.0 as u32)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        let ready: io::Result<_> = cqe.result().map(|bits| Readiness(bits as i16));
        (ready, self.file)
    }
}
