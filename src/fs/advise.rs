//! How a file will be used, told to the kernel.

use std::ops::RangeBounds;

use super::File;
use super::positional::bounds;
use crate::op::{Fadvise, Op};

/// How a part of a file will be used; see [`File::advise`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advice {
    /// Nothing is known of it: the kernel reads ahead as far as it does by default.
    #[default]
    Normal,
    /// Bytes are read from lower offsets to higher ones: the kernel reads farther ahead.
    Sequential,
    /// Bytes are read in no order: the kernel does not read ahead.
    Random,
    /// Bytes are needed soon: the kernel begins to read them into the page cache, as far as it has the memory.
    WillNeed,
    /// Bytes are not needed soon: the kernel takes whole pages of them out of the page cache. What has not been written to
    /// the disk stays there, so [`sync_data`](File::sync_data) first.
    DontNeed,
    /// Bytes are needed once. Some kernels make no use of it.
    NoReuse,
}

impl Advice {
    fn number(self) -> i32 {
        match self {
            Advice::Normal => libc::POSIX_FADV_NORMAL,
            Advice::Sequential => libc::POSIX_FADV_SEQUENTIAL,
            Advice::Random => libc::POSIX_FADV_RANDOM,
            Advice::WillNeed => libc::POSIX_FADV_WILLNEED,
            Advice::DontNeed => libc::POSIX_FADV_DONTNEED,
            Advice::NoReuse => libc::POSIX_FADV_NOREUSE,
        }
    }
}

impl File {
    /// Tells the kernel how the bytes of `range` will be used, so that it can read ahead or free memory. It binds nobody:
    /// the file and what is read from it are the same. The future is ready when the kernel knows, not when it has read.
    ///
    /// The kernel takes `Normal`, `Sequential`, `Random` and `NoReuse` for the whole of the open file, and all that share
    /// it. A range without bytes is no advice of any kind, and the kernel is not asked. A range with an end, of 4 GiB or
    /// more, ends short after 4 GiB less 64 KiB: give the same advice for the rest. One without an end, such as `5..`, does
    /// not.
    ///
    /// # Errors
    ///
    /// `NotSeekable` of a pipe; otherwise what posix_fadvise(2) says.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the kernel takes the advice. No data is lost.
    ///
    /// # Kernel
    ///
    /// One `FADVISE`. `WillNeed`, `DontNeed` and `NoReuse` are carried out by a thread of the kernel, the others in the call
    /// that submits them.
    ///
    /// # Examples
    ///
    /// A large file that is read once, from the beginning to the end, and then does not stay in memory:
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::fs::{Advice, File};
    ///
    /// let mut file = File::open("Cargo.toml").await?;
    /// file.advise(.., Advice::Sequential).await?;
    /// let (read, contents) = file.read_to_end(Vec::new()).await;
    /// assert_eq!(read?, contents.len());
    /// file.advise(.., Advice::DontNeed).await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn advise(&self, range: impl RangeBounds<u64>, advice: Advice) -> Op<Fadvise> {
        let (start, end) = bounds(range);
        Fadvise::new(&self.fd, start, end.saturating_sub(start), advice.number())
    }
}
