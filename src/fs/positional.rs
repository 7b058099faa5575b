//! Reads and writes by position, and ranges of a file.

use std::ops::{Bound, RangeBounds};

use super::File;
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, Unwritten};
use crate::io::{Incomplete, ended_early, progress, takes_no_more};
use crate::op::{CURRENT, Op, Position, Read, Readv, Write, Writev};

/// What the kernel is told for `offset`: the one value that it would take for the descriptor's own position becomes
/// its neighbour, which is refused as every offset is that does not fit a signed number.
pub(super) fn position(offset: u64) -> Position {
    Position::At(offset.min(CURRENT - 1))
}

/// Where a range of a file starts, and the offset behind it: `u64::MAX` if it has no end.
pub(super) fn bounds(range: impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl File {
    /// Reads at `offset` into `buf`, up to its capacity, and returns how many bytes it read, at the end of the file 0,
    /// with the buffer. How a read fills a buffer is told in [`buf`](crate::buf).
    ///
    /// Any number of reads and writes may be in flight at once. For files without positions, such as pipes, use
    /// [`read`](File::read).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the buffer has no room, the offset exceeds `i64::MAX`, or the file was opened with
    /// [`direct`](super::OpenOptions::direct) and buffer, length or offset is not aligned; `IsADirectory`; otherwise
    /// what pread(2) says.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the file is as it was.
    ///
    /// # Kernel
    ///
    /// One `READ`, or with a buffer of a [`FixedBufPool`](super::FixedBufPool) `READ_FIXED`: done in the call that
    /// submits it if the page cache holds the data.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (n, buf) = file.read_at(vec![0; 64], 2).await;
    /// assert_eq!(n?, buf.len());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> Op<Read<B>> {
        Read::new(&self.fd, buf, position(offset))
    }

    /// Writes the bytes of `buf` at `offset`, and returns how many it wrote, which may be fewer, with the buffer.
    ///
    /// Any number of reads and writes may be in flight at once, in no particular order: await the first of two writes
    /// that overlap. If the file was opened with [`append`](super::OpenOptions::append), the kernel ignores the offset.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the offset exceeds `i64::MAX`, or the file was opened with
    /// [`direct`](super::OpenOptions::direct) and buffer, length or offset is not aligned; `StorageFull`; otherwise
    /// what pwrite(2) says.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open how much is written. The write may even happen later, so do not write to the
    /// same place again before you know: keep the future, or [`close`](File::close) the file.
    ///
    /// # Kernel
    ///
    /// One `WRITE`, or with a registered buffer `WRITE_FIXED`. A buffered one always goes to a thread of the kernel,
    /// which takes four to six times the CPU time of a write at once (4 KiB), but one that must wait for memory or for
    /// the disk then does not hold up the core; see [`set_inline_writes`](File::set_inline_writes). With `O_DIRECT`
    /// there is no thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-write-at-{}", std::process::id()));
    /// let file = saferring::fs::File::create_new(&path).await?;
    /// let (n, _text) = file.write_at("middle", 100).await;
    /// assert_eq!(n?, 6);
    /// assert_eq!(file.metadata().await?.len(), 106);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn write_at<B>(&self, buf: B, offset: u64) -> Op<Write<B>>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        Write::new(&self.fd, buf, position(offset))
    }

    /// As [`read_at`](File::read_at), into several buffers, filled one after the other.
    ///
    /// # Errors
    ///
    /// As for `read_at`, and so are panics and cancel safety.
    ///
    /// # Kernel
    ///
    /// One `READV`, of at most 1024 buffers; see preadv(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (n, [_one, _two]) = file.read_vectored_at([[0; 8]; 2], 0).await;
    /// assert_eq!(n?, 16);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn read_vectored_at<V: IoVectoredBufMut>(&self, bufs: V, offset: u64) -> Op<Readv<V>> {
        Readv::new(&self.fd, bufs, position(offset))
    }

    /// As [`write_at`](File::write_at), from several buffers.
    ///
    /// # Errors
    ///
    /// As for `write_at`, and so are panics and cancel safety.
    ///
    /// # Kernel
    ///
    /// One `WRITEV`, of at most 1024 buffers; see pwritev(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-writev-{}", std::process::id()));
    /// let file = saferring::fs::File::create_new(&path).await?;
    /// let (n, _bufs) = file.write_vectored_at((*b"HEAD", vec![0; 12]), 0).await;
    /// assert_eq!(n?, 16);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn write_vectored_at<V: IoVectoredBuf>(&self, bufs: V, offset: u64) -> Op<Writev<V>> {
        Writev::new(&self.fd, bufs, position(offset))
    }

    /// Fills `buf` with what is at `offset`: to its length, or an empty one to its capacity
    /// ([how](crate::buf#how-a-read-fills-a-buffer)). `Vec::with_capacity(n).slice(..n)` reads exactly `n`
    /// bytes.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; otherwise as for [`read_at`](File::read_at), except that a buffer with
    /// no room is full already. A growable buffer then has the length of what was read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the file is as it was.
    ///
    /// # Kernel
    ///
    /// As for `read_at`, once or more often.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (read, bytes) = file.read_exact_at([0; 8], 4).await;
    /// read?;
    /// # assert_eq!(bytes, std::fs::read("Cargo.toml")?[4..12]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn read_exact_at<B: IoBufMut>(&self, mut buf: B, offset: u64) -> BufResult<(), B> {
        let len = buf.fill_len();
        let mut filled = 0;
        while filled < len {
            let at = offset.saturating_add(filled as u64);
            let (read, rest) = self.read_at(buf.slice(filled..len), at).await;
            buf = rest.into_inner();
            match progress(read, ended_early) {
                Ok(n) => filled += n,
                Err(error) => return (Err(Incomplete::after(filled, error)), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Writes all bytes of `buf` at `offset`.
    ///
    /// # Errors
    ///
    /// `WriteZero` if the file takes no more; otherwise as for [`write_at`](File::write_at). A part may be written.
    ///
    /// # Cancel safety
    ///
    /// As for `write_at`.
    ///
    /// # Kernel
    ///
    /// As for `write_at`, once or more often.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-write-all-at-{}", std::process::id()));
    /// let file = saferring::fs::File::create(&path).await?;
    /// let (written, _text) = file.write_all_at("all of it", 0).await;
    /// written?;
    /// assert_eq!(file.metadata().await?.len(), 9);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn write_all_at<B>(&self, mut buf: B, offset: u64) -> BufResult<(), B>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        let len = buf.buf_len();
        let mut done = 0;
        while done < len {
            let at = offset.saturating_add(done as u64);
            let (written, rest) = self.write_at(buf.slice(done..), at).await;
            buf = rest.into_inner();
            match progress(written, takes_no_more) {
                Ok(n) => done += n,
                Err(error) => return (Err(Incomplete::after(done, error)), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Writes all bytes of several buffers at `offset`.
    ///
    /// # Errors
    ///
    /// As for [`write_all_at`](File::write_all_at), and so is cancel safety.
    ///
    /// # Kernel
    ///
    /// As for [`write_vectored_at`](File::write_vectored_at), once or more often.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-write-all-vectored-at-{}", std::process::id()));
    /// let file = saferring::fs::File::create(&path).await?;
    /// let (written, _lines) = file.write_all_vectored_at(vec!["one\n", "two\n"], 0).await;
    /// written?;
    /// assert_eq!(saferring::fs::read_to_string(&path).await?, "one\ntwo\n");
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn write_all_vectored_at<V: IoVectoredBuf>(
        &self,
        bufs: V,
        offset: u64,
    ) -> BufResult<(), V> {
        let mut rest = Unwritten::new(bufs);
        let (mut at, mut done) = (offset, 0);
        while rest.total_len() > 0 {
            let (written, unwritten) = self.write_vectored_at(rest, at).await;
            rest = unwritten;
            match progress(written, takes_no_more) {
                Ok(n) => {
                    rest.advance(n);
                    at = at.saturating_add(n as u64);
                    done += n;
                }
                Err(error) => return (Err(Incomplete::after(done, error)), rest.into_inner()),
            }
        }
        (Ok(()), rest.into_inner())
    }
}
