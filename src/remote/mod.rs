//! Files for programs on another runtime: tokio, smol, a `block_on`, or plain threads.
//!
//! A program need not move to this crate to have its files read by io_uring. [`Files`] starts a thread (or some), each with a
//! [`Runtime`](crate::runtime::Runtime), and gives files that any thread may use: their futures are `Send`, can be awaited
//! anywhere, and be dropped at any time.
//!
//! ```
//! use saferring::remote::Files;
//!
//! async fn head(files: &Files, path: &str) -> std::io::Result<Vec<u8>> {
//!     let file = files.open(path).await?;
//!     let (read, buf) = file.read_at(Vec::with_capacity(64), 0).await; // the buffer comes back
//!     read?;
//!     Ok(buf)
//! }
//!
//! let files = Files::start()?; // once, for the whole program
//! // In a program on tokio this is `#[tokio::main]`.
//! let bytes = futures_executor::block_on(head(&files, "Cargo.toml"))?;
//! assert_eq!(bytes, std::fs::read("Cargo.toml")?[..64]);
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! The example `tokio_files` is a whole program on tokio's threads.
//!
//! # How it works, and what it costs
//!
//! A call goes to the ring's thread as one message, and comes back as one wake. Who finds the thread busy adds to what it
//! takes next, and wakes nobody: so with many calls at once the threads hardly ever wait for each other, and the kernel is
//! entered once for many. That is where it saves: tokio's own files hand each call to a thread that waits in it, a wake for
//! each on the way there and back. BENCHMARKS.md has the figures: a seventh of the CPU time with 64 tasks. One call at a time costs
//! two wakes here as well.
//!
//! # How many at once
//!
//! At most [`Builder::max_in_flight`] calls are with a ring. Those beyond wait in the order in which they came, with their
//! buffers, and have sent nothing. A call that was dropped counts until the kernel is done with its buffer; so what the
//! service holds is bounded, whatever callers do: so many calls, with a buffer each.
//!
//! # What is dropped
//!
//! - **A future**: a call that has not begun never does. One that has is cancelled; its buffer is freed on the ring's thread
//!   when the kernel is done with it.
//! - **A [`File`]**: it is closed when the last clone and the last future of a call are gone, and no sooner.
//! - **The [`Files`]**: its threads end when all clones, files and futures are gone. [`Files::shutdown`] ends them before.
//! - **The caller's runtime**: its futures are dropped, see above. Files can be used on in another.
//! - **The runtime under the service** ([`Files::on`]): calls answer [`NotConnected`](std::io::ErrorKind::NotConnected), and each
//!   gives its buffer back when the kernel has let go of it. What the kernel does not give back within
//!   [`shutdown_grace`](crate::runtime::Builder::shutdown_grace) is leaked, and its call has no end.
//!
//! # After a fork
//!
//! A child of fork(2) has none of the parent's threads: calls answer `NotConnected`, dropping does nothing. Start a service in
//! the child. A call that was under way cannot be awaited there; that panics.
#![forbid(unsafe_code)]

mod builder;
mod errors;
mod file;
mod files;
mod positional;
mod request;
mod ring;
mod table;

pub use builder::Builder;
pub use file::File;
pub use files::Files;
