//! A position in a file.

use std::io::{self, SeekFrom};

use super::File;
use crate::op::{CURRENT, Position, SharedFd, SpliceEnd};

/// A position in a file, to [`splice`](crate::io::splice) from or to; see [`File::at`].
#[derive(Debug)]
pub struct FileAt<'a> {
    file: &'a File,
    offset: u64,
}

impl File {
    /// The file from `offset` on, for [`io::splice`](crate::io::splice). The cursor stays where it is.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-at-{}", std::process::id()));
    /// use saferring::fs::File;
    ///
    /// let (from, to) = (File::open("Cargo.toml").await?, File::create(&path).await?);
    /// let moved = saferring::io::splice(from.at(10), to.at(0), 100).await?;
    /// assert_eq!(to.metadata().await?.len(), moved);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn at(&self, offset: u64) -> FileAt<'_> {
        FileAt { file: self, offset }
    }
}

impl SpliceEnd for FileAt<'_> {
    fn fd(&self) -> &SharedFd {
        &self.file.fd
    }

    fn position(&mut self) -> io::Result<u64> {
        Ok(self.offset.min(CURRENT - 1))
    }

    fn advance(&mut self, moved: u64) {
        self.offset = self.offset.saturating_add(moved);
    }
}

/// By the cursor; or a file without positions, such as a pipe.
impl SpliceEnd for &mut File {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn is_cursor(&mut self) -> io::Result<bool> {
        Ok(File::position(self)? == Position::Cursor)
    }

    fn position(&mut self) -> io::Result<u64> {
        match File::position(self)? {
            Position::Cursor => self.fd.seek(SeekFrom::Current(0)),
            _ => Ok(CURRENT),
        }
    }

    fn advance(&mut self, moved: u64) {
        if let (Ok(Position::Cursor), Ok(moved)) = (File::position(self), i64::try_from(moved)) {
            // It has a position, and this is one of them.
            let _ = self.fd.seek(SeekFrom::Current(moved));
        }
    }
}
