//! `IORING_OP_SEND_ZC`: send(2) without a copy, since kernel 6.0.

use std::rc::Rc;

use super::send::Send;
use crate::buf::IoBuf;
use crate::feature::Feature;
use crate::op::mechanism::{ZcSend, ZeroCopy};
use crate::op::resource::{SharedFd, Usage, len_u32, zc_flags};
use crate::sys::{Entry, Target, opcode};

/// Sends on a connected socket out of the buffer itself.
pub(crate) struct SendZc<B> {
    buf: B,
    flags: i32,
}

impl<B: IoBuf> SendZc<B> {
    /// Sends what the socket takes now.
    pub(crate) fn future(fd: &SharedFd, usage: &Rc<Usage>, buf: B) -> ZcSend<Self> {
        let flags = libc::MSG_NOSIGNAL;
        ZcSend::new(fd, usage, SendZc { buf, flags })
    }

    /// Sends everything, unless an error ends it.
    pub(crate) fn all(fd: &SharedFd, usage: &Rc<Usage>, buf: B) -> ZcSend<Self> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        ZcSend::new(fd, usage, SendZc { buf, flags })
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched.
unsafe impl<B: IoBuf> ZeroCopy for SendZc<B> {
    const CODE: u8 = opcode::SendZc::CODE;
    const FEATURE: Feature = Feature::SendZc;
    const NAME: &'static str = "send_zc";
    type Buf = B;
    type Plain = Send<B>;

    fn prepare(&mut self, fd: Target, plain: bool) -> Entry {
        let (start, len) = (self.buf.buf_ptr(), len_u32(self.buf.buf_len()));
        match plain {
            true => opcode::Send::new(fd, start, len).flags(self.flags).build(),
            false => opcode::SendZc::new(fd, start, len)
                .flags(self.flags)
                .zc_flags(zc_flags())
                .build(),
        }
        .into()
    }

    fn total_len(&self) -> usize {
        self.buf.buf_len()
    }

    fn into_buf(self) -> B {
        self.buf
    }

    fn into_plain(self, fd: SharedFd) -> Send<B> {
        Send::with(fd, self.buf, self.flags)
    }
}
