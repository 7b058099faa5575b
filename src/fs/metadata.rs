//! What the file system knows about a file.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::op::StatxBuf;

/// What the file system knows about a file: the answer of [`metadata`](super::metadata()) and
/// [`File::metadata`](super::File::metadata).
///
/// The methods have the names and units of [`std::fs::Metadata`] and [`std::os::unix::fs::MetadataExt`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let metadata = saferring::fs::metadata("Cargo.toml").await?;
/// assert!(metadata.is_file());
/// println!("{} bytes, mode {:o}, {:?}", metadata.len(), metadata.mode(), metadata.modified()?);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Metadata(StatxBuf);

/// What kind of file a file is; from [`Metadata::file_type`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileType(u32);

impl Metadata {
    pub(super) fn new(answer: StatxBuf) -> Self {
        Metadata(answer)
    }

    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType(self.mode() & libc::S_IFMT)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a symbolic link; only [`symlink_metadata`](super::symlink_metadata) finds those.
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// The length in bytes. It is 0 for most files that the kernel makes up, such as those in `/proc`.
    // A file's length is not that of a container: std has no `is_empty` here either.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.0.stx_size
    }

    /// Who may do what with it.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// When the contents last changed.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the file system gives a time that a `SystemTime` cannot hold.
    pub fn modified(&self) -> io::Result<SystemTime> {
        system_time(self.mtime(), self.0.stx_mtime.tv_nsec)
    }

    /// When it was last read, if the file system keeps that up to date (see `noatime` in mount(8)).
    ///
    /// # Errors
    ///
    /// `Unsupported` if the file system gives a time that a `SystemTime` cannot hold.
    pub fn accessed(&self) -> io::Result<SystemTime> {
        system_time(self.atime(), self.0.stx_atime.tv_nsec)
    }

    /// When it was made.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the file system does not keep that.
    pub fn created(&self) -> io::Result<SystemTime> {
        if self.0.stx_mask & libc::STATX_BTIME == 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the file system does not keep the time of creation",
            ));
        }
        system_time(self.0.stx_btime.tv_sec, self.0.stx_btime.tv_nsec)
    }

    /// The device that the file is on; with [`ino`](Metadata::ino) it names the file, whatever paths lead there.
    pub fn dev(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The inode number.
    pub fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    /// Kind of file and permissions, as `st_mode` has them.
    pub fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    /// How many hard links there are.
    pub fn nlink(&self) -> u64 {
        self.0.stx_nlink.into()
    }

    /// The owner's user ID.
    pub fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    /// The owning group's ID.
    pub fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    /// Which device a device file stands for.
    pub fn rdev(&self) -> u64 {
        libc::makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }

    /// The length in bytes, as [`len`](Metadata::len).
    pub fn size(&self) -> u64 {
        self.len()
    }

    /// Seconds of the last access since the epoch.
    pub fn atime(&self) -> i64 {
        self.0.stx_atime.tv_sec
    }

    /// Nanoseconds of the last access, past [`atime`](Metadata::atime).
    pub fn atime_nsec(&self) -> i64 {
        self.0.stx_atime.tv_nsec.into()
    }

    /// Seconds of the last change of the contents since the epoch.
    pub fn mtime(&self) -> i64 {
        self.0.stx_mtime.tv_sec
    }

    /// Nanoseconds of the last change of the contents, past [`mtime`](Metadata::mtime).
    pub fn mtime_nsec(&self) -> i64 {
        self.0.stx_mtime.tv_nsec.into()
    }

    /// Seconds of the last change of contents or metadata since the epoch.
    pub fn ctime(&self) -> i64 {
        self.0.stx_ctime.tv_sec
    }

    /// Nanoseconds of the last change of contents or metadata, past [`ctime`](Metadata::ctime).
    pub fn ctime_nsec(&self) -> i64 {
        self.0.stx_ctime.tv_nsec.into()
    }

    /// The size in bytes that the file system prefers for reads and writes.
    pub fn blksize(&self) -> u64 {
        self.0.stx_blksize.into()
    }

    /// How much room the file takes, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }
}

impl FileType {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.0 == libc::S_IFREG
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.0 == libc::S_IFDIR
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0 == libc::S_IFLNK
    }

    /// Whether it is a block device.
    pub fn is_block_device(&self) -> bool {
        self.0 == libc::S_IFBLK
    }

    /// Whether it is a character device.
    pub fn is_char_device(&self) -> bool {
        self.0 == libc::S_IFCHR
    }

    /// Whether it is a pipe.
    pub fn is_fifo(&self) -> bool {
        self.0 == libc::S_IFIFO
    }

    /// Whether it is a socket.
    pub fn is_socket(&self) -> bool {
        self.0 == libc::S_IFSOCK
    }
}

fn system_time(seconds: i64, nanoseconds: u32) -> io::Result<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    whole
        .and_then(|whole| whole.checked_add(Duration::from_nanos(nanoseconds.into())))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "the file's time is out of range",
            )
        })
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("mode", &format_args!("{:o}", self.mode()))
            .field("len", &self.len())
            .field("ino", &self.ino())
            .field("modified", &self.modified().ok())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_count_their_nanoseconds_forwards() {
        let time = system_time(-2, 500_000_000).unwrap();
        assert_eq!(
            UNIX_EPOCH.duration_since(time).unwrap(),
            Duration::from_millis(1500)
        );
        let time = system_time(2, 5).unwrap();
        assert_eq!(
            time.duration_since(UNIX_EPOCH).unwrap(),
            Duration::new(2, 5)
        );
    }

    #[test]
    fn times_out_of_range_are_errors() {
        assert!(system_time(i64::MIN, 0).is_ok_and(|time| time < UNIX_EPOCH));
        assert!(system_time(i64::MAX, u32::MAX).is_err());
    }
}
