//! Copying a file.

use std::cell::Cell;
use std::io::{self, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{File, Metadata, OpenOptions};
use crate::buf::IoBuf;
use crate::op::FixedBufPool;
use crate::runtime::fixed_buffers;

/// How many blocks are on their way at once.
const DEPTH: u64 = 16;
/// The part of a mode that can be set.
const PERMISSIONS: u32 = 0o7777;

/// Copies the contents and the permissions of a file, and returns how many bytes it copied.
///
/// What is at `to` is overwritten. Several blocks are on their way at once; memory use is bounded.
///
/// # Errors
///
/// `IsADirectory` if `from` is a directory, `InvalidInput` if it is another thing that is no regular file, or if `to`
/// leads to the same file, which then is left as it is; `StorageFull`; otherwise what opening, reading and writing
/// say. After an error `to` may hold a part.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves `to` with a part of the contents, in no particular order.
///
/// # Kernel
///
/// `OPENAT`, `STATX`, `READ_FIXED`, `WRITE_FIXED`, in [registered buffers](FixedBufPool) of the runtime. The bytes pass through user space: file systems that could share blocks between
/// the two files (copy_file_range(2)) are not asked to.
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
    let source = File::open(from).await?;
    let about = source.metadata().await?;
    check_source(&about)?;
    let (target, regular) = open_target(to.as_ref(), &about).await?;
    let mut job = Job {
        source,
        target,
        pool: fixed_buffers()?,
        next: Cell::new(0),
        end: Cell::new(about.len()),
    };
    // Blocks can only be written in any order where they have positions.
    if regular && about.len() > 0 {
        job.copy_blocks().await?;
        if job.end.get() < about.len() {
            // The source was cut off meanwhile, but what was behind that may have been copied already.
            job.target.set_len(job.end.get()).await?;
            return Ok(job.end.get());
        }
        job.target.seek(SeekFrom::Start(about.len())).await?;
    } else {
        job.end.set(0);
    }
    job.copy_rest().await
}

/// # Errors
///
/// If it is no regular file.
fn check_source(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
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

/// A copy on its way.
struct Job {
    source: File,
    target: File,
    pool: FixedBufPool,
    /// Where the next block starts.
    next: Cell<u64>,
    /// Where the source ends, as far as is known.
    end: Cell<u64>,
}

impl Job {
    /// Copies what is before `end`, and moves `end` back if the source ends earlier.
    async fn copy_blocks(&self) -> io::Result<()> {
        let block = self.pool.buffer_size() as u64;
        let workers = self.end.get().div_ceil(block).min(DEPTH);
        let mut running: FuturesUnordered<_> = (0..workers).map(|_| self.work()).collect();
        let mut result = Ok(());
        // After an error the others are waited for, so that nothing is written behind the caller's back.
        while let Some(ended) = running.next().await {
            if ended.is_err() {
                self.next.set(u64::MAX);
                result = result.and(ended);
            }
        }
        result
    }

    /// Copies one block after the other until none is left.
    async fn work(&self) -> io::Result<()> {
        let mut buf = self.pool.take_or_make()?;
        let block = buf.capacity() as u64;
        loop {
            let start = self.next.get();
            if start >= self.end.get() {
                return Ok(());
            }
            let stop = self.end.get().min(start.saturating_add(block));
            self.next.set(stop);
            let mut at = start;
            while at < stop {
                let room = (stop - at) as usize;
                buf.clear();
                let (read, filled) = self.source.read_at(buf.slice(..room), at).await;
                buf = filled.into_inner();
                match read {
                    Ok(0) => {
                        self.end.set(self.end.get().min(at));
                        return Ok(());
                    }
                    Ok(n) => {
                        let (written, kept) = self.target.write_all_at(buf, at).await;
                        buf = kept;
                        written?;
                        at += n as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Copies from `end` on, to wherever the source ends by now, and returns where that is.
    async fn copy_rest(&mut self) -> io::Result<u64> {
        let mut buf = self.pool.take_or_make()?;
        loop {
            let (read, filled) = self.source.read_at(buf, self.end.get()).await;
            buf = filled;
            match read {
                Ok(0) => return Ok(self.end.get()),
                Ok(n) => {
                    let (written, kept) = self.target.write_all(buf).await;
                    buf = kept;
                    written?;
                    self.end.set(self.end.get() + n as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;

    const BLOCK: usize = 64 * 1024;

    #[test]
    fn a_source_that_became_shorter_ends_the_copy_there() {
        let dir = std::env::temp_dir().join(format!("saferring-shrunk-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (from, to) = (dir.join("from"), dir.join("to"));
        std::fs::write(&from, vec![7; 3 * BLOCK + 5]).unwrap();
        Runtime::new().unwrap().block_on(async {
            let job = Job {
                source: File::open(&from).await.unwrap(),
                target: File::create(&to).await.unwrap(),
                pool: fixed_buffers().unwrap(),
                next: Cell::new(0),
                end: Cell::new(20 * BLOCK as u64),
            };
            job.copy_blocks().await.unwrap();
            assert_eq!(job.end.get(), 3 * BLOCK as u64 + 5);
        });
        assert!(std::fs::read(&to).unwrap() == vec![7; 3 * BLOCK + 5]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
