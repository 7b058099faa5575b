//! The task that writes the log of a shard.
//!
//! Once the log has doubled it is written anew: the keys as they are, a step after each batch, into a file beside, which also gets
//! all batches from then on. As each record says all that a key is, it does not matter which of the two comes first. When the new
//! one is complete and on the disk it takes the name of the old one.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use saferring::fs::{self, File, OpenOptions};
use saferring::task::yield_now;
use saferring::time::{sleep, timeout_at};

use crate::folder::{MAGIC, STEP};
use crate::log::Log;
use crate::record::seal;
use crate::server::{Append, tell};
use crate::shard::Shard;

/// How long until a write is tried again that has failed.
const RETRY: Duration = Duration::from_millis(100);
/// How long until the log is written anew again where that has failed.
const REWRITE_RETRY: Duration = Duration::from_secs(5);

/// The log's task, which alone writes.
pub(crate) struct Writer {
    shard: Rc<Shard>,
    file: File,
    /// The memory of the last batch.
    spare: Vec<u8>,
    /// When all that was written was last brought to the disk, if something was written since.
    unsynced: Option<Instant>,
    rewrite: Option<Rewrite>,
    /// The kernel may have dropped what it was to bring to the disk: only a log that is written anew has all for certain.
    is_doubtful: bool,
    /// At which length the log is written anew.
    rewrite_at: u64,
    /// Before that it is not.
    rewrite_after: Instant,
}

/// A log that is being written anew.
struct Rewrite {
    file: File,
    len: u64,
    /// Where the keys are that are still missing.
    places: Range<usize>,
}

fn new_path(path: &Path) -> PathBuf {
    path.with_extension("log.new")
}

async fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(create)
        .truncate(create)
        .open(path)
        .await?;
    // A copy into the cache costs less than a thread of the kernel that does it.
    file.set_inline_writes(true);
    Ok(file)
}

async fn sync_folder(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(dir) => File::open(dir).await?.sync_all().await,
        None => Ok(()),
    }
}

async fn write(file: &File, batch: Vec<u8>, at: u64) -> (io::Result<()>, Vec<u8>) {
    file.write_all_at(batch, at).await
}

impl Writer {
    /// Opens the log of a shard that has one, for the task that writes it.
    pub(crate) async fn open(shard: &Rc<Shard>) -> io::Result<Option<Writer>> {
        let Some(log) = &shard.log else {
            return Ok(None);
        };
        let file = open(&log.path, false).await?;
        if let Err(error) = fs::remove_file(new_path(&log.path)).await {
            // It is left by one that was killed while it wrote it.
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
        }
        let rewrite_at = log.rewrite_from.max(2 * log.len.get());
        shard.totals().log_len.store(log.len.get(), Relaxed);
        Ok(Some(Writer {
            shard: Rc::clone(shard),
            file,
            spare: Vec::new(),
            unsynced: None,
            rewrite: None,
            is_doubtful: false,
            rewrite_at,
            rewrite_after: Instant::now(),
        }))
    }

    /// Writes until the log is to end.
    pub(crate) async fn run(mut self, log: &Log) {
        loop {
            self.wait(log).await;
            let ends = log.ends.get();
            let mut batch = std::mem::take(&mut self.spare);
            if let Some(journal) = self.shard.store.borrow_mut().journal() {
                std::mem::swap(journal, &mut batch);
            }
            if !batch.is_empty() {
                batch = self.write_batch(log, batch).await;
            }
            if self.rewrite.is_some() {
                batch = self.go_on(log, batch).await;
            }
            self.keep(batch);
            if ends || self.due().is_some_and(|due| due <= Instant::now()) {
                self.sync(log).await;
            }
            if ends {
                return;
            }
            let is_wanted = self.is_doubtful || log.len.get() >= self.rewrite_at;
            let may_be = self.rewrite.is_none() && Instant::now() >= self.rewrite_after;
            if is_wanted && may_be {
                self.begin(log).await;
            }
        }
    }

    /// Waits for something to do.
    async fn wait(&mut self, log: &Log) {
        let is_idle = self
            .shard
            .store
            .borrow_mut()
            .journal()
            .is_none_or(|journal| journal.is_empty());
        if !is_idle || self.rewrite.is_some() || log.ends.get() {
            // One who changes much does not keep the others of this core from their turns.
            return yield_now().await;
        }
        match self.due() {
            // If the time is over there is something to do as well.
            Some(due) => drop(timeout_at(due, log.work.notified()).await),
            None => log.work.notified().await,
        }
    }

    /// When there is something to do even if nothing comes: what was written is to be on the disk.
    fn due(&self) -> Option<Instant> {
        if self.is_doubtful {
            return Some(self.rewrite_after);
        }
        let every = match self.shard.server().options.append {
            Append::EverySecond => Duration::from_secs(1),
            Append::No | Append::Always => return None,
        };
        Some(self.unsynced? + every)
    }

    /// Keeps the memory of a batch for the next, unless it is much.
    fn keep(&mut self, mut batch: Vec<u8>) {
        if batch.capacity() <= 4 * STEP {
            batch.clear();
            self.spare = batch;
        }
    }

    /// Writes a batch, however long it takes.
    async fn write_batch(&mut self, log: &Log, mut batch: Vec<u8>) -> Vec<u8> {
        let number = log.gathering.get();
        log.gathering.set(number + 1);
        seal(&mut batch);
        loop {
            let (mut written, same) = write(&self.file, batch, log.len.get()).await;
            batch = same;
            if written.is_ok() && log.append == Append::Always {
                // If this fails the batch is written once more: what the kernel was to bring to the disk, it may have dropped.
                written = self.file.sync_data().await;
            }
            match written {
                Ok(()) => break,
                Err(error) => {
                    log.set_trouble(&self.shard, Some(&error));
                    if log.ends.get() {
                        return batch;
                    }
                    // It takes room, too.
                    self.give_up().await;
                    sleep(RETRY).await;
                }
            }
        }
        if !self.is_doubtful {
            log.set_trouble(&self.shard, None);
        }
        log.len.set(log.len.get() + batch.len() as u64);
        self.shard.totals().log_len.store(log.len.get(), Relaxed);
        if log.append != Append::Always {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        log.safe.set(number);
        log.done[number as usize % 2].notify_waiters();
        log.room.notify_waiters();
        batch
    }

    /// Brings all that was written to the disk.
    async fn sync(&mut self, log: &Log) {
        if self.unsynced.is_none() {
            return;
        }
        self.unsynced = None;
        if let Err(error) = self.file.sync_data().await {
            self.is_doubtful = true;
            self.rewrite_after = Instant::now();
            log.set_trouble(&self.shard, Some(&error));
        }
    }

    async fn begin(&mut self, log: &Log) {
        let begun = async {
            let file = open(&new_path(&log.path), true).await?;
            file.write_all_at(&MAGIC[..], 0).await.0?;
            Ok(file)
        };
        match begun.await {
            Ok(file) => {
                self.rewrite = Some(Rewrite {
                    file,
                    len: MAGIC.len() as u64,
                    places: self.shard.store.borrow().places(),
                });
            }
            Err(error) => self.put_off(log, &error).await,
        }
    }

    /// Adds what was just written to the new log, and then some keys. The last step makes it the log.
    async fn go_on(&mut self, log: &Log, mut batch: Vec<u8>) -> Vec<u8> {
        let mut is_complete = false;
        for is_snapshot in [false, true] {
            let Some(rewrite) = &mut self.rewrite else {
                return batch;
            };
            if is_snapshot {
                batch.clear();
                let store = self.shard.store.borrow();
                store.snapshot(&mut rewrite.places, STEP, &mut batch);
                is_complete = rewrite.places.is_empty();
                if !batch.is_empty() {
                    seal(&mut batch);
                }
            }
            let (written, same) = write(&rewrite.file, batch, rewrite.len).await;
            batch = same;
            match written {
                Ok(()) => rewrite.len += batch.len() as u64,
                Err(error) => {
                    self.put_off(log, &error).await;
                    return batch;
                }
            }
        }
        if is_complete {
            if let Err(error) = self.take_over(log).await {
                self.put_off(log, &error).await;
            }
        }
        batch
    }

    async fn take_over(&mut self, log: &Log) -> io::Result<()> {
        let Some(rewrite) = &self.rewrite else {
            return Ok(());
        };
        rewrite.file.sync_all().await?;
        fs::rename(new_path(&log.path), &log.path).await?;
        let Some(rewrite) = self.rewrite.take() else {
            return Ok(());
        };
        // From here on it is the log, whatever happens.
        self.file = rewrite.file;
        log.len.set(rewrite.len);
        (self.unsynced, self.is_doubtful) = (None, false);
        self.rewrite_at = log.rewrite_from.max(2 * rewrite.len);
        let totals = self.shard.totals();
        totals.log_len.store(rewrite.len, Relaxed);
        totals.rewrites.fetch_add(1, Relaxed);
        // Nothing else is written before it is sure to be found.
        while let Err(error) = sync_folder(&log.path).await {
            log.set_trouble(&self.shard, Some(&error));
            if log.ends.get() {
                return Err(error);
            }
            sleep(RETRY).await;
        }
        log.set_trouble(&self.shard, None);
        Ok(())
    }

    /// Leaves the log as it is for now.
    async fn put_off(&mut self, log: &Log, error: &io::Error) {
        tell(format_args!(
            "{}: cannot be written anew: {error}",
            log.path.display()
        ));
        self.give_up().await;
        let is_in_trouble = log.trouble().is_some();
        self.rewrite_after = Instant::now() + if is_in_trouble { RETRY } else { REWRITE_RETRY };
    }

    async fn give_up(&mut self) {
        if self.rewrite.take().is_some() {
            if let Some(log) = &self.shard.log {
                let _ = fs::remove_file(new_path(&log.path)).await; // If not, the next one is written over it.
            }
        }
    }
}
