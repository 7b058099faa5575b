//! Copying a file.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::fallback::blocking;
use super::path_error::at;
use super::{File, Metadata, OpenOptions};
use crate::op::checkpoint;

/// What a thread copies before it asks whether anybody still waits: some milliseconds' worth.
const CHUNK: u64 = 8 << 20;
/// How many reads are on their way where the bytes pass through the ring.
const DEPTH: usize = 8;
/// The part of a mode that can be set.
const PERMISSIONS: u32 = 0o7777;

/// Copies the contents and the permissions of a file, and returns how many bytes it copied.
///
/// What is at `to` is overwritten. The bytes stay in the kernel, and file systems that can share blocks between the two
/// files do.
///
/// # Errors
///
/// `IsADirectory` if `from` is a directory, `InvalidInput` if it is another thing that is no regular file, or if `to`
/// leads to the same file, which then is left as it is; otherwise what opening says. All these have a
/// [`PathError`](super::PathError) inside, which tells which of the two paths it was. `StorageFull`, and what else
/// reading and writing say. After an error `to` may hold a part.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves `to` with a part of the contents; what is being copied at that moment, up to 8 MiB, still
/// is.
///
/// # Kernel
///
/// copy_file_range(2), or else sendfile(2), on a [blocking thread](crate::spawn_blocking), so that no copy holds up the
/// core. That takes 0.7 of the CPU time of the best loop of reads and writes through a ring, with registered buffers or
/// without, because buffered writes through a ring cost a hop to a kernel thread each, and each byte is copied twice.
/// Only what goes to a target that is no regular file passes through the ring, in registered buffers.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs;
///
/// # let path = std::env::temp_dir().join(format!("saferring-copy-{}", std::process::id()));
/// let copied = fs::copy("Cargo.toml", &path).await?;
/// assert_eq!(copied, fs::metadata("Cargo.toml").await?.len());
/// # assert_eq!(std::fs::read("Cargo.toml")?, std::fs::read(&path)?);
/// # fs::remove_file(&path).await
/// # })
/// # }
/// ```
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let (source, about) = open_source(from).await.map_err(at(from))?;
    let (target, regular) = open_target(to, &about).await.map_err(at(to))?;
    if regular {
        copy_in_kernel(&source, &target).await
    } else {
        copy_by_ring(&source, target).await
    }
}

/// Opens the source, which has to be a regular file.
async fn open_source(from: &Path) -> io::Result<(File, Metadata)> {
    let source = File::open(from).await?;
    let about = source.metadata().await?;
    if about.is_file() {
        return Ok((source, about));
    }
    Err(if about.is_dir() {
        io::Error::new(
            io::ErrorKind::IsADirectory,
            "the source is a directory, and only regular files can be copied",
        )
    } else {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the source is not a regular file",
        )
    })
}

/// Opens the target and empties it; also tells whether it is a regular file.
async fn open_target(to: &Path, source: &Metadata) -> io::Result<(File, bool)> {
    // Not truncated yet: it may be the source.
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(source.mode());
    let target = options.open(to).await?;
    let about = target.metadata().await?;
    if !about.is_file() {
        return Ok((target, false));
    }
    if (about.dev(), about.ino()) == (source.dev(), source.ino()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the source and the target are the same file",
        ));
    }
    if about.len() > 0 {
        target.set_len(0).await?;
    }
    if about.mode() & PERMISSIONS != source.mode() & PERMISSIONS {
        let permissions = PermissionsExt::from_mode(source.mode() & PERMISSIONS);
        target.set_permissions(permissions).await?;
    }
    Ok((target, true))
}

/// Copies to the end of the source.
async fn copy_in_kernel(source: &File, target: &File) -> io::Result<u64> {
    let share = |file: &File| io::Result::Ok(Arc::new(file.as_fd().try_clone_to_owned()?.into()));
    let files: (Arc<std::fs::File>, Arc<std::fs::File>) = (share(source)?, share(target)?);
    let mut copied = 0;
    loop {
        checkpoint()?;
        let (source, target) = files.clone();
        // std picks the system call, and does without where there is none for these two.
        let n = blocking(move || io::copy(&mut Read::take(&*source, CHUNK), &mut &*target)).await?;
        copied += n;
        if n < CHUNK {
            return Ok(copied);
        }
    }
}

/// Copies to a target that may make a writer wait for ever, such as a pipe, where no thread should.
async fn copy_by_ring(source: &File, mut target: File) -> io::Result<u64> {
    let mut chunks = source.read_stream(.., DEPTH);
    let mut copied = 0;
    while let Some(chunk) = chunks.try_next().await? {
        let (written, chunk) = target.write_all(chunk).await;
        written?;
        copied += chunk.len() as u64;
    }
    Ok(copied)
}
