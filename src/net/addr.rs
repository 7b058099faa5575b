//! Names and addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::slice;

use futures_util::FutureExt;

use crate::runtime::spawn_own;

/// What can be turned into socket addresses.
///
/// Addresses and their texts (`"127.0.0.1:7000"`, `"[::1]:7000"`) need no look-up. Host names (`"localhost:7000"`,
/// `("localhost", 7000)`) are resolved by the system: for `connect`, on a thread of their own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no address of a socket, nor can it be turned into one",
    label = "no address",
    note = "give `\"host:port\"`, `(\"host\", port)`, `(IpAddr, port)`, a `SocketAddr` or a list of them"
)]
pub trait ToSocketAddrs: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// The addresses, or the name to look up.
        fn target(&self) -> std::io::Result<super::Target>;
    }
}

/// What a [`ToSocketAddrs`] comes to.
#[derive(Debug)]
pub enum Target {
    /// Addresses.
    Addrs(Addrs),
    /// A host name and a port.
    Name(String, u16),
}

/// The addresses to try, at least one.
#[derive(Debug)]
pub enum Addrs {
    /// The caller knows which it is.
    One(SocketAddr),
    /// A list, or what a name was resolved to.
    Several(Vec<SocketAddr>),
}

macro_rules! addresses {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for $kind {}
        impl sealed::Sealed for $kind {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Addrs(Addrs::One(SocketAddr::from(*self))))
            }
        }
    )*};
}
addresses!(SocketAddr, SocketAddrV4, SocketAddrV6);
addresses!((IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for (&str, u16) {}
impl sealed::Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => (ip, port).target(),
            Err(_) => Ok(Target::Name(host.to_owned(), port)),
        }
    }
}

impl ToSocketAddrs for str {}
impl sealed::Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return addr.target();
        }
        let parts = self.rsplit_once(':');
        match parts.map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) if !host.is_empty() => Ok(Target::Name(host.to_owned(), port)),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{self:?} is no address: write HOST:PORT, as in 127.0.0.1:7000 or [::1]:7000"
                ),
            )),
        }
    }
}

impl ToSocketAddrs for String {}
impl sealed::Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl ToSocketAddrs for &[SocketAddr] {}
impl sealed::Sealed for &[SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        match self.is_empty() {
            true => Err(no_address()),
            false => Ok(Target::Addrs(Addrs::Several(self.to_vec()))),
        }
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}
impl<T: ToSocketAddrs + ?Sized> sealed::Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

/// The addresses that `host` names, looked up on a thread of their own where that is needed.
///
/// # Errors
///
/// `InvalidInput` if `host` is no address; the system's error if the name cannot be resolved.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let mut addrs = saferring::net::lookup_host("127.0.0.1:80").await?;
/// assert_eq!(addrs.next(), Some("127.0.0.1:80".parse().unwrap()));
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(match Addrs::look_up(host).await? {
        Addrs::One(addr) => vec![addr].into_iter(),
        Addrs::Several(addrs) => addrs.into_iter(),
    })
}

impl Addrs {
    pub(super) async fn look_up(host: impl ToSocketAddrs) -> io::Result<Self> {
        match host.target()? {
            Target::Addrs(addrs) => Ok(addrs),
            Target::Name(name, port) => spawn_own(move || Self::resolve(&name, port)).await?,
        }
    }

    /// As [`look_up`](Self::look_up), on the calling thread.
    pub(super) fn look_up_blocking(host: impl ToSocketAddrs) -> io::Result<Self> {
        match host.target()? {
            Target::Addrs(addrs) => Ok(addrs),
            Target::Name(name, port) => Self::resolve(&name, port),
        }
    }

    fn resolve(name: &str, port: u16) -> io::Result<Self> {
        let found = std::net::ToSocketAddrs::to_socket_addrs(&(name, port)).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot resolve {name:?}: {error}"))
        })?;
        let addrs: Vec<_> = found.collect();
        if addrs.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{name:?} has no address"),
            ));
        }
        Ok(Addrs::Several(addrs))
    }

    /// The first of them.
    pub(super) fn head(&self) -> SocketAddr {
        self.as_slice()[0]
    }

    fn as_slice(&self) -> &[SocketAddr] {
        match self {
            Addrs::One(addr) => slice::from_ref(addr),
            Addrs::Several(addrs) => addrs,
        }
    }

    /// The first success of `f`, or its last error.
    pub(super) async fn first<T>(
        &self,
        mut f: impl AsyncFnMut(SocketAddr) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut last = no_address();
        for &addr in self.as_slice() {
            match f(addr).await {
                Ok(value) => return Ok(value),
                Err(error) => last = self.explain(addr, error),
            }
        }
        Err(last)
    }

    /// As [`first`](Self::first), of what does not wait.
    pub(super) fn first_now<T>(
        &self,
        mut f: impl FnMut(SocketAddr) -> io::Result<T>,
    ) -> io::Result<T> {
        let done = self.first(async |addr| f(addr)).now_or_never();
        done.unwrap_or_else(|| Err(no_address()))
    }

    /// Names the address that failed, unless the caller knows it.
    fn explain(&self, addr: SocketAddr, source: io::Error) -> io::Error {
        match self {
            Addrs::One(_) => source,
            Addrs::Several(addrs) => io::Error::new(
                source.kind(),
                AddrError {
                    addr,
                    tried: addrs.len(),
                    source,
                },
            ),
        }
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no address was given")
}

/// Which address an error is about, where a host name or a list leaves that open.
///
/// It lies inside of the [`io::Error`] of a bind or connect to several addresses, which has the kind of the system's
/// error. That itself is the [source](std::error::Error::source), and has the number.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::net::{AddrError, TcpStream};
/// use std::net::SocketAddr;
///
/// let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
/// let error = TcpStream::connect(&[nobody][..]).await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<AddrError>());
/// assert_eq!(inner.unwrap().addr(), nobody);
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{addr}: {source} (addresses tried: {tried})")]
pub struct AddrError {
    addr: SocketAddr,
    tried: usize,
    source: io::Error,
}

impl AddrError {
    /// The address that was tried last.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    #[test]
    fn literals_need_no_lookup() {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert!(matches!(text.target(), Ok(Target::Addrs(_))), "{text}");
        }
        assert!(matches!(("127.0.0.1", 80).target(), Ok(Target::Addrs(_))));
        assert!(matches!("localhost:80".target(), Ok(Target::Name(..))));
        for text in ["localhost", ":80", "localhost:http", ""] {
            let error = Addrs::look_up_blocking(text).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
        }
    }
}
