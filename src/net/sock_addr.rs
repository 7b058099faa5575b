//! The kernel's addresses as those of std, and back.

use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use socket2::SockAddr;

/// An address of the Internet families.
pub(super) fn inet(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket()
        .ok_or_else(|| invalid("the socket's address is not of the Internet family"))
}

/// Who has sent a datagram.
pub(super) fn sender(from: Option<SockAddr>) -> io::Result<SocketAddr> {
    let from = from.ok_or_else(|| invalid("the datagram came without a sender"))?;
    inet(&from)
}

/// An address of the Unix family: a path, an abstract name, or none at all.
pub(super) fn unix(addr: &SockAddr) -> io::Result<UnixAddr> {
    if let Some(path) = addr.as_pathname() {
        return UnixAddr::from_pathname(path);
    }
    if let Some(name) = addr.as_abstract_namespace() {
        return UnixAddr::from_abstract_name(name);
    }
    if addr.is_unnamed() {
        return UnixAddr::from_pathname("");
    }
    Err(invalid("the socket's address is not of the Unix family"))
}

/// The address of a path.
pub(super) fn unix_path(path: impl AsRef<Path>) -> io::Result<SockAddr> {
    if path.as_ref().as_os_str().as_bytes().contains(&0) {
        return Err(invalid("paths must not contain interior null bytes"));
    }
    SockAddr::unix(path)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
