//! `IORING_OP_SENDMSG_ZC`: sendmsg(2) from several buffers without a copy, since kernel 6.1.

use std::rc::Rc;

use super::send_msg::SendMsg;
use crate::buf::IoVectoredBuf;
use crate::feature::Feature;
use crate::op::mechanism::{ZcSend, ZeroCopy};
use crate::op::resource::{MsgHeader, SharedFd, Usage, zc_flags};
use crate::sys::{Entry, Target, opcode};

/// Sends several buffers on a connected socket out of the buffers themselves.
pub(crate) struct SendMsgZc<V> {
    bufs: V,
    header: MsgHeader,
}

impl<V: IoVectoredBuf> SendMsgZc<V> {
    pub(crate) fn future(fd: &SharedFd, usage: &Rc<Usage>, bufs: V) -> ZcSend<Self> {
        let header = MsgHeader::new();
        ZcSend::new(fd, usage, SendMsgZc { bufs, header })
    }
}

// SAFETY: the entry points to the header inside `self`; that points to the array beside it, which lies in `self` or is
// owned by it; that points to the buffers, which `self` owns and which by the contract of `IoVectoredBuf` stay valid and
// unchanged while they are not moved or touched.
unsafe impl<V: IoVectoredBuf> ZeroCopy for SendMsgZc<V> {
    const CODE: u8 = opcode::SendMsgZc::CODE;
    const FEATURE: Feature = Feature::SendmsgZc;
    const NAME: &'static str = "sendmsg_zc";
    type Buf = V;
    type Plain = SendMsg<V>;

    fn prepare(&mut self, fd: Target, plain: bool) -> Entry {
        let header = self.header.show(&self.bufs, 0);
        let flags = libc::MSG_NOSIGNAL as u32;
        match plain {
            true => opcode::SendMsg::new(fd, header).flags(flags).build(),
            false => opcode::SendMsgZc::new(fd, header)
                .flags(flags)
                .ioprio(zc_flags())
                .build(),
        }
        .into()
    }

    fn total_len(&self) -> usize {
        self.bufs.total_len()
    }

    fn into_buf(self) -> V {
        self.bufs
    }

    fn into_plain(self, fd: SharedFd) -> SendMsg<V> {
        SendMsg::with(fd, self.bufs, None)
    }
}
