//! `IORING_OP_SEND`: send(2).

use crate::buf::{BufResult, IoBuf};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, Side, byte_count_after, len_u32, send_flags};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Sends on a connected socket.
///
/// Sends on one socket take turns, so that one that was dropped cannot come after the next.
#[derive(Debug)]
pub struct Send<B> {
    fd: SharedFd,
    buf: B,
    /// How much of the buffer is sent.
    done: usize,
    flags: i32,
}

impl<B: IoBuf> Send<B> {
    /// Sends what the socket takes now.
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        Op::new(Self::with(fd.clone(), buf, libc::MSG_NOSIGNAL))
    }

    /// Sends everything: see [`Op::whole`].
    pub(crate) fn all(fd: &SharedFd, buf: B) -> Op<Self> {
        Self::new(fd, buf).whole()
    }

    pub(super) fn with(fd: SharedFd, buf: B, flags: i32) -> Self {
        Send {
            fd,
            buf,
            done: 0,
            flags,
        }
    }

    fn rest(&self) -> usize {
        self.buf.buf_len().saturating_sub(self.done)
    }
}

impl<B: IoBuf> Op<Send<B>> {
    /// Goes on until everything is sent. The number of bytes is smaller only if an error or a cancel has ended it, or at 2 GiB.
    ///
    /// It goes on by itself, so that a [submitted](Op::submit) one needs nobody who polls it until its answer is wanted. (Kernels
    /// before 5.19 are given it in pieces.)
    ///
    /// # Examples
    ///
    /// ```
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::net::UnixStream;
    ///
    /// let (one, other) = UnixStream::pair()?;
    /// let sending = one.write(vec![1; 1 << 20]).whole().submit();
    /// other.read_exact(vec![0; 1 << 20]).await.0?; // more than the socket holds
    /// assert_eq!(sending.await.0?, 1 << 20);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn whole(self) -> Self {
        self.with(|send| send.flags |= libc::MSG_WAITALL)
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBuf> Operation for Send<B> {
    const CODE: u8 = opcode::Send::CODE;
    const NAME: &'static str = "send";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    #[inline]
    fn turn(&self) -> Option<Side> {
        Some(Side::Write)
    }

    #[inline]
    fn early(&mut self) -> Option<i32> {
        self.fd.take_write_error()
    }

    #[inline]
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    #[inline]
    fn whole(&self) -> u32 {
        if self.flags & libc::MSG_WAITALL == 0 {
            return 0;
        }
        self.rest().min(u32::MAX as usize) as u32
    }

    fn advance(&mut self, done: usize) {
        self.done += done;
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let start = self.buf.buf_ptr().wrapping_add(self.done);
        opcode::Send::new(self.fd.target(), start, len_u32(self.rest()))
            .flags(send_flags(self.flags))
            .build()
            .into()
    }

    #[inline]
    fn complete(self, cqe: Completion) -> Self::Output {
        (byte_count_after(self.done, cqe), self.buf)
    }

    fn abandon(self, cqe: Completion) {
        self.fd.stash_write_error(cqe.raw_result());
    }
}
