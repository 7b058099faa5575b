//! The header of a message, as recvmsg(2) and sendmsg(2) take it.

use super::iovecs::IoVecs;
use crate::buf::{IoVectoredBuf, IoVectoredBufMut};

/// A message's header, and the array of buffers that it points to.
pub(in crate::op) struct MsgHeader {
    vecs: IoVecs,
    header: libc::msghdr,
}

impl MsgHeader {
    pub(in crate::op) fn new() -> Self {
        MsgHeader {
            vecs: IoVecs::new(),
            // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed.
            header: unsafe { std::mem::zeroed() },
        }
    }

    /// Shows what there is to send, but for the first `skip` bytes. The pointer is to `self`.
    pub(in crate::op) fn show(
        &mut self,
        bufs: &impl IoVectoredBuf,
        skip: usize,
    ) -> *mut libc::msghdr {
        self.vecs.show(bufs, skip);
        self.point()
    }

    /// Shows the room for what is to be received. The pointer is to `self`.
    pub(in crate::op) fn show_room(
        &mut self,
        bufs: &mut impl IoVectoredBufMut,
    ) -> *mut libc::msghdr {
        self.vecs.show_room(bufs);
        self.point()
    }

    fn point(&mut self) -> *mut libc::msghdr {
        self.header.msg_iov = self.vecs.as_mut_ptr();
        // Its type differs between platforms.
        self.header.msg_iovlen = self.vecs.len() as _;
        &raw mut self.header
    }

    /// Where the address is, or has room.
    pub(in crate::op) fn set_name(&mut self, name: *mut libc::c_void, len: libc::socklen_t) {
        self.header.msg_name = name;
        self.header.msg_namelen = len;
    }

    /// How long the address is.
    pub(in crate::op) fn name_len(&self) -> usize {
        self.header.msg_namelen as usize
    }

    /// How many bytes the kernel may write.
    pub(in crate::op) fn room(&self) -> usize {
        self.vecs.room()
    }

    /// The header itself.
    pub(in crate::op) fn get(&self) -> &libc::msghdr {
        &self.header
    }
}
