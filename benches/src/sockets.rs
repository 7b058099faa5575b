//! Sockets that servers listen at, each at a free port of the loopback address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// One socket, and where it is.
pub(crate) fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let [socket] = listeners()?;
    let addr = socket.local_addr()?;
    Ok((socket, addr))
}

/// So many sockets at one port, among which the kernel shares out the connections (`SO_REUSEPORT`).
pub(crate) fn listeners<const N: usize>() -> io::Result<[TcpListener; N]> {
    let mut addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut sockets = Vec::with_capacity(N);
    for number in 0..N {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // The first takes the port alone, so that it cannot be one that others share.
        if number > 0 {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&addr.into())?;
        socket.set_reuse_port(N > 1)?;
        let bound = socket.local_addr()?.as_socket();
        addr = bound.ok_or_else(|| io::Error::other("the socket has no IP address"))?;
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    let sockets: Vec<TcpListener> = sockets.into_iter().map(TcpListener::from).collect();
    sockets
        .try_into()
        .map_err(|_| io::Error::other("not as many sockets as asked for"))
}

/// A port that nobody has at this moment, for a program that has to be told one.
pub(crate) fn free_addr() -> io::Result<SocketAddr> {
    listener().map(|(_, addr)| addr)
}
