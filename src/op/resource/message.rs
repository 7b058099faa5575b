//! What a receive of a message tells.

use socket2::SockAddr;

/// What came.
#[derive(Clone, Debug)]
pub struct Message {
    /// How many bytes of it are in the buffers.
    pub len: usize,
    /// How many there were: more than that of a datagram that did not fit.
    pub full_len: usize,
    /// From whom, where the socket's kind has senders.
    pub from: Option<SockAddr>,
}
