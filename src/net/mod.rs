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
//! # A protocol of lines
//!
//! Reading beside other things, in a loop, with one buffer: [`read_buf`](TcpStream::read_buf) appends to what the buffer holds,
//! and whichever is first, the buffer is here and no byte is lost. This one answers each line, ends who is silent, and says good
//! bye when it is told to stop.
//!
//! ```no_run
//! use std::io;
//! use std::pin::pin;
//!
//! use futures_util::FutureExt; // `fuse`, for `select!`
//! use saferring::net::{TcpListener, TcpStream};
//! use saferring::sync::CancellationToken;
//! use saferring::task::JoinSet;
//! use saferring::time::{Duration, sleep};
//!
//! const SILENCE: Duration = Duration::from_secs(60);
//!
//! async fn serve(stream: TcpStream, stop: CancellationToken) -> io::Result<()> {
//!     let mut buf = Vec::new();
//!     loop {
//!         let why = {
//!             let mut read = pin!(stream.read_buf(&mut buf).fuse());
//!             let mut silence = pin!(sleep(SILENCE).fuse());
//!             let mut stopped = pin!(stop.cancelled().fuse());
//!             saferring::select! {
//!                 n = read => if n? == 0 { return Ok(()) } else { None },
//!                 () = silence => Some("you say nothing"),
//!                 () = stopped => Some("the server stops"),
//!             }
//!         };
//!         while let Some(end) = buf.iter().position(|&byte| byte == b'\n') {
//!             let line: Vec<u8> = buf.drain(..=end).collect(); // the rest stays for the next time
//!             stream.write_all(line).await.0?;
//!         }
//!         if let Some(why) = why {
//!             return stream.write_all(format!("good bye: {why}\n")).await.0;
//!         }
//!         if buf.len() > 64 * 1024 {
//!             return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
//!         }
//!     }
//! }
//!
//! #[saferring::main]
//! async fn main() -> io::Result<()> {
//!     let mut asked = pin!(saferring::signal::shutdown().fuse()); // Ctrl-C, or SIGTERM
//!     let listener = TcpListener::bind("127.0.0.1:7000")?;
//!     let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
//!     loop {
//!         let mut accepted = pin!(listener.accept().fuse());
//!         saferring::select! {
//!             _ = asked => break,
//!             accepted = accepted => if let Ok((stream, _peer)) = accepted {
//!                 clients.spawn(serve(stream, stop.clone()));
//!             },
//!         }
//!         while clients.try_join_next().is_some() {}
//!     }
//!     stop.cancel();
//!     clients.join_all().await;
//!     Ok(())
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
//! A future that is dropped takes its buffer along. To have that back, end the future from within: by
//! [`CancellationToken::run`](crate::sync::CancellationToken::run) or [`time::deadline`](crate::time::deadline()).
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
mod shared_port;
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
pub(crate) use shared_port::{BACKLOG, Ports, Take, listen_shared, share_ports};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::{UnixIncoming, UnixListener};
pub use unix_stream::UnixStream;
