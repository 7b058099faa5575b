//! Reads and writes by cursor, one after the other.

use std::io::SeekFrom;

use super::File;
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::io::{AsyncReadExt, AsyncWriteExt};
use crate::op::{Position, Read, Readv, Write, Writev};

/// How much a vectored read of a stream takes at most.
const STREAM_CHUNK: usize = 64 * 1024;

impl File {
    /// Reads from the cursor on into `buf`, up to its capacity, moves the cursor, and returns how many bytes it read,
    /// at the end of the file 0, with the buffer. How a read fills a buffer is told in [`buf`](crate::buf).
    ///
    /// # Errors
    ///
    /// As for [`read_at`](File::read_at). The cursor then stays.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the cursor is back where it was when the kernel is done, which the next read,
    /// write or seek waits for; and what arrived from a pipe or a terminal is kept for the next read.
    ///
    /// # Kernel
    ///
    /// One `READ`; see read(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let mut file = saferring::fs::File::open("Cargo.toml").await?;
    /// let mut total = 0;
    /// let mut buf = Vec::with_capacity(4096);
    /// loop {
    ///     let (n, chunk) = file.read(buf).await;
    ///     match n? {
    ///         0 => break,
    ///         n => total += n as u64,
    ///     }
    ///     buf = chunk;
    /// }
    /// assert_eq!(total, file.metadata().await?.len());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        match self.position() {
            Ok(at) => Read::new(&self.fd, buf, at).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// Writes the bytes of `buf` from the cursor on, moves the cursor, and returns how many it wrote, which may be
    /// fewer, with the buffer.
    ///
    /// If the file was opened with [`append`](super::OpenOptions::append), the kernel ignores the offset and writes at
    /// the end of the file, and the cursor does not tell where.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](File::write_at). The cursor then stays.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open how much is written; the cursor is behind that. The next write by cursor waits
    /// until that is settled, so it cannot be overtaken.
    ///
    /// # Kernel
    ///
    /// One `WRITE`, as for `write_at`; see write(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-cursor-write-{}", std::process::id()));
    /// let mut file = saferring::fs::File::create(&path).await?;
    /// let (n, _text) = file.write("some text").await;
    /// assert_eq!(n? as u64, file.stream_position().await?);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn write<B>(&mut self, buf: B) -> BufResult<usize, B>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        match self.position() {
            Ok(at) => Write::new(&self.fd, buf, at).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// As [`read`](File::read), into several buffers, filled one after the other.
    ///
    /// # Errors
    ///
    /// As for `read`, and so are panics and cancel safety.
    ///
    /// # Kernel
    ///
    /// One `READV`, of at most 1024 buffers. From a file without positions at most 64 KiB, by way of a buffer of its
    /// own.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let mut file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (n, (_head, _rest)) = file.read_vectored(([0; 4], vec![0; 8])).await;
    /// assert_eq!(n?, 12);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        match self.position() {
            Ok(Position::Stream) => {
                // What a dropped read received must be kept, and `Readv` cannot do that.
                let room = bufs.total_capacity().min(STREAM_CHUNK);
                let (read, bytes) = self.read(Vec::with_capacity(room).slice(..room)).await;
                (read.map(|_| bufs.fill_from(&bytes)), bufs)
            }
            Ok(at) => Readv::new(&self.fd, bufs, at).await,
            Err(error) => (Err(error), bufs),
        }
    }

    /// As [`write`](File::write), from several buffers.
    ///
    /// # Errors
    ///
    /// As for `write`, and so are panics and cancel safety.
    ///
    /// # Kernel
    ///
    /// One `WRITEV`, of at most 1024 buffers; see writev(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-cursor-writev-{}", std::process::id()));
    /// let mut file = saferring::fs::File::create(&path).await?;
    /// let (n, _parts) = file.write_vectored((*b"HEAD", "body")).await;
    /// assert_eq!(n?, 8);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        match self.position() {
            Ok(at) => Writev::new(&self.fd, bufs, at).await,
            Err(error) => (Err(error), bufs),
        }
    }

    /// Fills `buf`: to its length, or an empty one to its capacity ([how](crate::buf#how-a-read-fills-a-buffer)).
    /// `Vec::with_capacity(n).slice(..n)` reads exactly `n` bytes.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; otherwise as for [`read`](File::read), except that a buffer with no
    /// room is full already. The cursor is then behind what was read, which the buffer holds.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the cursor is then behind what was read, and the buffer is gone.
    ///
    /// # Kernel
    ///
    /// As for `read`, once or more often.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let mut file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (read, magic) = file.read_exact([0; 8]).await;
    /// read?;
    /// # assert_eq!(magic, std::fs::read("Cargo.toml")?[..8]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn read_exact<B: IoBufMut>(&mut self, buf: B) -> BufResult<(), B> {
        AsyncReadExt::read_exact(self, buf).await
    }

    /// Writes all bytes of `buf`.
    ///
    /// # Errors
    ///
    /// `WriteZero` if the file takes no more; otherwise as for [`write`](File::write). The cursor is then behind what
    /// was written.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: an unknown part is written then, and the cursor is behind that.
    ///
    /// # Kernel
    ///
    /// As for `write`, once or more often.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-write-all-{}", std::process::id()));
    /// let mut file = saferring::fs::File::create_new(&path).await?;
    /// for line in ["one\n", "two\n"] {
    ///     let (written, _line) = file.write_all(line).await;
    ///     written?;
    /// }
    /// file.rewind().await?;
    /// let (n, text) = file.read_to_end(Vec::new()).await;
    /// assert_eq!((n?, &text[..]), (8, &b"one\ntwo\n"[..]));
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn write_all<B>(&mut self, buf: B) -> BufResult<(), B>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        AsyncWriteExt::write_all(self, buf).await
    }

    /// Reads to the end of the file, appends that to `buf`, and returns how many bytes it was, with the buffer.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` if the buffer cannot grow; otherwise as for [`read`](File::read). The cursor is then behind what
    /// was read, which the buffer holds.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the cursor is then behind what was read, and the buffer is gone.
    ///
    /// # Kernel
    ///
    /// One `STATX` to learn the length, then as for `read`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let mut file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (read, bytes) = file.read_to_end(Vec::new()).await;
    /// assert_eq!(read?, bytes.len());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn read_to_end(&mut self, mut buf: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        if let Some(rest) = self.rest_hint().await {
            // One byte more than the file has, so that its end is seen without growing.
            if let Err(error) = buf.try_reserve(rest.saturating_add(1)) {
                return (Err(error.into()), buf);
            }
        }
        AsyncReadExt::read_to_end(self, buf).await
    }

    /// How much there is to read from the cursor on, if the file tells its length.
    async fn rest_hint(&mut self) -> Option<usize> {
        let position = self.fd.seek(SeekFrom::Current(0)).ok()?;
        let metadata = self.metadata().await.ok()?;
        let rest = metadata.len().saturating_sub(position);
        // What says 0 may be a file of the kernel's own, of any length.
        usize::try_from(rest)
            .ok()
            .filter(|&rest| metadata.is_file() && rest > 0)
    }
}
