//! The cursor: the position of the open file itself, which all that share it move.

use std::io::{self, SeekFrom};

use super::File;
use crate::op::{Barrier, Position};

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
    /// lseek(2), once what was dropped in flight has ended. Seeking from the end asks for the length before, by
    /// `STATX`.
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
        // What was dropped may still move it.
        if let Some(barrier) = Barrier::new(&self.fd) {
            barrier.await?;
        }
        let SeekFrom::End(offset) = to else {
            return self.fd.seek(to);
        };
        let Some(len) = self.len().await? else {
            return self.fd.seek(to);
        };
        let target = len.checked_add_signed(offset);
        let target = target.filter(|&target| i64::try_from(target).is_ok());
        let target = target.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        self.fd.seek(SeekFrom::Start(target))
    }

    /// The length, which may have to be fetched from far away, if that is where the end is: of devices, and of files of
    /// the kernel's own, lseek(2) knows more.
    async fn len(&self) -> io::Result<Option<u64>> {
        self.fd.seek(SeekFrom::Current(0))?;
        let metadata = self.metadata().await?;
        let len = Some(metadata.len()).filter(|&len| len > 0);
        Ok(len.filter(|_| metadata.is_file()))
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

    /// Where the next operation by cursor goes. The first call asks the kernel whether there are positions. A seek
    /// alone is no answer, because an eventfd, for one, allows it and takes no notice; nor is the kind of the file
    /// alone, because some of the kernel's own files are streams.
    pub(super) fn position(&mut self) -> io::Result<Position> {
        let positions = match self.positions {
            Some(positions) => positions,
            None => {
                let positions =
                    self.fd.has_positions()? && self.fd.seek(SeekFrom::Current(0)).is_ok();
                *self.positions.insert(positions)
            }
        };
        Ok(match positions {
            true => Position::Cursor,
            false => Position::Stream,
        })
    }
}
