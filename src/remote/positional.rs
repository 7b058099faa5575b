//! Reads and writes by position.

use std::future::Future;

use super::file::File;
use crate::buf::{BufResult, IoBuf, IoBufMut};

impl File {
    /// Reads at `offset` into `buf`, up to its capacity, and returns how many bytes it read, at the end of the file 0,
    /// with the buffer; as [`fs::File::read_at`](crate::fs::File::read_at).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the buffer has no room, the offset exceeds `i64::MAX`, or the file was opened with
    /// [`direct`](crate::fs::OpenOptions::direct) and buffer, length or offset is not aligned; `NotConnected` if the service
    /// has ended; otherwise what pread(2) says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the file is as it was.
    ///
    /// # Kernel
    ///
    /// One `READ`: done in the call that submits it if the page cache holds the data.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// let file = files.open("Cargo.toml").await?;
    /// let (n, buf) = file.read_at(vec![0; 64], 2).await;
    /// assert_eq!(n?, buf.len());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn read_at<B: IoBufMut + Send>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + Send + use<B> {
        self.with(buf, move |file, buf| file.read_at(buf, offset))
    }

    /// Writes the bytes of `buf` at `offset`, and returns how many it wrote, which may be fewer, with the buffer; as
    /// [`fs::File::write_at`](crate::fs::File::write_at).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the offset exceeds `i64::MAX`, or the file was opened with
    /// [`direct`](crate::fs::OpenOptions::direct) and buffer, length or offset is not aligned; `StorageFull`; `NotConnected` if
    /// the service has ended; otherwise what pwrite(2) says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open how much is written. The write may even happen later, so do not write to the
    /// same place again before you know: keep the future, or [`close`](File::close) the file.
    ///
    /// # Kernel
    ///
    /// One `WRITE`. A buffered one goes to a thread of the kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-remote-write-at-{}", std::process::id()));
    /// let file = files.create(&path).await?;
    /// let (n, _text) = file.write_at("middle", 100).await;
    /// assert_eq!(n?, 6);
    /// assert_eq!(file.len().await?, 106);
    /// # std::fs::remove_file(&path)
    /// # })
    /// # }
    /// ```
    pub fn write_at<B>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + Send + use<B>
    where
        B: IoBuf + Send, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        self.with(buf, move |file, buf| file.write_at(buf, offset))
    }

    /// Fills `buf` with what is at `offset`: to its length, or an empty one to its capacity; as
    /// [`fs::File::read_exact_at`](crate::fs::File::read_exact_at).
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
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// let file = files.open("Cargo.toml").await?;
    /// let (read, bytes) = file.read_exact_at([0; 8], 4).await;
    /// read?;
    /// # assert_eq!(bytes, std::fs::read("Cargo.toml")?[4..12]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn read_exact_at<B: IoBufMut + Send>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + Send + use<B> {
        self.with(buf, move |file, buf| async move {
            file.read_exact_at(buf, offset).await
        })
    }

    /// Writes all bytes of `buf` at `offset`; as [`fs::File::write_all_at`](crate::fs::File::write_all_at).
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
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-remote-write-all-at-{}", std::process::id()));
    /// let file = files.create(&path).await?;
    /// let (written, _text) = file.write_all_at("all of it", 0).await;
    /// written?;
    /// file.sync_all().await?;
    /// # assert_eq!(std::fs::read(&path)?, b"all of it");
    /// # std::fs::remove_file(&path)
    /// # })
    /// # }
    /// ```
    pub fn write_all_at<B>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + Send + use<B>
    where
        B: IoBuf + Send, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        self.with(buf, move |file, buf| async move {
            file.write_all_at(buf, offset).await
        })
    }
}
