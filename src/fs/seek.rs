//! Where the cursor is.

use std::io::{self, SeekFrom};

use super::File;
use crate::op::CURRENT;

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
    pub(super) fn place(&mut self) -> io::Result<u64> {
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
    pub(super) fn advance(&mut self, transferred: io::Result<usize>) -> io::Result<usize> {
        if let (Cursor::At(position), Ok(n)) = (&mut self.cursor, &transferred) {
            *position = position.saturating_add(*n as u64);
        }
        transferred
    }
}
