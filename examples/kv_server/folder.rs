//! Where the logs are: `DIR/<generation>.<shards>/<shard>.log`. The highest generation counts. Another number of cores than before
//! gets a new one, made beside and named when it is complete, so that there always is one that has everything.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::record::{Batches, HEAD, Next, Record, seal};
use crate::server::tell;
use crate::shard::shard_of;
use crate::store::Store;

/// What a log begins with.
pub(crate) const MAGIC: &[u8; 16] = b"kv_server log 1\n";
/// About how much is written at a time of what is written anew.
pub(crate) const STEP: usize = 256 << 10;

/// The error with what it is about.
fn about(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A folder of logs, which is this process's as long as this is there.
#[derive(Debug)]
pub(crate) struct Folder {
    _lock: File,
}

struct Generation {
    number: u64,
    shards: usize,
    path: PathBuf,
}

impl Folder {
    /// Makes `dir` ready for so many shards.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written, another process uses it, or a log is damaged.
    pub(crate) fn open(dir: &Path, shards: usize) -> io::Result<Folder> {
        fs::create_dir_all(dir).map_err(about(dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(about(&path))?;
        if let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            let text = "another kv_server uses it; end that, or give this one another --dir";
            return Err(match io::Error::from(error) {
                error if error.kind() == io::ErrorKind::WouldBlock => {
                    io::Error::new(error.kind(), format!("{}: {text}", dir.display()))
                }
                error => about(&path)(error),
            });
        }
        let mut all = generations(dir)?;
        let newest = all.pop();
        for old in all {
            fs::remove_dir_all(&old.path).map_err(about(&old.path))?;
        }
        if newest.as_ref().is_none_or(|newest| newest.shards != shards) {
            let number = newest.as_ref().map_or(1, |newest| newest.number + 1);
            make(dir, number, shards, newest.as_ref())?;
            if let Some(old) = newest {
                tell(format_args!(
                    "{}: {} shards become {shards}",
                    dir.display(),
                    old.shards
                ));
                fs::remove_dir_all(&old.path).map_err(about(&old.path))?;
            }
        }
        Ok(Folder { _lock: lock })
    }
}

/// Those that are complete, the newest last.
fn generations(dir: &Path) -> io::Result<Vec<Generation>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(about(dir))? {
        let entry = entry.map_err(about(dir))?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let numbers = name.split_once('.');
        let numbers =
            numbers.and_then(|(number, shards)| Some((number.parse().ok()?, shards.parse().ok()?)));
        if let Some((number, shards)) = numbers {
            all.push(Generation {
                number,
                shards,
                path,
            });
        }
    }
    all.sort_by_key(|generation| generation.number);
    Ok(all)
}

/// Writes a generation with all that is in an older one.
fn make(dir: &Path, number: u64, shards: usize, old: Option<&Generation>) -> io::Result<()> {
    let path = dir.join(format!("{number}.{shards}"));
    let new = dir.join(format!("{number}.{shards}.new"));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(about(&new))?; // It was not completed.
    }
    fs::create_dir(&new).map_err(about(&new))?;
    let mut files = Vec::new();
    for shard in 0..shards {
        let path = log_path(&new, shard);
        let mut file = File::create_new(&path).map_err(about(&path))?;
        file.write_all(MAGIC).map_err(about(&path))?;
        files.push((path, file, Vec::new()));
    }
    for shard in 0..old.map_or(0, |old| old.shards) {
        let mut store = Store::default();
        if let Some(old) = old {
            load(&log_path(&old.path, shard), |record| store.apply(record))?;
        }
        let (mut places, mut records) = (store.places(), Vec::new());
        while !places.is_empty() {
            records.clear();
            store.snapshot(&mut places, STEP, &mut records);
            let mut rest = records.get(HEAD..).unwrap_or_default();
            while let Some((record, after)) = Record::decode(rest) {
                if let Record::Set { key, .. } = record {
                    record.encode(&mut files[shard_of(key, shards)].2);
                }
                rest = after;
            }
            for (path, file, batch) in files.iter_mut().filter(|(.., batch)| !batch.is_empty()) {
                seal(batch);
                file.write_all(batch).map_err(about(path))?;
                batch.clear();
            }
        }
    }
    for (path, file, _) in files {
        file.sync_all().map_err(about(&path))?;
    }
    sync_folder(&new)?;
    fs::rename(&new, &path).map_err(about(&path))?;
    sync_folder(dir)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(about(path))
}

fn log_path(generation: &Path, shard: usize) -> PathBuf {
    generation.join(format!("{shard}.log"))
}

/// Where the log of a shard is, in a folder that was opened for so many.
pub(crate) fn shard_path(dir: &Path, shard: usize, shards: usize) -> io::Result<PathBuf> {
    let mut all = generations(dir)?;
    match all.pop() {
        Some(newest) if newest.shards == shards => Ok(log_path(&newest.path, shard)),
        _ => Err(about(dir)(io::ErrorKind::NotFound.into())),
    }
}

/// Does what a log says, and returns how long it is. A batch at its end that was not written to its own end is cut off.
///
/// # Errors
///
/// If it cannot be read, or is damaged.
pub(crate) fn load(path: &Path, mut apply: impl FnMut(Record<'_>)) -> io::Result<u64> {
    let mut read = || {
        let mut file = File::options().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        let mut magic = [0; MAGIC.len()];
        let is_log = len >= magic.len() as u64 && file.read_exact(&mut magic).is_ok();
        if !is_log || magic != *MAGIC {
            return Err(io::Error::other("this is no log of a kv_server"));
        }
        let reader = BufReader::with_capacity(STEP, file.try_clone()?);
        let mut batches = Batches::new(reader, magic.len() as u64, len);
        loop {
            let at = batches.at();
            let mut rest = match batches.next()? {
                Next::Records(records) => records,
                Next::End => return Ok(at),
                Next::Torn => {
                    let lost = len - at;
                    let path = path.display();
                    tell(format_args!(
                        "{path}: the last write was cut short; {lost} bytes from {at} on are dropped"
                    ));
                    file.set_len(at)?;
                    file.sync_all()?;
                    return Ok(at);
                }
                Next::Damaged => {
                    let text = format!(
                        "damaged at byte {at}, and something comes after that; restore it, or cut it there with \
                         `truncate --size {at}` and lose what comes after"
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            };
            while let Some((record, after)) = Record::decode(rest) {
                apply(record);
                rest = after;
            }
            if !rest.is_empty() {
                let text = format!(
                    "the batch at byte {at} has something unknown in it, as of a newer version"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    };
    read().map_err(about(path))
}
