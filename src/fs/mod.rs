//! Files, and what one does with paths.
//!
//! A program that writes a file, reads it, and copies it:
//!
//! ```
//! use saferring::fs::{self, File};
//!
//! #[saferring::main]
//! async fn main() -> std::io::Result<()> {
//!     let dir = std::env::temp_dir();
//!     let (notes, copy) = (dir.join("saferring-notes"), dir.join("saferring-notes.copy"));
//!
//!     let mut file = File::create(&notes).await?;
//!     let (written, _) = file.write_all("one\ntwo\n").await; // The buffer comes back beside the result.
//!     written?;
//!     file.sync_all().await?;
//!     file.close().await?;
//!
//!     assert_eq!(fs::read_to_string(&notes).await?, "one\ntwo\n");
//!     assert_eq!(fs::copy(&notes, &copy).await?, 8);
//!     fs::remove_file(&notes).await?;
//!     fs::remove_file(&copy).await
//! }
//! ```
//!
//! [`File`] reads and writes in two ways:
//!
//! - **By position** ([`read_at`](File::read_at), [`write_at`](File::write_at)): any number at once, in any order.
//! - **By cursor** ([`read`](File::read), [`write_all`](File::write_all), [`seek`](File::seek)): one after the other,
//!   each where the one before ended. This is also how to read what has no positions, such as a pipe or a terminal.
//!
//! # What differs from tokio and std
//!
//! - Buffers are passed by value and come back with the result. [`buf`](crate::buf) tells how a read fills one.
//! - Nothing is buffered here: a write that has returned is the kernel's. There is nothing to flush.
//! - A read may have a deadline that gives the buffer back: `file.read_at(buf, 0).timeout(limit)`.
//! - Errors are the system's own, as in std. Where a function leaves open which path an error is about, the error names
//!   it: see [`PathError`].
//!
//! # Which thread does the work
//!
//! Reads of what the page cache holds are done at once, in the call that submits them. Reads and writes with
//! [`O_DIRECT`](OpenOptions::direct) are done by the device. Neither needs a thread.
//!
//! The kernel hands to threads of its own what could block: buffered writes, syncs, metadata, opening with creation,
//! renaming, removing. So nothing here holds up the core, at the price of a hop between threads.
//! [`File::set_inline_writes`] is for those who would rather write at once. [`copy()`] lets the kernel copy, on a
//! blocking thread. What the running kernel cannot do through io_uring is done on the runtime's own
//! [blocking threads](crate::spawn_blocking).
//!
//! # Registered buffers
//!
//! The kernel has the pages of a [`FixedBufPool`]'s buffers pinned. With 4 KiB that saves 12 % of the CPU time of reads
//! with `O_DIRECT`, many at once, and 1 to 7 % of reads from the page cache. [`File::read_stream`] reads ahead into
//! such buffers.
#![forbid(unsafe_code)]

// In the order in which the page of `File` lists their methods.
mod open_options;

mod cursor;
mod positional;
mod read_stream;
mod seek;

mod file;

mod advise;
mod at;
mod convert;
mod copy;
mod fallback;
mod fifo;
mod io_traits;
mod metadata;
mod path_error;
mod paths;
#[cfg(test)]
mod tests;
mod whole;

pub use crate::op::{FixedBuf, FixedBufPool};
pub use advise::Advice;
pub use at::FileAt;
pub use copy::copy;
pub use file::File;
pub use metadata::{FileType, Metadata};
pub use open_options::OpenOptions;
pub use path_error::PathError;
pub use paths::{
    create_dir, create_dir_all, metadata, remove_dir, remove_file, rename, symlink_metadata,
    try_exists,
};
pub use read_stream::ReadStream;
pub use whole::{read, read_to_string, write};
