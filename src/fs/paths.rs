//! What one does with paths.

use std::io;
use std::path::{Path, PathBuf};

use super::Metadata;
use super::path_error::at;
use crate::op::{MkdirAt, RenameAt, Statx, UnlinkAt};

/// The mode of a new directory, before the umask takes its part.
const DIRECTORY_MODE: u32 = 0o777;

/// Gives a file or directory another name, in the place of what has that name already.
///
/// # Errors
///
/// `NotFound`, `CrossesDevices` if the two are on different file systems; otherwise what rename(2) says.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether it happens.
///
/// # Kernel
///
/// One `RENAMEAT`, carried out by a thread of the kernel; without that opcode by a thread of the runtime's.
///
/// # Examples
///
/// Replacing a file as a whole, so that a reader sees the old contents or the new:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs::{self, File};
///
/// # let path = std::env::temp_dir().join(format!("saferring-rename-{}", std::process::id()));
/// let beside = path.with_extension("new");
/// let file = File::create(&beside).await?;
/// file.write_all_at("contents", 0).await.0?;
/// file.sync_all().await?;
/// fs::rename(&beside, &path).await?;
/// # fs::remove_file(&path).await
/// # })
/// # }
/// ```
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    RenameAt::new(from.as_ref(), to.as_ref())?.await
}

/// Removes a file: its name now, its contents when nobody has it open any more.
///
/// # Errors
///
/// `NotFound`, `IsADirectory`; otherwise what unlink(2) says.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether it happens.
///
/// # Kernel
///
/// One `UNLINKAT`, carried out by a thread of the kernel; without that opcode by a thread of the runtime's.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let error = saferring::fs::remove_file("/no/such/file").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// # });
/// ```
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    UnlinkAt::new(path.as_ref(), 0)?.await
}

/// Removes an empty directory.
///
/// # Errors
///
/// `NotFound`, `NotADirectory`, `DirectoryNotEmpty`; otherwise what rmdir(2) says.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether it happens.
///
/// # Kernel
///
/// As for [`remove_file`].
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    UnlinkAt::new(path.as_ref(), libc::AT_REMOVEDIR)?.await
}

/// Makes a directory, with mode 0o777 minus the umask.
///
/// # Errors
///
/// `AlreadyExists`, `NotFound` if the directory it is to be in does not exist; otherwise what mkdir(2) says.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether it happens.
///
/// # Kernel
///
/// One `MKDIRAT`, carried out by a thread of the kernel; without that opcode (before 5.15) by a thread of the runtime's.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// # let dir = std::env::temp_dir().join(format!("saferring-dir-{}", std::process::id()));
/// saferring::fs::create_dir(&dir).await?;
/// assert!(saferring::fs::metadata(&dir).await?.is_dir());
/// saferring::fs::remove_dir(&dir).await?;
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    make_dir(path.as_ref().to_owned()).await
}

async fn make_dir(path: PathBuf) -> io::Result<()> {
    MkdirAt::new(&path, DIRECTORY_MODE)?.await
}

/// Makes a directory and those it is to be in. It is no error if they exist, nor if someone else makes them meanwhile.
///
/// # Errors
///
/// `NotADirectory` or `AlreadyExists` if something on the way is no directory; otherwise what mkdir(2) says. If it is
/// about another directory than the one given, a [`PathError`](super::PathError) inside tells which.
/// Directories that were made by then stay.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves open how many of the directories are made.
///
/// # Kernel
///
/// As for [`create_dir`], once for each directory that is missing.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs;
///
/// # let top = std::env::temp_dir().join(format!("saferring-dirs-{}", std::process::id()));
/// fs::create_dir_all(top.join("a/b")).await?;
/// fs::create_dir_all(top.join("a/b")).await?; // no error
/// assert!(fs::metadata(top.join("a/b")).await?.is_dir());
/// # for dir in ["a/b", "a", ""] { fs::remove_dir(top.join(dir)).await?; }
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    // The caller knows the path that was given.
    let explain = |dir: &Path, error| {
        if dir == path { error } else { at(dir)(error) }
    };
    // Upwards until one can be made or is there, then down again. A name like `a/..` may be missing on the way up and
    // be there on the way down.
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(dir) = next.filter(|dir| !dir.as_os_str().is_empty()) {
        match make_or_find_dir(dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(dir),
            Err(error) => return Err(explain(dir, error)),
            Ok(()) => break,
        }
        next = dir.parent();
    }
    for dir in missing.into_iter().rev() {
        let made = make_or_find_dir(dir).await;
        made.map_err(|error| explain(dir, error))?;
    }
    Ok(())
}

async fn make_or_find_dir(dir: &Path) -> io::Result<()> {
    match make_dir(dir.to_owned()).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // Some file systems refuse before they look whether it is there.
        Err(error) => match metadata(dir).await {
            Ok(found) if found.is_dir() => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// What the file system knows about the file at `path`; of a symbolic link, about the file it leads to.
///
/// # Errors
///
/// `NotFound`, `PermissionDenied` if a directory on the way cannot be searched; otherwise what statx(2) says.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Kernel
///
/// One `STATX`, carried out by a thread of the kernel.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let metadata = saferring::fs::metadata("Cargo.toml").await?;
/// assert!(metadata.is_file() && metadata.len() > 0);
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    Statx::path(path.as_ref(), 0)?.await.map(Metadata::new)
}

/// As [`metadata`], but of a symbolic link about the link itself.
///
/// # Errors
///
/// As for [`metadata`], and so are panics, cancel safety and kernel.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let metadata = saferring::fs::symlink_metadata("/proc/self").await?;
/// assert!(metadata.is_symlink());
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    Statx::path(path.as_ref(), libc::AT_SYMLINK_NOFOLLOW)?
        .await
        .map(Metadata::new)
}

/// Whether there is a file at `path`; a symbolic link that leads nowhere is none.
///
/// # Errors
///
/// If that cannot be told, such as `PermissionDenied` if a directory on the way cannot be searched.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Kernel
///
/// As for [`metadata`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// assert!(saferring::fs::try_exists("Cargo.toml").await?);
/// assert!(!saferring::fs::try_exists("Cargo.yaml").await?);
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
