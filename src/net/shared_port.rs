//! Ports that several threads listen on (`SO_REUSEPORT`, see socket(7)).

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};

use super::addr::{Addrs, ToSocketAddrs};

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;

/// How a port is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// For this socket alone.
    Alone,
    /// As the first of several: fails if anybody has it, another program of the same user, too.
    First,
    /// As one of several.
    Joined,
}

/// Decides, on a thread that shares its ports with others, how each is taken.
pub(crate) trait Ports {
    /// Calls `bind` with the address to take instead of `asked`, and tells what it has taken.
    fn bind(
        &self,
        asked: SocketAddr,
        bind: &mut dyn FnMut(SocketAddr, Take) -> io::Result<SocketAddr>,
    ) -> io::Result<()>;
}

thread_local! {
    static PORTS: RefCell<Option<Rc<dyn Ports>>> = const { RefCell::new(None) };
}

/// Makes `ports` decide for this thread; `None` for each socket its own, as usual.
pub(crate) fn share_ports(ports: Option<Rc<dyn Ports>>) {
    let before = PORTS.try_with(|current| current.replace(ports));
    drop(before);
}

/// A socket that is bound to `addr`.
pub(super) fn bind(addr: SocketAddr) -> io::Result<Socket> {
    let ports = PORTS.try_with(|ports| ports.borrow().clone());
    let Some(ports) = ports.ok().flatten() else {
        return take(addr, Take::Alone);
    };
    let mut bound = None;
    ports.bind(addr, &mut |addr, how| {
        let socket = bound.insert(take(addr, how)?);
        local_addr(socket)
    })?;
    bound.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn take(addr: SocketAddr, how: Take) -> io::Result<Socket> {
    let kind = Type::STREAM.cloexec();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if how == Take::Joined {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    if how == Take::First {
        // Only from now on, so that a port which somebody shares already is not joined by mistake.
        socket.set_reuse_port(true)?;
    }
    Ok(socket)
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    let addr = socket.local_addr()?.as_socket();
    addr.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// So many sockets that listen at the first of the addresses that can be had. The kernel gives each of them its share of
/// the connections. A host name is looked up on the calling thread.
///
/// # Errors
///
/// As for [`TcpListener::bind`](super::TcpListener::bind). Then none listens.
pub(crate) fn listen_shared(
    addr: impl ToSocketAddrs,
    sockets: usize,
) -> io::Result<Vec<std::net::TcpListener>> {
    Addrs::look_up_blocking(addr)?.first_now(|addr| {
        let how = if sockets > 1 {
            Take::First
        } else {
            Take::Alone
        };
        let first = take(addr, how)?;
        let addr = local_addr(&first)?;
        let mut all = vec![first];
        for _ in 1..sockets {
            all.push(take(addr, Take::Joined)?);
        }
        // Their order of listening is that of their numbers for a filter.
        for socket in &all {
            socket.listen(BACKLOG)?;
        }
        Ok(all.into_iter().map(std::net::TcpListener::from).collect())
    })
}
