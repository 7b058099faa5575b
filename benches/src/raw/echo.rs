//! TCP echo with one multishot receive a connection, into a ring of buffers that all share.

use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;

use io_uring::{cqueue, opcode, types};

use super::buffers::{GROUP, Pool};
use super::connections::{
    ACCEPT, KIND, RECV, SEND, descriptor, no_delay, push_accept, push_close, ring, shut_down,
};
use super::ring::{Queues, result};
use crate::contender::EchoSpec;

/// More than that in buffers only spoils the caches: a turn of the loop needs a few of them.
const BUFFERS_MAX: usize = 4 << 20;

/// In the user data of a send, above the descriptor: its buffer.
const BUFFER: u32 = 32;

#[derive(Default)]
struct Connection {
    /// A receive is in flight.
    armed: bool,
    sending: bool,
    /// Nothing more will come.
    ended: bool,
    /// Buffers to send after the one being sent, and the bytes in each: what comes in pieces must not overtake itself.
    next: Vec<(u16, u32)>,
}

struct Server {
    pool: Pool,
    /// By descriptor.
    connections: Vec<Connection>,
    /// Connections whose receive ended because no buffer was free.
    starved: Vec<RawFd>,
    returned: bool,
}

pub(super) fn serve(listener: TcpListener, spec: EchoSpec) -> io::Result<()> {
    no_delay(&listener)?;
    let mut ring = ring(spec.connections)?;
    let size = spec.message.next_multiple_of(64);
    let most = (BUFFERS_MAX / size).clamp(64, 1024);
    let count = (2 * spec.connections + 2)
        .clamp(64, most)
        .next_power_of_two();
    let mut server = Server {
        pool: Pool::new(&ring, count as u16, size)?,
        connections: Vec::new(),
        starved: Vec::new(),
        returned: false,
    };
    let mut queues = ring.queues();
    push_accept(&mut queues, &listener)?;
    loop {
        queues.turn(1)?;
        while let Some(cqe) = queues.next() {
            let data = cqe.user_data();
            let fd = descriptor(data);
            match data & KIND {
                RECV => server.received(&mut queues, fd, &cqe)?,
                SEND => server.sent(&mut queues, fd, (data >> BUFFER) as u16, &cqe)?,
                ACCEPT => {
                    // A connection that was reset before it could be accepted ends nothing else.
                    if let Ok(fd) = result(&cqe) {
                        server.accepted(&mut queues, fd as RawFd)?;
                    }
                    if !cqueue::more(cqe.flags()) {
                        push_accept(&mut queues, &listener)?;
                    }
                }
                _ => result(&cqe).map(drop)?, // A close that failed.
            }
        }
        if server.returned && !server.starved.is_empty() {
            for fd in std::mem::take(&mut server.starved) {
                server.arm(&mut queues, fd)?;
            }
        }
        server.returned = false;
    }
}

impl Server {
    fn accepted(&mut self, queues: &mut Queues<'_>, fd: RawFd) -> io::Result<()> {
        let index = fd as usize;
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, Connection::default);
        }
        self.connections[index].ended = false;
        self.arm(queues, fd)
    }

    fn arm(&mut self, queues: &mut Queues<'_>, fd: RawFd) -> io::Result<()> {
        self.connections[fd as usize].armed = true;
        let recv = opcode::RecvMulti::new(types::Fd(fd), GROUP)
            .build()
            .user_data(RECV | fd as u64);
        // SAFETY: the entry points to nothing; the buffers that it selects are never unmapped.
        unsafe { queues.push(&recv) }
    }

    #[inline]
    fn received(
        &mut self,
        queues: &mut Queues<'_>,
        fd: RawFd,
        cqe: &cqueue::Entry,
    ) -> io::Result<()> {
        let connection = &mut self.connections[fd as usize];
        let more = cqueue::more(cqe.flags());
        connection.armed = more;
        if let (Some(id), 1..) = (cqueue::buffer_select(cqe.flags()), cqe.result()) {
            let n = cqe.result() as u32;
            if connection.sending {
                connection.next.push((id, n));
            } else {
                connection.sending = true;
                self.send(queues, fd, id, n)?;
            }
            if !more {
                self.arm(queues, fd)?;
            }
            return Ok(());
        }
        if cqe.result() == -libc::ENOBUFS {
            connection.armed = true; // It will be.
            self.starved.push(fd);
            return Ok(());
        }
        connection.ended = true;
        self.close_if_over(queues, fd)
    }

    #[inline]
    fn send(&mut self, queues: &mut Queues<'_>, fd: RawFd, id: u16, n: u32) -> io::Result<()> {
        let send = opcode::Send::new(types::Fd(fd), self.pool.buffer(id), n)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(u64::from(id) << BUFFER | SEND | fd as u64);
        // SAFETY: the memory is never unmapped, and the buffer is ours until the send has ended.
        unsafe { queues.push(&send) }
    }

    #[inline]
    fn sent(
        &mut self,
        queues: &mut Queues<'_>,
        fd: RawFd,
        id: u16,
        cqe: &cqueue::Entry,
    ) -> io::Result<()> {
        self.pool.give(id);
        self.returned = true;
        let connection = &mut self.connections[fd as usize];
        connection.sending = false;
        if cqe.result() < 0 {
            for (id, _) in connection.next.drain(..) {
                self.pool.give(id);
            }
            shut_down(fd);
        } else if !connection.next.is_empty() {
            connection.sending = true;
            let (id, n) = connection.next.remove(0);
            return self.send(queues, fd, id, n);
        }
        self.close_if_over(queues, fd)
    }

    #[inline]
    fn close_if_over(&mut self, queues: &mut Queues<'_>, fd: RawFd) -> io::Result<()> {
        let connection = &self.connections[fd as usize];
        if connection.ended && !connection.armed && !connection.sending {
            return push_close(queues, fd);
        }
        Ok(())
    }
}
