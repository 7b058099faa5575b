//! FIFOs, whose open waits for the other end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use socket2::SockRef;

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
        let metadata = file.metadata()?;
        if metadata.file_type().is_fifo() {
            return self.open(Some(file)).await;
        }
        Ok(file.into())
    }

    /// Opens it on a thread of its own, which may wait without end. `first` stays open meanwhile: who opens the other end has
    /// perhaps found it.
    pub(super) async fn open(self, first: Option<std::fs::File>) -> io::Result<OwnedFd> {
        let flags = self.flags & !(libc::O_CREAT | libc::O_TRUNC | libc::O_EXCL);
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        let mut options = std::fs::OpenOptions::new();
        options
            .read(flags & libc::O_ACCMODE != libc::O_WRONLY)
            .write(writes)
            .custom_flags(flags & !libc::O_ACCMODE)
            .mode(self.mode);
        let mut waiting = Waiting {
            path: self.path.clone(),
            writes,
            over: false,
        };
        let opened = spawn_apart(move || options.open(self.path))?.await;
        waiting.over = true;
        drop(first);
        opened.map(OwnedFd::from)
    }
}

/// A thread waits for the other end of a FIFO; or somebody waits no more for the thread.
struct Waiting {
    path: PathBuf,
    writes: bool,
    over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            // The other end, for a moment: the thread's open ends, and what it has opened is closed.
            let end = std::fs::OpenOptions::new()
                .read(self.writes)
                .write(!self.writes)
                .custom_flags(libc::O_NONBLOCK)
                .open(&self.path);
            drop(end);
        }
    }
}
