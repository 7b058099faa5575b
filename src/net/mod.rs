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
mod socket;
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
pub use addr::{ToSocketAddrs, lookup_host};
pub use recv_meta::RecvMeta;
pub use recv_stream::{RecvFromStream, RecvStream};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::{UnixIncoming, UnixListener};
pub use unix_stream::UnixStream;

use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use socket2::SockAddr;

/// An address of the Internet families.
fn inet(addr: SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the socket's address is not of the Internet family",
        )
    })
}

/// An address of the Unix family: a path, an abstract name, or none at all.
fn unix(addr: &SockAddr) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    if let Some(path) = addr.as_pathname() {
        return SocketAddr::from_pathname(path);
    }
    if let Some(name) = addr.as_abstract_namespace() {
        return SocketAddr::from_abstract_name(name);
    }
    if addr.is_unnamed() {
        return SocketAddr::from_pathname("");
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the socket's address is not of the Unix family",
    ))
}

/// The address of a path.
fn unix_path(path: impl AsRef<Path>) -> io::Result<SockAddr> {
    if path.as_ref().as_os_str().as_bytes().contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "paths must not contain interior null bytes",
        ));
    }
    SockAddr::unix(path)
}

/// The first success of `f`, or its last error.
fn first<T>(
    addrs: Vec<SocketAddr>,
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address was given");
    for addr in addrs {
        match f(addr) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}
