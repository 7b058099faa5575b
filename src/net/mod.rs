//! TCP, UDP and Unix sockets.
//!
//! A server that sends back what it receives:
//!
//! ```no_run
//! use saferring::net::{TcpListener, TcpStream};
//!
//! #[saferring::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:7000")?;
//!     loop {
//!         // An error says, for one, that no descriptor is free. The next call waits until there is one.
//!         let Ok((stream, peer)) = listener.accept().await else { continue };
//!         saferring::spawn(async move {
//!             if let Err(error) = echo(stream).await {
//!                 eprintln!("{peer}: {error}");
//!             }
//!         });
//!     }
//! }
//!
//! async fn echo(stream: TcpStream) -> std::io::Result<()> {
//!     let mut buf = Vec::with_capacity(4096);
//!     loop {
//!         let (received, data) = stream.read(buf).await; // The buffer goes in, and comes back.
//!         if received? == 0 {
//!             return Ok(());
//!         }
//!         let (sent, data) = stream.write_all(data).await;
//!         sent?;
//!         buf = data;
//!     }
//! }
//! ```
//!
//! # What differs from tokio and std
//!
//! - Buffers are passed by value and come back with the result. [`buf`](crate::buf) tells how a read fills one.
//! - Reads and writes take `&self`. A stream can be read and written at once without a split. Reads of one stream take
//!   turns, and so do writes.
//! - `bind` does not wait, so it is not `async`.
//! - [`recv_stream`](TcpStream::recv_stream) and [`incoming`](TcpListener::incoming) ask the kernel once for many
//!   chunks or connections. They are the faster way for small messages and many connections.
//! - A read may have a deadline that gives the buffer back: `stream.read(buf).timeout(limit)`, see
//!   [`Op::timeout`](crate::op::Op::timeout).
//! - Sockets stay on the thread of their runtime. To serve on several cores, start a runtime on each; see
//!   [`runtime`](crate::runtime).
//!
//! # Cancel safety
//!
//! A read, an accept or a connect whose future is dropped loses nothing that arrived: the next read or accept gets it.
//! A write whose future is dropped may have sent a part of its buffer, or will not. What comes after it waits until
//! that is settled.
//!
//! # Errors
//!
//! They are the system's own, as in std. Where a host name or a list leaves open which address an error is about, it
//! names the address: see [`AddrError`].
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
