//! FIFOs, whose open waits for the other end.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_util::future::Either;
use socket2::SockRef;

use crate::op::{PollAdd, Readiness};
use crate::runtime::spawn_apart;

/// What has to be opened once more, by a thread that can wait.
pub(super) struct Again {
    pub(super) path: PathBuf,
    pub(super) flags: i32,
    pub(super) mode: u32,
}

impl Again {
    fn is_nonblocking(&self) -> bool {
        self.flags & (libc::O_NONBLOCK | libc::O_PATH) != 0
    }

    /// Whether the open failed because it was not to wait.
    pub(super) fn may_wait(&self, error: &io::Error) -> bool {
        let waits = matches!(error.raw_os_error(), Some(libc::ENXIO | libc::EAGAIN));
        waits && !self.is_nonblocking()
    }

    /// What was opened, unless that is a FIFO, whose other end is to be waited for.
    pub(super) async fn check(self, fd: OwnedFd) -> io::Result<OwnedFd> {
        if self.is_nonblocking() {
            return Ok(fd);
        }
        if self.flags & (libc::O_CREAT | libc::O_TRUNC) != 0 {
            // Added, so that no thread of the kernel waits; see `operation`.
            SockRef::from(&fd).set_nonblocking(false)?;
        }
        let file = std::fs::File::from(fd);
        // One that is open for writing had a reader, or is its own.
        let reads = self.flags & libc::O_ACCMODE == libc::O_RDONLY;
        if reads && file.metadata()?.file_type().is_fifo() {
            return self.open(Some(file)).await;
        }
        Ok(file.into())
    }

    /// Opens it on a thread of its own, which may wait without end. `first` stays open meanwhile: who opens the other end may
    /// find it, and be gone again before the thread has begun to wait.
    pub(super) async fn open(self, first: Option<std::fs::File>) -> io::Result<OwnedFd> {
        let flags = self.flags & !(libc::O_CREAT | libc::O_TRUNC | libc::O_EXCL);
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        let mut options = std::fs::OpenOptions::new();
        options
            .read(flags & libc::O_ACCMODE != libc::O_WRONLY)
            .write(writes)
            .custom_flags(flags & !libc::O_ACCMODE)
            .mode(self.mode);
        let mut found = first.map(|first| PollAdd::new(first, Readiness::READABLE).submit());
        // Dropped before `found`, whose end its own needs.
        let mut waiting = Waiting {
            path: self.path.clone(),
            writes,
            over: false,
            end: Arc::default(),
        };
        let end = Arc::clone(&waiting.end);
        let opened = spawn_apart(move || {
            let opened = options.open(self.path);
            drop(end);
            opened
        });
        let mut opened = pin!(opened?);
        let ended = poll_fn(|cx| {
            if let Some(found) = &mut found
                && let Poll::Ready((ready, first)) = Pin::new(found).poll(cx)
            {
                return Poll::Ready(Either::Left(ready.map(|_| first)));
            }
            opened.as_mut().poll(cx).map(Either::Right)
        });
        match ended.await {
            Either::Left(first) => {
                let first = first?;
                // The thread's own would be found by the next who opens the other end.
                if waiting.release() {
                    drop(opened.await);
                    waiting.over = true;
                }
                Ok(first.into())
            }
            Either::Right(opened) => {
                waiting.over = true;
                if let Some(found) = found {
                    drop(found.cancel().await);
                }
                opened.map(OwnedFd::from)
            }
        }
    }
}

/// A thread waits for the other end of a FIFO; or somebody waits no more for the thread.
struct Waiting {
    path: PathBuf,
    writes: bool,
    over: bool,
    /// The end that was opened for the thread, until it has opened its own.
    end: Arc<OnceLock<std::fs::File>>,
}

impl Waiting {
    /// Opens the other end until the thread's open has ended. Whether that could be done.
    fn release(&self) -> bool {
        let end = std::fs::OpenOptions::new()
            .read(self.writes)
            .write(!self.writes)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path);
        end.is_ok_and(|end| self.end.set(end).is_ok())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            // What the thread has opened is closed.
            self.release();
        }
    }
}
