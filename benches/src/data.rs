//! The files that the workloads read and copy.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

const CHUNK: usize = 1 << 20;
const PREFIX: &str = "saferring-benches-";

/// A directory of our own, which is removed with all in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Data {
    dir: PathBuf,
}

impl Data {
    /// Makes the directory in `parent`, and removes those of earlier processes that could not.
    pub(crate) fn create(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if id.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
                // Somebody else's, perhaps, and then it stays.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let dir = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&dir)?;
        Ok(Data {
            // Children may run elsewhere.
            dir: dir.canonicalize()?,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{} is left: {error}", self.dir.display());
        }
    }
}

/// Fills the file with random bytes, unless it has its length already.
pub(crate) fn fill(path: &Path, len: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|about| about.len() == len) {
        return Ok(());
    }
    let mut file = File::create(path)?;
    io::copy(&mut File::open("/dev/urandom")?.take(len), &mut file)?;
    file.sync_all()
}

/// Reads all of it, so that the page cache has it.
pub(crate) fn warm(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        match file.read_at(&mut chunk, at)? {
            0 => return Ok(()),
            n => at += n as u64,
        }
    }
}

/// Drops it from the page cache.
pub(crate) fn cool(path: &Path) -> io::Result<()> {
    fadvise(File::open(path)?, 0, None, Advice::DontNeed)?;
    Ok(())
}

/// Empties it, and waits until the disk has nothing left to do for it.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    File::create(path)?.sync_all()
}

/// Whether the two files are equal.
pub(crate) fn equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    let (mut a, mut b) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    loop {
        let n = one.read_at(&mut a, at)?;
        if n == 0 {
            return Ok(other.read_at(&mut b, at)? == 0);
        }
        if other.read_exact_at(&mut b[..n], at).is_err() || a[..n] != b[..n] {
            return Ok(false);
        }
        at += n as u64;
    }
}
