//! The hand-written echo server with one receive and one send a request: what an await of each comes down to.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::{opcode, types};

use super::{Cell, STAMP, stamp};
use crate::raw::{Memory, POLL_FIRST, Queues, Ring, result};

struct Connections {
    streams: Vec<TcpStream>,
    message: usize,
    /// A place for each connection's message, so many bytes apart.
    places: Memory,
    stride: usize,
}

/// In the user data, beside the connection.
const SEND: u64 = 1 << 32;

pub(super) fn serve(listener: TcpListener, cell: Cell) -> io::Result<()> {
    let streams = accept(&listener, cell.connections + 1)?;
    let stride = cell.message.max(STAMP).next_multiple_of(64);
    let connections = Connections {
        message: cell.message,
        places: Memory::map(streams.len() * stride)?,
        streams,
        stride,
    };
    let mut ring = Ring::new()?;
    let mut queues = ring.queues();
    for connection in 0..connections.streams.len() {
        connections.push_recv(&mut queues, connection)?;
    }
    let mut open = connections.streams.len();
    while open > 0 {
        queues.turn(1)?;
        while let Some(cqe) = queues.next() {
            let connection = cqe.user_data() as u32 as usize;
            let n = result(&cqe)?;
            if cqe.user_data() & SEND != 0 {
                connections.push_recv(&mut queues, connection)?;
            } else if n == 0 {
                open -= 1;
            } else if connection == 0 {
                let stamp = stamp(queues.enters());
                // SAFETY: its receive has ended, and its send is yet to come.
                unsafe { connections.places.write(0, &stamp) };
                connections.push_send(&mut queues, connection, STAMP)?;
            } else {
                connections.push_send(&mut queues, connection, n)?;
            }
        }
    }
    Ok(())
}

/// The first `n` connections.
pub(super) fn accept(listener: &TcpListener, n: usize) -> io::Result<Vec<TcpStream>> {
    let accept = |_| {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    (0..n).map(accept).collect()
}

impl Connections {
    #[inline]
    fn push_recv(&self, queues: &mut Queues<'_>, connection: usize) -> io::Result<()> {
        let fd = types::Fd(self.streams[connection].as_raw_fd());
        let place = self.places.at(connection * self.stride, self.message);
        let recv = opcode::Recv::new(fd, place, self.message as u32)
            .ioprio(POLL_FIRST)
            .build()
            .user_data(connection as u64);
        // SAFETY: the memory is never unmapped, and each connection's place has one operation at a time.
        unsafe { queues.push(&recv) }
    }

    #[inline]
    fn push_send(&self, queues: &mut Queues<'_>, connection: usize, n: usize) -> io::Result<()> {
        let fd = types::Fd(self.streams[connection].as_raw_fd());
        let place = self.places.at(connection * self.stride, n);
        let send = opcode::Send::new(fd, place, n as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(connection as u64 | SEND);
        // SAFETY: as in `push_recv`.
        unsafe { queues.push(&send) }
    }
}
