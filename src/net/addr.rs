//! Names and addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::runtime::spawn_own;

/// What can be turned into socket addresses.
///
/// Addresses and their texts (`"127.0.0.1:7000"`, `"[::1]:7000"`) need no look-up. Host names (`"localhost:7000"`,
/// `("localhost", 7000)`) are resolved by the system: for `connect`, on a thread of their own.
pub trait ToSocketAddrs: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// The addresses, or the name to look up.
        fn target(&self) -> super::Target;

        /// The address, if it is one as it stands: no list need be made for it.
        fn literal(&self) -> Option<super::SocketAddr> {
            None
        }
    }
}

/// What a [`ToSocketAddrs`] comes to.
#[derive(Debug)]
pub enum Target {
    /// Addresses.
    Addrs(Vec<SocketAddr>),
    /// A host name and a port.
    Name(String, u16),
    /// Neither.
    Invalid(String),
}

macro_rules! addresses {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for $kind {}
        impl sealed::Sealed for $kind {
            fn target(&self) -> Target {
                Target::Addrs(vec![SocketAddr::from(*self)])
            }

            fn literal(&self) -> Option<SocketAddr> {
                Some(SocketAddr::from(*self))
            }
        }
    )*};
}
addresses!(SocketAddr, SocketAddrV4, SocketAddrV6);

macro_rules! address_and_port {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for ($kind, u16) {}
        impl sealed::Sealed for ($kind, u16) {
            fn target(&self) -> Target {
                Target::Addrs(vec![SocketAddr::from(*self)])
            }

            fn literal(&self) -> Option<SocketAddr> {
                Some(SocketAddr::from(*self))
            }
        }
    )*};
}
address_and_port!(IpAddr, Ipv4Addr, Ipv6Addr);

impl ToSocketAddrs for (&str, u16) {}
impl sealed::Sealed for (&str, u16) {
    fn target(&self) -> Target {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Target::Addrs(vec![SocketAddr::new(ip, self.1)]),
            Err(_) => Target::Name(self.0.to_owned(), self.1),
        }
    }
}

impl ToSocketAddrs for str {}
impl sealed::Sealed for str {
    fn target(&self) -> Target {
        if let Ok(addr) = self.parse() {
            return Target::Addrs(vec![addr]);
        }
        match self
            .rsplit_once(':')
            .map(|(host, port)| (host, port.parse()))
        {
            Some((host, Ok(port))) if !host.is_empty() => Target::Name(host.to_owned(), port),
            _ => Target::Invalid(self.to_owned()),
        }
    }
}

impl ToSocketAddrs for String {}
impl sealed::Sealed for String {
    fn target(&self) -> Target {
        self.as_str().target()
    }
}

impl ToSocketAddrs for &[SocketAddr] {}
impl sealed::Sealed for &[SocketAddr] {
    fn target(&self) -> Target {
        Target::Addrs(self.to_vec())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}
impl<T: ToSocketAddrs + ?Sized> sealed::Sealed for &T {
    fn target(&self) -> Target {
        (**self).target()
    }

    fn literal(&self) -> Option<SocketAddr> {
        (**self).literal()
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
    let addrs = match host.target() {
        Target::Name(name, port) => spawn_own(move || resolve(&name, port)).await??,
        other => literal(other)?,
    };
    Ok(addrs.into_iter())
}

/// As [`lookup_host`], on the calling thread.
pub(super) fn lookup_host_blocking(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    match host.target() {
        Target::Name(name, port) => resolve(&name, port),
        other => literal(other),
    }
}

fn literal(target: Target) -> io::Result<Vec<SocketAddr>> {
    match target {
        Target::Addrs(addrs) if !addrs.is_empty() => Ok(addrs),
        Target::Invalid(text) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{text:?} is no address: write HOST:PORT, as in 127.0.0.1:7000 or [::1]:7000"),
        )),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no address was given",
        )),
    }
}

fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
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
    Ok(addrs)
}

/// Tries `f` with each address until one succeeds.
pub(super) async fn try_each<T>(
    addrs: impl Iterator<Item = SocketAddr>,
    mut f: impl AsyncFnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addrs {
        match f(addr).await {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address was given")))
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    #[test]
    fn literals_need_no_lookup() {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert!(matches!(text.target(), Target::Addrs(_)), "{text}");
        }
        assert!(matches!(("127.0.0.1", 80).target(), Target::Addrs(_)));
        assert!(matches!("localhost:80".target(), Target::Name(..)));
        for text in ["localhost", ":80", "localhost:http", ""] {
            let error = lookup_host_blocking(text).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
        }
    }
}
