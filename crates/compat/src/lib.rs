//! saferring's streams under the traits of other libraries, and theirs under saferring's.
//!
//! | what one has | what one wants | |
//! |---|---|---|
//! | a [`TcpStream`] or [`UnixStream`] | tokio's, futures' or hyper's traits | [`Compat::new`] |
//! | a TLS stream over one | the same | [`CompatTls::new`] (feature `tls`) |
//! | any reader or writer of saferring's: a file, a pipe | the same | [`CompatReader`], [`CompatWriter`], [`CompatHalves`] |
//! | a codec of `tokio-util` | frames over a socket | [`Framed`] (feature `codec`) |
//! | something with tokio's or futures' traits | saferring's [`AsyncRead`] and [`AsyncWrite`] | [`FromTokio`], [`FromFutures`] |
//! | a thread of tokio's, or an executor with async-io | a [`Runtime`](saferring::runtime::Runtime) on it | [`tokio::run_until`], [`async_io::run_until`] (features `tokio-rt`, `async-io`) |
//! | a library that needs tokio | to await it in saferring | [`tokio`](mod@self::tokio#tokio-in-saferring) |
//!
//! # What it costs
//!
//! What is read is copied once, out of the chunk in which the kernel has put it into the caller's buffer, and not at all by
//! who uses the `AsyncBufRead` traits. What is written is copied once, into a buffer that the kernel may keep: theirs is
//! only lent. A sendmsg(2) at once would spare that copy, and was measured: it costs more, as it goes to the kernel for each
//! write (frames of 64 bytes on 50 connections: 0.94 of tokio's CPU time, and 0.79 by the ring). No call allocates, and a
//! connection that does nothing holds no buffer: chunks are taken when data comes, and buffers to write from go back to their
//! thread's others.
//!
//! # What a write promises
//!
//! That the bytes are in order behind those before, not that the kernel has them: a flush waits for that, and so does the
//! next write, so that there is never more than one buffer under way. An error comes with the next write, flush or
//! shutdown. What was written before the stream is dropped is still sent, as it is by a socket of tokio's.
//!
//! A flush could be done as soon as the ring has the bytes, and hyper, which flushes after each answer, would be polled once less for
//! each. That was tried under `wrk`: it changed nothing for answers of 64 bytes, and made those of 16 KiB on 1,000 connections
//! dearer by an eighth, because each connection then holds its buffer until it writes again.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! use saferring::net::UnixStream;
//! use saferring_compat::Compat;
//! use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
//!
//! let (one, other) = UnixStream::pair()?;
//! let (mut one, other) = (Compat::new(one), Compat::new(other));
//! one.write_all(b"hello\n").await?;
//! assert_eq!(other.lines().next_line().await?.as_deref(), Some("hello"));
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! [`TcpStream`]: saferring::net::TcpStream
//! [`UnixStream`]: saferring::net::UnixStream
//! [`AsyncRead`]: saferring::io::AsyncRead
//! [`AsyncWrite`]: saferring::io::AsyncWrite
#![forbid(unsafe_code)]
// What only one of the traits asks for.
#![cfg_attr(
    not(all(feature = "futures", feature = "hyper", feature = "tokio")),
    allow(dead_code, unused_imports, unused_macros)
)]

#[cfg(feature = "async-io")]
pub mod async_io;
mod buffers;
#[cfg(any(feature = "futures", feature = "tokio"))]
mod foreign;
#[cfg(feature = "codec")]
mod framed;
#[cfg(feature = "futures")]
mod futures;
#[cfg(any(feature = "async-io", feature = "tokio-rt"))]
mod guest;
mod halves;
#[cfg(feature = "hyper")]
mod hyper;
mod polled;
mod reader;
mod socket;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tokio")]
pub mod tokio;
mod writer;

/// The examples of the pages for those who come from elsewhere.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/from-tokio.md")]
    struct FromTokio;
    #[doc = include_str!("../../../docs/from-tokio-uring.md")]
    struct FromTokioUring;
}

#[cfg(feature = "tokio")]
#[doc(inline)]
pub use self::tokio::FromTokio;
#[cfg(feature = "codec")]
pub use framed::Framed;
#[cfg(feature = "futures")]
pub use futures::FromFutures;
pub use halves::CompatHalves;
pub use reader::CompatReader;
pub use socket::Socket;
pub use stream::Compat;
#[cfg(feature = "tls")]
pub use tls::CompatTls;
pub use writer::CompatWriter;
