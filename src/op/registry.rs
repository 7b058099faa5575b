//! The table of direct descriptors, and what can be done with one: its methods are those of the operations.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::context::{Driver, current};
use super::mechanism::Op;
use super::operations::{
    AcceptDirect, Connect, Fsync, Install, OpenDirect, Read, Recv, Send, SocketDirect, Write,
};
use super::resource::{CURRENT, Position, RegisteredFd, Slot};
use crate::buf::{IoBuf, IoBufMut};
use crate::feature::Feature;

/// The table of registered files of a runtime: where descriptors are made that only its ring knows.
///
/// Such a *direct descriptor* is no entry of the process's table of descriptors. The kernel need not look it up, nor count
/// a reference to it, for each operation, and making and closing it takes no lock that threads share. It is used through [`RegisteredFd`], and
/// [`install`](RegisteredFd::install) makes an ordinary descriptor of it.
///
/// A [`File`](crate::fs::File) that is read or written often takes a place in the table by itself, so that this is not
/// needed for files.
///
/// # Kernel
///
/// Since 6.13 ([`Features::registered_files`](crate::Features::registered_files)); see io_uring_registered_files(7).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::op::Registry;
///
/// let registry = match Registry::current() {
///     Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(()), // an older kernel
///     registry => registry?,
/// };
/// let file = registry.open("Cargo.toml", libc::O_RDONLY, 0)?.await?;
/// let (n, buf) = file.read_at(vec![0; 64], 0).await;
/// assert_eq!(n?, buf.len());
/// let file = saferring::fs::File::from(file.install().await?); // an ordinary one from here on
/// # drop(file);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Registry(Rc<Driver>);

impl Registry {
    /// The current runtime's.
    ///
    /// # Errors
    ///
    /// `Unsupported` under [`FallbackStrategy::Strict`](crate::runtime::FallbackStrategy::Strict), if the kernel has no such
    /// table, or one that does not let go of files in time, or [`Feature::RegisteredFiles`] is switched off; with an
    /// [`Error`](crate::Error) inside that says which. Otherwise they are files in software then.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn current() -> io::Result<Self> {
        let Some(driver) = current() else {
            panic!(
                "Registry::current was called outside a saferring runtime: call it inside Runtime::block_on, a spawned \
                 task or #[saferring::main]"
            )
        };
        // What the kernel has no table for has one in software.
        driver.features().may_use(Feature::RegisteredFiles)?;
        Ok(Registry(driver))
    }

    fn vacant(&self) -> io::Result<Slot> {
        Slot::vacant(&self.0).map_err(explain)
    }

    /// Makes a direct descriptor for what `fd` stands for. The two are independent: the file is closed when both are.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` if the table is full: it has 4096 places, or as many as the limit on descriptors allows;
    /// `Unsupported` if it cannot be made; `NotConnected` if its runtime has ended. `EBADF` if the kernel registers no
    /// such file, as with `O_PATH`.
    pub fn register(&self, fd: impl AsFd) -> io::Result<RegisteredFd> {
        let slot = Slot::of(&self.0, fd.as_fd().as_raw_fd()).map_err(explain)?;
        let registered = RegisteredFd::new(slot);
        // What is no socket is none of datagrams.
        if SockRef::from(&fd)
            .r#type()
            .is_ok_and(|kind| kind == Type::DGRAM)
        {
            registered.mark_datagram();
        }
        Ok(registered)
    }

    /// Opens a file; `flags` and `mode` are those of openat(2).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path holds a NUL byte; as for [`register`](Self::register). The operation's are those of
    /// openat(2).
    pub fn open(
        &self,
        path: impl AsRef<Path>,
        flags: i32,
        mode: u32,
    ) -> io::Result<Op<OpenDirect>> {
        OpenDirect::new(path.as_ref(), flags, mode, self.vacant()?)
    }

    /// Makes a socket.
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register). The operation's are those of socket(2).
    pub fn socket(
        &self,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<Op<SocketDirect>> {
        Ok(SocketDirect::new(domain, kind, protocol, self.vacant()?))
    }
}

/// Why there is no place in the table.
fn explain(error: io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::QuotaExceeded => {
            "the ring's table of registered files is full: drop some, or use ordinary descriptors"
        }
        io::ErrorKind::Unsupported => {
            "the kernel makes no table of registered files that can be used: it is older than Linux 6.13, or a seccomp \
             profile forbids it (io_uring_register); use ordinary descriptors"
        }
        io::ErrorKind::NotConnected => "the runtime of this registry has ended",
        _ => return error,
    };
    io::Error::new(error.kind(), reason)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

impl RegisteredFd {
    /// Reads a file at `offset`; see [`File::read_at`](crate::fs::File::read_at).
    pub fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> Op<Read<B>> {
        Read::new(&self.fd, buf, Position::At(offset.min(CURRENT - 1)))
    }

    /// Writes a file at `offset`; see [`File::write_at`](crate::fs::File::write_at).
    pub fn write_at<B>(&self, buf: B, offset: u64) -> Op<Write<B>>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        Write::new(&self.fd, buf, Position::At(offset.min(CURRENT - 1)))
    }

    /// Brings data and metadata of a file to the disk; see [`File::sync_all`](crate::fs::File::sync_all).
    pub fn sync_all(&self) -> Op<Fsync> {
        Fsync::new(&self.fd, false)
    }

    /// Receives from a socket; see [`TcpStream::read`](crate::net::TcpStream::read).
    pub fn recv<B: IoBufMut>(&self, buf: B) -> Op<Recv<B>> {
        Recv::new(&self.fd, buf)
    }

    /// Sends what a socket takes; see [`TcpStream::write`](crate::net::TcpStream::write).
    pub fn send<B>(&self, buf: B) -> Op<Send<B>>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        Send::new(&self.fd, buf)
    }

    /// Sends all of `buf`; a number less than its length is one that an error ended.
    pub fn send_all<B>(&self, buf: B) -> Op<Send<B>>
    where
        B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
    {
        Send::all(&self.fd, buf)
    }

    /// Connects a socket.
    pub fn connect(&self, addr: SockAddr) -> Op<Connect> {
        Connect::new(&self.fd, addr)
    }

    /// Accepts a connection of a listening socket, as a direct descriptor.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` if the table is full. The operation's are those of accept(2).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn accept(&self) -> io::Result<Op<AcceptDirect>> {
        let registry = Registry::current()?;
        Ok(AcceptDirect::new(&self.fd, registry.vacant()?))
    }

    /// Makes an ordinary descriptor of it, closed on exec, from which the types of [`net`](crate::net) and
    /// [`fs`](crate::fs) can be made.
    ///
    /// # Errors
    ///
    /// `EMFILE` at the limit on descriptors.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the file.
    ///
    /// # Kernel
    ///
    /// `FIXED_FD_INSTALL`.
    pub async fn install(self) -> io::Result<OwnedFd> {
        Install::new(&self.fd).await
    }

    /// Cancels what is in flight on it, waits until that has ended, and closes it.
    ///
    /// # Errors
    ///
    /// None today; a release cannot fail.
    pub async fn close(self) -> io::Result<()> {
        self.fd.close().await
    }
}
