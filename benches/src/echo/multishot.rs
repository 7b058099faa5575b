//! The hand-written echo server with one multishot receive a connection, into a ring of buffers.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::{cqueue, opcode, types};

use super::single::accept;
use super::{Cell, STAMP, stamp};
use crate::buffers::{GROUP, Pool};
use crate::raw::{Queues, Ring, result};

/// In the user data: the connection below, the buffer above.
const SEND: u64 = 1 << 31;
const BUFFER: u32 = 32;

pub(super) fn serve(listener: TcpListener, cell: Cell) -> io::Result<()> {
    let streams = accept(&listener, cell.connections + 1)?;
    let mut ring = Ring::new()?;
    let count = (2 * streams.len()).next_power_of_two() as u16;
    let size = cell.message.max(STAMP).next_multiple_of(64);
    let mut pool = Pool::new(&ring, count, size)?;
    let mut queues = ring.queues();
    for connection in 0..streams.len() {
        push_recv(&mut queues, &streams, connection)?;
    }
    let mut open = streams.len();
    while open > 0 {
        queues.turn(1)?;
        while let Some(cqe) = queues.next() {
            let data = cqe.user_data();
            if data & SEND != 0 {
                result(&cqe)?;
                pool.give((data >> BUFFER) as u16);
                continue;
            }
            let connection = data as usize;
            let more = cqueue::more(cqe.flags());
            if let Some(id) = cqueue::buffer_select(cqe.flags()) {
                let mut n = result(&cqe)?;
                if connection == 0 {
                    let stamp = stamp(queues.enters());
                    // SAFETY: the kernel gave the buffer to us, and its send is yet to come.
                    unsafe { pool.write(id, &stamp) };
                    n = STAMP;
                }
                push_send(&mut queues, &streams, connection, &pool, id, n)?;
            } else if cqe.result() == 0 && !more {
                open -= 1;
                continue;
            } else if cqe.result() != -libc::ENOBUFS {
                result(&cqe)?;
            }
            if !more {
                push_recv(&mut queues, &streams, connection)?;
            }
        }
    }
    Ok(())
}

fn push_recv(queues: &mut Queues<'_>, streams: &[TcpStream], connection: usize) -> io::Result<()> {
    let fd = types::Fd(streams[connection].as_raw_fd());
    let recv = opcode::RecvMulti::new(fd, GROUP)
        .build()
        .user_data(connection as u64);
    // SAFETY: the entry points to nothing; the buffers that it selects are never unmapped.
    unsafe { queues.push(&recv) }
}

#[inline]
fn push_send(
    queues: &mut Queues<'_>,
    streams: &[TcpStream],
    connection: usize,
    pool: &Pool,
    id: u16,
    n: usize,
) -> io::Result<()> {
    let fd = types::Fd(streams[connection].as_raw_fd());
    let send = opcode::Send::new(fd, pool.buffer(id), n as u32)
        .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
        .build()
        .user_data(u64::from(id) << BUFFER | SEND);
    // SAFETY: the memory is never unmapped, and the buffer is ours until the send has ended.
    unsafe { queues.push(&send) }
}
