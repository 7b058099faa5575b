//! The pipe that bytes are spliced through, and what it lies between.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::read::CURRENT;
use super::ready::Ready;
use super::splice::Splice;
use super::{Settle, SharedFd};

/// How much a pipe is made to hold, if the user's share of pipe memory allows it. CPU time for a GiB with 64 KiB, 256 KiB and
/// 1 MiB, on two cores, coarse: splice(2) from file to file (ext4, cached) 286, 233 and 207 ms; file to TCP on loopback through
/// here 714 to 1071, 385 to 488, and 349 to 387 ms.
const SIZE: u32 = 1024 * 1024;
/// What a pipe holds without being told, and one of a user beyond the share at least.
const SIZE_MIN: u32 = 4096;

/// What [`io::splice`](crate::io::splice) moves bytes from and to: `&TcpStream`, `&UnixStream`, `&mut File` for a file
/// by its cursor or one without positions, [`File::at`](crate::fs::File::at) for a file by position.
///
/// Only this crate can implement it.
pub trait SpliceEnd {
    /// The descriptor.
    #[doc(hidden)]
    fn fd(&self) -> &SharedFd;

    /// Whether the place is the file's cursor, which reads and writes move, too.
    #[doc(hidden)]
    fn is_cursor(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Where the next byte comes from or goes to; `u64::MAX` for a stream.
    #[doc(hidden)]
    fn place(&mut self) -> io::Result<u64>;

    /// So many bytes were moved.
    #[doc(hidden)]
    fn advance(&mut self, moved: u64);
}

/// A pipe of our own.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(super) reader: SharedFd,
    pub(super) writer: SharedFd,
    size: u32,
}

impl Pipe {
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let writer = OwnedFd::from(writer);
        // SAFETY: fcntl of this kind takes a number, of a descriptor that is open, and changes nothing but the pipe.
        let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, SIZE) };
        let size = match size {
            // SAFETY: as above.
            ..=0 => unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) },
            _ => size,
        };
        Ok(Pipe {
            reader: SharedFd::new(OwnedFd::from(reader)),
            writer: SharedFd::new(writer),
            size: u32::try_from(size).unwrap_or(0).max(SIZE_MIN),
        })
    }

    /// Moves up to `len` bytes, and no more than it holds, into the pipe, which is empty. Returns how many; zero is the
    /// end.
    ///
    /// # Errors
    ///
    /// What splice(2) says.
    pub(crate) async fn fill(&self, from: &mut impl SpliceEnd, len: u64) -> io::Result<u64> {
        let len = len.min(self.size.into()) as u32;
        let offset = place(from).await?;
        let fd = from.fd();
        loop {
            // A socket would hold up the kernel's thread until something arrives.
            if offset == CURRENT && !fd.has_late() {
                Ready::read(fd).await?;
            }
            match Splice::read(fd, offset, self, len).await {
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
    pub(crate) async fn drain(&self, to: &mut impl SpliceEnd, len: u64) -> io::Result<u64> {
        let len = len.min(self.size.into()) as u32;
        let offset = place(to).await?;
        let fd = to.fd();
        loop {
            match Splice::write(self, fd, offset, len).await {
                Err(error) if offset == CURRENT && is_transient(&error) => Ready::write(fd).await?,
                moved => return moved.map(u64::from),
            }
        }
    }
}

/// Where the next byte comes from or goes to, once reads and writes by cursor that were dropped move that no more.
async fn place(end: &mut impl SpliceEnd) -> io::Result<u64> {
    if end.is_cursor()?
        && let Some(settled) = Settle::new(end.fd())
    {
        settled.await?;
    }
    end.place()
}

/// Whether somebody has the other end of a FIFO open for writing. `spare` is the writing end of a pipe, in which a byte may be
/// left.
pub(crate) fn has_writer(fifo: &impl AsRawFd, spare: &impl AsRawFd) -> bool {
    // Nothing is taken out of the FIFO.
    // SAFETY: the call takes numbers only; both descriptors are open while they are borrowed.
    let copied = unsafe {
        libc::tee(
            fifo.as_raw_fd(),
            spare.as_raw_fd(),
            1,
            libc::SPLICE_F_NONBLOCK,
        )
    };
    copied > 0 || copied < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// Whether somebody else was faster, or a signal.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
