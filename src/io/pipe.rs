//! The pipe that bytes are spliced through.

use std::io;

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

use crate::op::{Barrier, CURRENT, Ready, SharedFd, Splice, SpliceEnd};

/// How much a pipe is made to hold, if the user's share of pipe memory allows it. CPU time for a GiB with 64 KiB, 256
/// KiB and 1 MiB, on two cores, coarse: splice(2) from file to file (ext4, cached) 286, 233 and 207 ms; file to TCP on
/// loopback through here 714 to 1071, 385 to 488, and 349 to 387 ms.
const SIZE: usize = 1024 * 1024;
/// What a pipe holds without being told, and one of a user beyond the share at least.
const SIZE_MIN: usize = 4096;

/// A pipe of our own.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: SharedFd,
    writer: SharedFd,
    size: usize,
}

impl Pipe {
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let size = match fcntl_setpipe_size(&writer, SIZE) {
            Ok(size) => size,
            Err(_) => fcntl_getpipe_size(&writer).unwrap_or(0),
        };
        Ok(Pipe {
            reader: SharedFd::new(reader),
            writer: SharedFd::new(writer),
            size: size.max(SIZE_MIN),
        })
    }

    /// Moves up to `len` bytes, and no more than it holds, into the pipe, which is empty. Returns how many; zero is the
    /// end.
    ///
    /// # Errors
    ///
    /// What splice(2) says.
    pub(super) async fn fill(&self, from: &mut impl SpliceEnd, len: u64) -> io::Result<u64> {
        let len = len.min(self.size as u64) as u32;
        let offset = position(from).await?;
        let fd = from.fd();
        loop {
            // A socket would hold up the kernel's thread until something arrives.
            if offset == CURRENT && !fd.has_stashed() {
                Ready::read(fd).await?;
            }
            match Splice::read(fd, offset, [&self.writer, &self.reader], len).await {
                Err(error) if offset == CURRENT && is_transient(&error) => {}
                moved => return moved.map(u64::from),
            }
        }
    }

    /// Moves up to `len` bytes out of the pipe, which has them. Returns how many.
    ///
    /// # Errors
    ///
    /// What splice(2) says.
    pub(super) async fn drain(&self, to: &mut impl SpliceEnd, len: u64) -> io::Result<u64> {
        let len = len.min(self.size as u64) as u32;
        let offset = position(to).await?;
        let fd = to.fd();
        loop {
            match Splice::write([&self.reader, &self.writer], fd, offset, len).await {
                Err(error) if offset == CURRENT && is_transient(&error) => Ready::write(fd).await?,
                moved => return moved.map(u64::from),
            }
        }
    }
}

/// Where the next byte comes from or goes to, once reads and writes by cursor that were dropped move that no more.
async fn position(end: &mut impl SpliceEnd) -> io::Result<u64> {
    if end.is_cursor()? {
        if let Some(barrier) = Barrier::new(end.fd()) {
            barrier.await?;
        }
    }
    end.position()
}

/// Whether somebody else was faster, or a signal.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
