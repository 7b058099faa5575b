//! Conversions from and to files of std and descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::File;
use crate::op::SharedFd;

impl File {
    /// Takes over a file of std, with its position, which is the cursor.
    pub fn from_std(file: std::fs::File) -> File {
        OwnedFd::from(file).into()
    }

    /// Gives the file to std, with its position, which is the cursor.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` if operations are in flight on the file, or bytes of a pipe that arrived for a dropped read were
    /// not read yet; the file is then closed when the operations end. To keep it, use `std::fs::File::try_from(file)`,
    /// which gives it back.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let mut file = saferring::fs::File::open("Cargo.toml").await?;
    /// let (read, _) = file.read_exact([0; 10]).await;
    /// read?;
    /// let mut file = file.into_std()?;
    /// assert_eq!(std::io::Seek::stream_position(&mut file)?, 10);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn into_std(self) -> io::Result<std::fs::File> {
        self.try_into().map_err(|_: File| {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                "operations are in flight on the file: await or drop them, and their completion, first",
            )
        })
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        File::from_std(file)
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        File::new(SharedFd::new(fd))
    }
}

impl TryFrom<File> for std::fs::File {
    /// The file itself, if operations are in flight on it.
    type Error = File;

    fn try_from(file: File) -> Result<Self, File> {
        let File { fd, positions } = file;
        match fd.into_owned() {
            Ok(fd) => Ok(fd.into()),
            Err(fd) => Err(File { fd, positions }),
        }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
