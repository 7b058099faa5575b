//! An owned-buffer, completion-based async runtime for Linux.
//!
//! One single-threaded executor per core, whose reactor drives io_uring directly. An operation takes its buffer by
//! value and gives back `(result, buffer)`: memory safety comes from ownership, and costs nothing.
//!
//! ```no_run
//! use futures_util::StreamExt;
//! use saferring::net::TcpListener;
//!
//! #[saferring::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:7000")?;
//!     let mut incoming = listener.incoming(); // one request to the kernel, not one a connection
//!     while let Some(stream) = incoming.next().await {
//!         let Ok(stream) = stream else { continue }; // out of descriptors: the next waits until one can be had
//!         saferring::spawn(async move {
//!             let mut chunks = stream.recv_stream(); // one request for the stream, in the core's own buffers
//!             while let Some(Ok(chunk)) = chunks.next().await {
//!                 let (sent, _chunk) = stream.write_all(chunk).await; // buffer by value, buffer back
//!                 if sent.is_err() {
//!                     break;
//!                 }
//!             }
//!         });
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What holds, whatever a program does
//!
//! - Nothing that the kernel may still touch is freed, moved or read: not when a future is dropped or forgotten, a task
//!   aborted or panicking, the runtime or the thread gone.
//! - Cancelling loses nothing: a late result or its bytes are given to whoever comes next, and a late descriptor closes
//!   itself.
//! - A descriptor's number is not reused under a live operation.
//!
//! # Modules
//!
//! [`net`], [`fs`], [`time`], [`task`] and [`runtime`] have the names of std and tokio; [`io`] has the traits over
//! owned buffers, [`buf`] the buffers, [`op`] the operations themselves, for those who build upon them.
//!
//! # Kernel
//!
//! Linux 5.15 and later, or 5.10.162 and later. What a kernel lacks is done another way where there is one;
//! [`features`] tells what was found.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_os = "linux"))]
compile_error!("saferring drives io_uring, which only Linux has");

mod error;
mod foreign;
mod sys;

pub mod buf;

mod driver;
pub mod task;

pub mod op;

pub mod runtime;

pub mod fs;
pub mod io;
pub mod net;
#[cfg(feature = "signal")]
pub mod signal;
pub mod time;

pub use error::Error;
pub use runtime::spawn_blocking;
#[cfg(feature = "macros")]
pub use saferring_macros::{main, test};
pub use sys::{Features, features};
pub use task::{JoinHandle, spawn};

/// The README's programs compile.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
struct Readme;
