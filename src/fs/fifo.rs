//! FIFOs, whose open waits for the other end; and leases, which it waits for, too.
//!
//! No thread waits for another end: it might wait without end. An end for reading is open at once, and is looked at
//! until it has, or had, a writer. One for writing is opened, without waiting, again and again until there is a reader.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::{Either, select};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};
use socket2::SockRef;

use crate::op::{Backoff, PollAdd, Readiness, checkpoint};
use crate::runtime::spawn_apart;

/// How often, at the least, it is looked whether there is another end.
const LONGEST_LOOK: Duration = Duration::from_millis(20);

/// An open that may have to wait.
pub(super) struct Again {
    pub(super) path: PathBuf,
    pub(super) flags: i32,
    pub(super) mode: u32,
}

impl Again {
    fn is_nonblocking(&self) -> bool {
        self.flags & (libc::O_NONBLOCK | libc::O_PATH) != 0
    }

    fn writes(&self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    /// Whether the open failed because it was not to wait.
    pub(super) fn may_wait(&self, error: &io::Error) -> bool {
        let waits = match error.raw_os_error() {
            Some(libc::ENXIO) => self.writes(),
            Some(libc::EAGAIN) => true,
            _ => false,
        };
        waits && !self.is_nonblocking()
    }

    /// What was opened, unless that is a FIFO, whose other end is to be waited for.
    pub(super) async fn check(self, fd: OwnedFd) -> io::Result<OwnedFd> {
        if self.is_nonblocking() {
            return Ok(fd);
        }
        // Added for the open alone; see `OpenOptions::open`.
        SockRef::from(&fd).set_nonblocking(false)?;
        let file = File::from(fd);
        // One that is open for writing had a reader, or is its own.
        if !self.writes() && file.metadata()?.file_type().is_fifo() {
            return wait_for_writer(file).await;
        }
        Ok(file.into())
    }

    /// Opens it, and waits for whatever it was not to wait for.
    pub(super) async fn open(self) -> io::Result<OwnedFd> {
        // The same, whatever becomes of its name.
        let follows = self.flags & libc::O_NOFOLLOW;
        let found = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | follows)
            .open(&self.path)?;
        if self.writes() && found.metadata()?.file_type().is_fifo() {
            self.wait_for_reader(&found).await
        } else {
            self.wait_for_lease().await
        }
    }

    /// The options of a second open, of what is there already.
    fn options(&self, with: i32, without: i32) -> OpenOptions {
        let once = libc::O_CREAT | libc::O_TRUNC | libc::O_EXCL | libc::O_ACCMODE;
        let mut options = OpenOptions::new();
        options
            .read(self.flags & libc::O_ACCMODE != libc::O_WRONLY)
            .write(self.writes())
            .custom_flags((self.flags | with) & !(once | without))
            .mode(self.mode);
        options
    }

    async fn wait_for_reader(self, found: &File) -> io::Result<OwnedFd> {
        // What is followed leads to `found` itself.
        let options = self.options(libc::O_NONBLOCK, libc::O_NOFOLLOW);
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()));
        if !path.exists() {
            path = self.path; // There is no such file system.
        }
        let mut backoff = Backoff::new(LONGEST_LOOK);
        loop {
            checkpoint()?;
            match options.open(&path) {
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    backoff.pause(LONGEST_LOOK).await
                }
                opened => {
                    let file = opened?;
                    SockRef::from(&file).set_nonblocking(false)?;
                    return Ok(file.into());
                }
            }
        }
    }

    /// Somebody holds a lease, and is made to give it up within a minute: a thread waits for that.
    fn wait_for_lease(self) -> impl Future<Output = io::Result<OwnedFd>> {
        let options = self.options(0, 0);
        let opened = spawn_apart(move || options.open(self.path));
        async { opened?.await.map(OwnedFd::from) }
    }
}

/// Waits until a FIFO that is open for reading has a writer, or had one.
async fn wait_for_writer(fifo: File) -> io::Result<OwnedFd> {
    // Where there is no descriptor left for the looks, only one who writes, or goes, is noticed.
    let looking = fifo
        .try_clone()
        .ok()
        .zip(pipe_with(PipeFlags::CLOEXEC).ok());
    let mut found = PollAdd::new(fifo, Readiness::READABLE).submit();
    let mut backoff = Backoff::new(LONGEST_LOOK);
    loop {
        if looking
            .as_ref()
            .is_some_and(|(fifo, (_, pipe))| has_writer(fifo, pipe))
        {
            let (_, fifo) = found.cancel().await;
            return Ok(fifo.into());
        }
        if let Either::Left(((ready, fifo), _)) =
            select(Pin::new(&mut found), pin!(backoff.pause(LONGEST_LOOK))).await
        {
            ready?;
            return Ok(fifo.into());
        }
    }
}

/// Whether somebody has the other end of a FIFO open for writing. `pipe` is the writing end of a pipe, in which a byte
/// may be left.
fn has_writer(fifo: &File, pipe: &OwnedFd) -> bool {
    // Nothing is taken out of the FIFO.
    match tee(fifo, pipe, 1, SpliceFlags::NONBLOCK) {
        Ok(copied) => copied > 0,
        Err(error) => error == Errno::AGAIN,
    }
}
