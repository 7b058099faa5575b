//! What is known of a datagram beside its bytes.

use std::io;
use std::net::SocketAddr;

use socket2::SockAddr;

use crate::op::Message;

/// What is known of a datagram beside its bytes: see [`UdpSocket::recv_meta`](super::UdpSocket::recv_meta) and
/// [`UnixDatagram::recv_meta`](super::UnixDatagram::recv_meta), whose senders have other addresses, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta<A = SocketAddr> {
    /// How many bytes of it are in the buffer.
    pub len: usize,
    /// How many bytes it had.
    pub full_len: usize,
    /// Who sent it.
    pub addr: A,
}

impl<A> RecvMeta<A> {
    pub(super) fn new(
        message: Message,
        sender: impl FnOnce(Option<SockAddr>) -> io::Result<A>,
    ) -> io::Result<Self> {
        Ok(RecvMeta {
            len: message.len,
            full_len: message.full_len,
            addr: sender(message.from)?,
        })
    }

    /// Whether it was larger than the buffer.
    pub fn is_cut(&self) -> bool {
        self.full_len > self.len
    }
}
