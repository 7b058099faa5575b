//! Reads and writes by cursor, one after the other.

use std::io::{self, SeekFrom};

use super::File;
use super::positional::{unexpected_eof, write_zero};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::op::{CURRENT, Read, Readv, Write, Writev};

/// How much a vectored read of a stream takes at most.
const STREAM_CHUNK: usize = 64 * 1024;

/// What [`File::read_to_end`] makes room for when the file does not tell its length.
const FIRST_CHUNK: usize = 8 * 1024;

/// Where the next read or write by cursor starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Not asked yet: see [`File::place`].
    Unknown,
    /// At this offset.
    At(u64),
    /// The file has no positions: a pipe, a terminal, a socket.
    Stream,
}

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
    /// Dropping the future loses nothing: the cursor has not moved, and what arrived from a pipe or a terminal is kept
    /// for the next read.
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
        let at = match self.place() {
            Ok(at) => at,
            Err(error) => return (Err(error), buf),
        };
        let (read, buf) = Read::new(&self.fd, buf, at).await;
        (self.advance(read), buf)
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
    /// Dropping the future leaves open how much is written; the cursor has not moved. The next write by cursor waits
    /// until that is settled, so it cannot be overtaken.
    ///
    /// # Kernel
    ///
    /// One `WRITE`, as for `write_at`; see write(2).
    pub async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let at = match self.place() {
            Ok(at) => at,
            Err(error) => return (Err(error), buf),
        };
        let (written, buf) = Write::ordered(&self.fd, buf, at).await;
        (self.advance(written), buf)
    }

    /// As [`read`](File::read), into several buffers, filled one after the other.
    ///
    /// # Errors
    ///
    /// As for `read`, and so are panics and cancel safety.
    ///
    /// # Kernel
    ///
    /// One `READV`, of at most 1024 buffers. From a file without positions at most 64 KiB by way of a buffer of its own.
    pub async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut bufs: V) -> BufResult<usize, V> {
        match self.place() {
            Ok(CURRENT) => {
                // What a dropped read received must be kept, and `Readv` cannot do that.
                let room = bufs.total_capacity().min(STREAM_CHUNK);
                let (read, bytes) = self.read(Vec::with_capacity(room).slice(..room)).await;
                (read.map(|_| bufs.fill_from(&bytes)), bufs)
            }
            Ok(at) => {
                let (read, bufs) = Readv::new(&self.fd, bufs, at).await;
                (self.advance(read), bufs)
            }
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
    pub async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        let at = match self.place() {
            Ok(at) => at,
            Err(error) => return (Err(error), bufs),
        };
        let (written, bufs) = Writev::ordered(&self.fd, bufs, at).await;
        (self.advance(written), bufs)
    }

    /// Fills `buf` to its capacity. `Vec::with_capacity(n).slice(..n)` reads exactly `n` bytes.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; otherwise as for [`read`](File::read), except that a buffer with no room
    /// is full already. The cursor is then behind what was read, which the buffer holds.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the cursor is then behind what was read, and the buffer is gone.
    ///
    /// # Kernel
    ///
    /// As for `read`, once or more often.
    pub async fn read_exact<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<(), B> {
        let len = buf.buf_capacity();
        let mut filled = 0;
        while filled < len {
            let (read, rest) = self.read(buf.slice(filled..)).await;
            buf = rest.into_inner();
            match read {
                Ok(0) => return (Err(unexpected_eof()), buf),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
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
    /// Not cancel safe: the cursor is then behind some of what was written, and the next write overwrites the rest.
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
    pub async fn write_all<B: IoBuf>(&mut self, mut buf: B) -> BufResult<(), B> {
        let len = buf.buf_len();
        let mut done = 0;
        while done < len {
            let (written, rest) = self.write(buf.slice(done..)).await;
            buf = rest.into_inner();
            match written {
                Ok(0) => return (Err(write_zero()), buf),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
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
    pub async fn read_to_end(&mut self, mut buf: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        let begin = buf.len();
        // One byte more than the file has, so that its end is seen without growing.
        let mut room = self
            .rest_hint()
            .await
            .map_or(FIRST_CHUNK, |n| n.saturating_add(1));
        loop {
            let len = buf.len();
            if buf.capacity() == len {
                if let Err(error) = buf.try_reserve(room) {
                    return (Err(io::Error::new(io::ErrorKind::OutOfMemory, error)), buf);
                }
                room = FIRST_CHUNK;
            }
            let (read, rest) = self.read(buf.slice(len..)).await;
            buf = rest.into_inner();
            match read {
                Ok(0) => return (Ok(len - begin), buf),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buf),
            }
        }
    }

    /// How much there is to read from the cursor on, if the file tells its length.
    async fn rest_hint(&mut self) -> Option<usize> {
        self.place().ok()?;
        let Cursor::At(position) = self.cursor else {
            return None;
        };
        let metadata = self.metadata().await.ok()?;
        let rest = metadata.len().saturating_sub(position);
        // What says 0 may be a file of the kernel's own, of any length.
        usize::try_from(rest)
            .ok()
            .filter(|&rest| metadata.is_file() && rest > 0)
    }

    /// Moves the cursor, and returns where it is then, in bytes from the start. It may be beyond the end.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that is before the start or beyond `i64::MAX`; `NotSeekable` if the file has no positions. The
    /// cursor then stays.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the cursor has not moved.
    ///
    /// # Kernel
    ///
    /// The cursor is kept in user space. Seeking from the end asks for the length, by `STATX` or lseek(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use std::io::SeekFrom;
    ///
    /// let mut file = saferring::fs::File::open("Cargo.toml").await?;
    /// let end = file.seek(SeekFrom::End(0)).await?;
    /// assert_eq!(end, file.metadata().await?.len());
    /// assert_eq!(file.seek(SeekFrom::Current(-4)).await?, end - 4);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.place()?;
        let Cursor::At(position) = self.cursor else {
            return Err(io::Error::from_raw_os_error(libc::ESPIPE));
        };
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.end().await?.checked_add_signed(offset),
        };
        match target {
            Some(target) if i64::try_from(target).is_ok() => {
                self.cursor = Cursor::At(target);
                Ok(target)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot seek before the start of a file or beyond i64::MAX",
            )),
        }
    }

    /// Where the file ends.
    async fn end(&self) -> io::Result<u64> {
        let metadata = self.metadata().await?;
        if metadata.is_file() {
            Ok(metadata.len())
        } else {
            // A block device has its length nowhere else.
            self.fd.seek(SeekFrom::End(0))
        }
    }

    /// Where the cursor is, in bytes from the start.
    ///
    /// # Errors
    ///
    /// `NotSeekable` if the file has no positions.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stream_position(&mut self) -> io::Result<u64> {
        self.seek(SeekFrom::Current(0)).await
    }

    /// Moves the cursor to the start.
    ///
    /// # Errors
    ///
    /// `NotSeekable` if the file has no positions.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the cursor has not moved.
    pub async fn rewind(&mut self) -> io::Result<()> {
        self.seek(SeekFrom::Start(0)).await.map(drop)
    }

    /// The offset for the next operation by cursor; [`CURRENT`] for a file without positions. The first call asks the
    /// kernel.
    fn place(&mut self) -> io::Result<u64> {
        if self.cursor == Cursor::Unknown {
            self.cursor = match self.fd.seek(SeekFrom::Current(0)) {
                Ok(position) => Cursor::At(position),
                Err(error) if error.kind() == io::ErrorKind::NotSeekable => Cursor::Stream,
                Err(error) => return Err(error),
            };
        }
        Ok(match self.cursor {
            Cursor::At(position) => position,
            Cursor::Unknown | Cursor::Stream => CURRENT,
        })
    }

    /// Moves the cursor by what an operation has transferred.
    fn advance(&mut self, transferred: io::Result<usize>) -> io::Result<usize> {
        if let (Cursor::At(position), Ok(n)) = (&mut self.cursor, &transferred) {
            *position = position.saturating_add(*n as u64);
        }
        transferred
    }
}
