//! An open file.

use std::fmt;
use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::Metadata;
use super::fallback::blocking;
use crate::op::{Fallocate, Fsync, Ftruncate, Op, SharedFd, Statx, checkpoint};

/// An open file.
///
/// It is read and written by position, through `&self` and any number of operations at once, or by a cursor, through
/// `&mut self`; see the [module's documentation](super). The cursor is the position of the open file itself, as in std:
/// all that share the open file move it. A read whose future was dropped puts it back, so that it loses nothing.
///
/// Dropping the file closes it, when what is in flight on it has ended, and ignores errors; [`close`](File::close)
/// reports them.
///
/// # Examples
///
/// Two reads at once, from different places:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use futures_util::future::join;
/// use saferring::fs::File;
///
/// let file = File::open("Cargo.toml").await?;
/// let ((one, first), (two, second)) = join(file.read_at([0; 16], 0), file.read_at([0; 16], 16)).await;
/// assert_eq!((one?, two?), (16, 16));
/// # let whole = std::fs::read("Cargo.toml")?;
/// # assert_eq!([first, second].concat(), whole[..32]);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct File {
    pub(super) fd: SharedFd,
    /// Whether it has positions, once that was asked.
    pub(super) positions: Option<bool>,
}

impl File {
    pub(super) fn new(fd: SharedFd) -> Self {
        File {
            fd,
            positions: None,
        }
    }

    /// Whether buffered writes are done at once, by the calling thread (`true`), or by a thread of the kernel (`false`,
    /// the default). It concerns this file's writes that are first polled afterwards, but vectored ones, and those to
    /// what has no positions, such as a pipe, which might never end.
    ///
    /// A buffered write through io_uring always goes to a thread of the kernel, whatever the page cache holds. Done at
    /// once it costs less CPU time, but stops all tasks of the core for as long as the copy takes, and for longer when
    /// the kernel makes the writer wait for the disk. For small writes to files that are not written faster than the
    /// disk takes them, such as logs, that is the better choice; BENCHMARKS.md has the figures.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-inline-{}", std::process::id()));
    /// use saferring::fs::File;
    ///
    /// let mut log = File::create(&path).await?;
    /// log.set_inline_writes(true);
    /// let (written, _) = log.write_all("started\n").await;
    /// written?;
    /// # assert_eq!(std::fs::read(&path)?, b"started\n");
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn set_inline_writes(&self, inline: bool) {
        self.fd.set_inline_writes(inline);
    }

    /// Brings data and metadata to the disk.
    ///
    /// Only what has been written is meant: await the writes first. A file that was made is only sure to be found after
    /// a crash when its directory was synced as well: open the directory and sync that.
    ///
    /// # Errors
    ///
    /// What fsync(2) says. After `EIO` the kernel may have dropped the data, and another sync does not bring it back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the data is on the disk.
    ///
    /// # Kernel
    ///
    /// One `FSYNC`, carried out by a thread of the kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-sync-{}", std::process::id()));
    /// let file = saferring::fs::File::create(&path).await?;
    /// file.write_all_at("to be kept", 0).await.0?;
    /// file.sync_all().await?;
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn sync_all(&self) -> Op<Fsync> {
        Fsync::new(&self.fd, false)
    }

    /// Brings data to the disk, and of the metadata what it takes to read it back; as [`sync_all`](File::sync_all).
    ///
    /// # Errors
    ///
    /// What fdatasync(2) says.
    ///
    /// # Cancel safety
    ///
    /// As for [`sync_all`](File::sync_all), and so is what the kernel does.
    pub fn sync_data(&self) -> Op<Fsync> {
        Fsync::new(&self.fd, true)
    }

    /// What the file system knows about the file.
    ///
    /// # Errors
    ///
    /// What statx(2) says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Kernel
    ///
    /// One `STATX`, carried out by a thread of the kernel.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        Statx::file(&self.fd).await.map(Metadata::new)
    }

    /// Cuts the file off at `len` bytes, or fills it up with zeros. The cursor stays where it is.
    ///
    /// # Errors
    ///
    /// What ftruncate(2) says, such as `InvalidInput` if the file is not open for writing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happens.
    ///
    /// # Kernel
    ///
    /// `FTRUNCATE` since 6.9, carried out by a thread of the kernel; before that ftruncate(2) on a thread of the runtime's.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-set-len-{}", std::process::id()));
    /// let file = saferring::fs::File::create(&path).await?;
    /// file.set_len(1 << 20).await?; // a megabyte of zeros that takes no room
    /// assert_eq!(file.metadata().await?.len(), 1 << 20);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        Ftruncate::new(&self.fd, len).await
    }

    /// Reserves room for `len` bytes from `offset` on, so that writing them cannot fail for want of space. The file
    /// grows to hold them, filled with zeros.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` ([`Unsupported`](io::ErrorKind::Unsupported)) if the file system cannot, `StorageFull`,
    /// `InvalidInput` if `len` is 0; otherwise what fallocate(2) says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happens.
    ///
    /// # Kernel
    ///
    /// One `FALLOCATE`, carried out by a thread of the kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-allocate-{}", std::process::id()));
    /// let file = saferring::fs::File::create_new(&path).await?;
    /// match file.allocate(0, 4096).await {
    ///     Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {} // not on this file system
    ///     allocated => allocated.map(|()| println!("there is room"))?,
    /// }
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn allocate(&self, offset: u64, len: u64) -> Op<Fallocate> {
        Fallocate::new(&self.fd, offset, len)
    }

    /// Sets who may do what with the file.
    ///
    /// # Errors
    ///
    /// What fchmod(2) says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happens.
    ///
    /// # Kernel
    ///
    /// There is no such operation: it is done by a blocking thread, on a duplicate of the descriptor. (Closing the
    /// duplicate ends fcntl(2) record locks that the process has on the file, but not those of flock(2).)
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        checkpoint()?;
        let file = self.duplicate()?;
        blocking(move || file.set_permissions(permissions)).await
    }

    /// The same descriptor once more: it is closed for both.
    #[cfg(feature = "remote")]
    pub(crate) fn share(&self) -> File {
        File {
            fd: self.fd.clone(),
            positions: self.positions,
        }
    }

    /// Another descriptor of the same open file, by dup(2). The two share the cursor, as in std.
    ///
    /// # Errors
    ///
    /// If no descriptor is free.
    pub fn try_clone(&self) -> io::Result<File> {
        let fd = self.fd.as_fd().try_clone_to_owned()?;
        Ok(File {
            fd: SharedFd::new(fd),
            positions: self.positions,
        })
    }

    fn duplicate(&self) -> io::Result<std::fs::File> {
        Ok(self.fd.as_fd().try_clone_to_owned()?.into())
    }

    /// Cancels what is in flight on the file, waits until that has ended, and closes the file.
    ///
    /// # Errors
    ///
    /// What close(2) says: some network file systems report here that a write has failed. The file is closed even so.
    ///
    /// # Cancel safety
    ///
    /// The file is closed even if the future is dropped.
    ///
    /// # Kernel
    ///
    /// One `CLOSE`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-close-{}", std::process::id()));
    /// let mut file = saferring::fs::File::create(&path).await?;
    /// file.write_all("contents").await.0?;
    /// file.close().await?;
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub fn close(self) -> impl Future<Output = io::Result<()>> {
        self.fd.close()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.fd.as_raw_fd())
            .finish()
    }
}
