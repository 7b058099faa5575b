//! The file that the read workloads read.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::measure::Random;

/// What one operation reads.
pub(crate) const BLOCK: usize = 4096;
const CHUNK: usize = 1 << 20;

/// A file full of random bytes. It has no name: the system removes it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Data {
    file: File,
    len: u64,
}

static DATA: Mutex<Option<Arc<Data>>> = Mutex::new(None);

/// The file of this length, made at the first call.
pub(crate) fn data(len: u64) -> io::Result<Arc<Data>> {
    let mut kept = DATA.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(data) = kept.as_ref().filter(|data| data.len == len) {
        return Ok(Arc::clone(data));
    }
    let data = Arc::new(Data::create(len)?);
    *kept = Some(Arc::clone(&data));
    Ok(data)
}

/// `SAFERRING_BENCH_DIR`, or where the program itself is: on a disk, as a rule, which the temporary directory may not
/// be.
pub(crate) fn directory() -> io::Result<PathBuf> {
    if let Some(directory) = env::var_os("SAFERRING_BENCH_DIR") {
        return Ok(directory.into());
    }
    let program = env::current_exe()?;
    Ok(program.parent().map_or_else(env::temp_dir, PathBuf::from))
}

impl Data {
    fn create(len: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .open(directory()?)?;
        let mut random = Random::new(len);
        let mut chunk = vec![0; CHUNK];
        let mut left = len as usize;
        while left > 0 {
            for word in chunk.chunks_exact_mut(8) {
                word.copy_from_slice(&random.below(u64::MAX).to_ne_bytes());
            }
            let part = left.min(CHUNK);
            file.write_all(&chunk[..part])?;
            left -= part;
        }
        file.sync_all()?;
        Ok(Data { file, len })
    }

    /// A path to open it by, as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    pub(crate) fn open(&self, direct: bool) -> io::Result<File> {
        let flags = if direct { libc::O_DIRECT } else { 0 };
        OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(self.path())
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.len / BLOCK as u64
    }

    /// Reads it into the page cache, unless it is there.
    pub(crate) fn warm(&self) -> io::Result<()> {
        if self.is_cached()? {
            return Ok(());
        }
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < self.len {
            let part = (self.len - at).min(CHUNK as u64);
            self.file.read_exact_at(&mut chunk[..part as usize], at)?;
            at += part;
        }
        Ok(())
    }

    fn is_cached(&self) -> io::Result<bool> {
        let len = self.len as usize;
        let fd = self.file.as_raw_fd();
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists, and nobody reads it.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut pages = vec![0u8; len.div_ceil(BLOCK)];
        // SAFETY: the mapping has `len` bytes, and `pages` a byte for each of its pages, which have at least BLOCK bytes.
        let asked = unsafe { libc::mincore(base, len, pages.as_mut_ptr()) };
        let error = io::Error::last_os_error();
        // SAFETY: this is our mapping, in full, and no reference to it was ever made.
        unsafe { libc::munmap(base, len) };
        if asked != 0 {
            return Err(error);
        }
        Ok(pages.iter().all(|page| page & 1 == 1))
    }

    /// Drops it from the page cache.
    pub(crate) fn cool(&self) {
        // SAFETY: posix_fadvise takes no pointers.
        unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
}
