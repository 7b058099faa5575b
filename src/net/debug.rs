//! `Debug` of the sockets. It shows what std shows: the addresses and the descriptor.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

use super::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};

macro_rules! says {
    ($kind:ident: $($name:literal = $value:expr),*) => {
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = f.debug_struct(stringify!($kind));
                $(if let Ok(value) = $value(self) {
                    text.field($name, &value);
                })*
                text.finish()
            }
        }
    };
}

says!(TcpListener: "addr" = Self::local_addr, "fd" = fd);
says!(TcpStream: "addr" = Self::local_addr, "peer" = Self::peer_addr, "fd" = fd);
says!(UdpSocket: "addr" = Self::local_addr, "fd" = fd);
says!(UnixListener: "fd" = fd, "local" = Self::local_addr);
says!(UnixStream: "fd" = fd, "local" = Self::local_addr, "peer" = Self::peer_addr);
says!(UnixDatagram: "fd" = fd, "local" = Self::local_addr, "peer" = Self::peer_addr);

fn fd(socket: &impl AsRawFd) -> io::Result<i32> {
    Ok(socket.as_raw_fd())
}
