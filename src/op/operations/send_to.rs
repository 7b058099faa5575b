//! `IORING_OP_SEND` to an address: sendto(2), since kernel 6.0.

use socket2::SockAddr;

use crate::buf::{BufResult, IoBuf};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, byte_count, len_u32};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Room for an Internet address, in words: it is 28 bytes.
const WORDS: usize = size_of::<libc::sockaddr_in6>() / 4;

/// Sends one datagram to an Internet address.
///
/// Datagrams take no turns: each is whole, and they may overtake each other anywhere on their way.
#[derive(Debug)]
pub(crate) struct SendTo<B> {
    fd: SharedFd,
    buf: B,
    addr_len: u32,
    addr: [u32; WORDS],
}

impl<B: IoBuf> SendTo<B> {
    /// # Errors
    ///
    /// The buffer, if the address is of another family: [`SendMsg`](crate::op::SendMsg) can.
    pub(crate) fn new(fd: &SharedFd, buf: B, to: &SockAddr) -> Result<Op<Self>, B> {
        let len = to.len() as usize;
        if len > WORDS * 4 || to.as_socket().is_none() {
            return Err(buf);
        }
        let mut addr = [0; WORDS];
        // SAFETY: the address has `len` bytes, and the array room for them; they are different memory, and any bytes are
        // numbers.
        unsafe {
            std::ptr::copy_nonoverlapping(
                to.as_ptr().cast::<u8>(),
                addr.as_mut_ptr().cast::<u8>(),
                len,
            );
        }
        Ok(Op::new(SendTo {
            fd: fd.clone(),
            buf,
            addr_len: len as u32,
            addr,
        }))
    }
}

// SAFETY: the entry points to the address inside `self`, and to the buffer, which `self` owns and which by the contract
// of `IoBuf` stays valid and unchanged while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBuf> Operation for SendTo<B> {
    const CODE: u8 = opcode::Send::CODE;
    const NAME: &'static str = "send";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let len = len_u32(self.buf.buf_len());
        opcode::Send::new(self.fd.target(), self.buf.buf_ptr(), len)
            .flags(libc::MSG_NOSIGNAL)
            .dest_addr((&raw const self.addr).cast())
            .dest_addr_len(self.addr_len)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (byte_count(cqe), self.buf)
    }
}
