//! TCP, UDP and Unix sockets.
//!
//! The types have the names of std and tokio; only the buffer parameter differs: it goes in by value and comes back
//! with the result. Reads and writes take `&self`, so a stream can be read and written at once without a split; reads
//! of one stream take turns, and so do writes.
//!
//! # Cancel safety
//!
//! A read, an accept or a connect whose future is dropped loses nothing that arrived: the next read or accept gets it.
//! A write whose future is dropped may have sent a part of its buffer, or will not; what comes after it waits until
//! that is settled.
#![forbid(unsafe_code)]

mod addr;
mod chunks;
mod debug;
mod incoming;
mod recv_meta;
mod recv_stream;
mod sock_addr;
mod socket;
mod socket_methods;
mod split;
mod stream;
mod tcp_listener;
mod tcp_stream;
mod udp;
mod unix_datagram;
mod unix_listener;
mod unix_stream;

pub use std::net::Shutdown;

pub use crate::op::{Batch, ProvidedBuf, ZcBuf};
pub use addr::{AddrError, ToSocketAddrs, lookup_host};
pub use recv_meta::RecvMeta;
pub use recv_stream::{RecvFromStream, RecvStream};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::{UnixIncoming, UnixListener};
pub use unix_stream::UnixStream;
