//! Reading and writing by traits: buffered readers and writers, lines, and copies.
//!
//! A program that prints the longest line of a file:
//!
//! ```
//! use saferring::fs::File;
//! use saferring::io::{AsyncBufReadExt, BufReader};
//!
//! #[saferring::main]
//! async fn main() -> std::io::Result<()> {
//!     let file = File::open("Cargo.toml").await?;
//!     let mut lines = BufReader::new(file).lines();
//!     let mut longest = String::new();
//!     while let Some(line) = lines.next_line().await? {
//!         if line.len() > longest.len() {
//!             longest = line;
//!         }
//!     }
//!     println!("{longest}");
//!     # assert!(!longest.is_empty());
//!     Ok(())
//! }
//! ```
//!
//! - [`AsyncRead`] and [`AsyncWrite`] are what streams and files have in common.
//! - [`AsyncReadExt`] and [`AsyncWriteExt`] have what can be built upon that: `read_exact`, `read_to_end`, `write_all`.
//! - [`BufReader`] makes one read out of many, and with [`AsyncBufReadExt`] cuts a stream into lines.
//! - [`BufWriter`] makes one write out of many.
//! - [`copy()`] moves everything from a reader to a writer, and [`copy_bidirectional()`] does so both ways.
//! - [`splice()`] moves bytes between descriptors inside the kernel.
//!
//! # What differs from tokio and std
//!
//! Names and results are those of [`std::io`], and errors are [`std::io::Error`]. Only the buffer parameter differs: it
//! is passed by value and comes back beside the result, as told in [`buf`](crate::buf). So the traits are not those of
//! tokio and futures, which lend a buffer for a poll: the kernel writes between polls.
//!
//! # Cancel safety
//!
//! What a future loses when it is dropped before it has ended:
//!
//! | future | loses |
//! |---|---|
//! | [`AsyncRead::read`], [`read_vectored`](AsyncRead::read_vectored) | nothing: what arrives late is there for the next read |
//! | [`AsyncBufRead::fill_buf`], [`Lines::next_line`], [`Split::next_segment`] | nothing |
//! | [`read_exact`](AsyncReadExt::read_exact), [`read_to_end`](AsyncReadExt::read_to_end), [`read_until`](AsyncBufReadExt::read_until) and the like | what they have read so far, with the buffer |
//! | [`AsyncWrite::write`] and all that writes | nobody knows how much was written |
//! | [`BufWriter::flush`](AsyncWrite::flush) | as a write; the [`BufWriter`] tells so once, then goes on |
//!
//! Every one leaves the stream sound and usable, and the buffer that went along is freed when the kernel is done with
//! it. The first two rows hold for the types of this crate; wrappers are as cancel safe as what they wrap.
#![forbid(unsafe_code)]

mod buf_read_ext;
mod buf_reader;
mod buf_writer;
mod chain;
mod copy;
mod errors;
mod incomplete;
mod lines;
mod memory;
mod pipe;
mod read_ext;
mod splice;
mod take;
#[cfg(test)]
mod test_util;
mod text;
mod traits;
mod trivial;
mod write_ext;

pub use crate::op::SpliceEnd;
pub use buf_read_ext::AsyncBufReadExt;
pub use buf_reader::BufReader;
pub use buf_writer::BufWriter;
pub use chain::Chain;
pub use copy::{copy, copy_bidirectional, copy_with};
pub(crate) use errors::{ended_early, progress, takes_no_more};
pub use incomplete::{Incomplete, is_cancelled};
pub use lines::{Lines, Split};
pub use read_ext::AsyncReadExt;
pub use splice::splice;
pub use take::Take;
pub use traits::{AsyncBufRead, AsyncRead, AsyncWrite};
pub use trivial::{Empty, Repeat, Sink, empty, repeat, sink};
pub use write_ext::AsyncWriteExt;
