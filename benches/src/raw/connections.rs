//! What both echo loops do alike: accept, name operations, close.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{opcode, squeue, types};

use super::ring::{Queues, Ring};
/// The kinds of operations, in the upper two bits of the user data; the descriptor is in the lower 32.
pub(super) const ACCEPT: u64 = 0 << 62;
pub(super) const RECV: u64 = 1 << 62;
pub(super) const SEND: u64 = 2 << 62;
pub(super) const KIND: u64 = 3 << 62;

pub(super) fn descriptor(data: u64) -> RawFd {
    data as u32 as RawFd
}

/// A ring that holds the completions of two operations for each connection.
pub(super) fn ring(connections: usize) -> io::Result<Ring> {
    let completions = (2 * connections.min(16_384)).next_power_of_two().max(4096);
    Ring::sized(256, completions as u32)
}

/// Accepted sockets inherit it, which saves a system call a connection.
pub(super) fn no_delay(listener: &TcpListener) -> io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_nodelay(true)
}

pub(super) fn push_accept(queues: &mut Queues<'_>, listener: &TcpListener) -> io::Result<()> {
    let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
        .flags(libc::SOCK_CLOEXEC)
        .build()
        .user_data(ACCEPT);
    // SAFETY: the entry points to nothing.
    unsafe { queues.push(&accept) }
}

/// Closes a connection that has nothing in flight.
pub(super) fn push_close(queues: &mut Queues<'_>, fd: RawFd) -> io::Result<()> {
    let close = opcode::Close::new(types::Fd(fd))
        .build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(KIND);
    // SAFETY: the entry points to nothing, and the descriptor is ours.
    unsafe { queues.push(&close) }
}

/// Ends the receive that is in flight on a connection whose send has failed.
pub(super) fn shut_down(fd: RawFd) {
    // SAFETY: shutdown takes no pointers. If it fails, the connection is down already.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}
