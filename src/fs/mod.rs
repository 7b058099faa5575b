//! Files, and what one does with paths.
//!
//! The names are those of [`std::fs`] and tokio; only the buffer parameter differs: it goes in by value and comes back
//! with the result. [`File`] reads and writes in two ways:
//!
//! - **by position** ([`read_at`](File::read_at), [`write_at`](File::write_at)): any number at once, in any order;
//! - **by cursor** ([`read`](File::read), [`write_all`](File::write_all), [`seek`](File::seek)): one after the other,
//!   each where the one before ended. This is also how to read what has no positions, such as a pipe or a terminal.
//!
//! # Which thread does the work
//!
//! Reads of what the page cache holds are done at once, in the call that submits them, and reads and writes with
//! [`O_DIRECT`](OpenOptions::direct) by the device; neither needs a thread. The kernel hands to threads of its own what
//! could block: buffered writes, syncs, metadata, opening with creation, renaming, removing. So nothing here holds up
//! the core, at the price of a hop between threads; [`File::set_inline_writes`] is for those who would rather write at
//! once. [`copy()`] lets the kernel copy, on a blocking thread. What the running kernel cannot do through io_uring is done
//! on the runtime's own [blocking threads](crate::spawn_blocking).
//!
//! # Registered buffers
//!
//! The kernel has the pages of a [`FixedBufPool`]'s buffers pinned. With 4 KiB that saves 12 % of the CPU time of reads
//! with `O_DIRECT`, many at once, and 1 to 7 % of reads from the page cache. [`File::read_stream`] reads ahead into such.
//!
//! # Examples
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! use saferring::fs::{self, File};
//!
//! # let path = std::env::temp_dir().join(format!("saferring-fs-{}", std::process::id()));
//! let mut file = File::create(&path).await?;
//! let (written, _) = file.write_all("one\ntwo\n").await;
//! written?;
//! file.close().await?;
//! assert_eq!(fs::read_to_string(&path).await?, "one\ntwo\n");
//! # fs::remove_file(&path).await
//! # })
//! # }
//! ```
#![forbid(unsafe_code)]

mod at;
mod convert;
mod copy;
mod cursor;
mod fallback;
mod fifo;
mod file;
mod io_traits;
mod metadata;
mod open_options;
mod path_error;
mod paths;
mod positional;
mod read_stream;
mod seek;
#[cfg(test)]
mod tests;
mod whole;

pub use crate::op::{FixedBuf, FixedBufPool};
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
