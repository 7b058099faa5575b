//! The load generator, the same for every server: one request in flight on each connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::{opcode, squeue, types};

use super::{Cell, STAMP};
use crate::raw::{Memory, POLL_FIRST, Queues, Ring, result};

pub(super) struct Load {
    stamps: TcpStream,
    clients: Clients,
    ring: Ring,
}

struct Clients {
    streams: Vec<TcpStream>,
    message: usize,
    /// The request, which is the same for all.
    request: Memory,
    /// A place for each client's reply.
    replies: Memory,
}

impl Load {
    /// Connects, and makes sure that the server is one that echoes.
    pub(super) fn connect(addr: SocketAddr, cell: Cell) -> io::Result<Self> {
        let connect = || {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        let stamps = connect()?;
        let streams = (0..cell.connections)
            .map(|_| connect())
            .collect::<io::Result<Vec<_>>>()?;
        let text: Vec<u8> = (0..cell.message).map(|i| i as u8).collect();
        let clients = Clients {
            streams,
            message: cell.message,
            request: Memory::map(cell.message)?,
            replies: Memory::map(cell.connections * cell.message)?,
        };
        // SAFETY: nothing has been submitted yet.
        unsafe { clients.request.write(0, &text) };
        let mut load = Load {
            stamps,
            clients,
            ring: Ring::new()?,
        };
        load.drive(cell.connections as u64)?;
        for client in 0..cell.connections {
            // SAFETY: `drive` has returned, so all its operations have ended.
            if !unsafe { load.clients.replies.holds(client * cell.message, &text) } {
                return Err(io::Error::other("the server does not echo what it gets"));
            }
        }
        Ok(load)
    }

    /// The server's CPU time in nanoseconds, and how often it entered the kernel.
    pub(super) fn stamp(&mut self) -> io::Result<(u64, u64)> {
        self.stamps.write_all(b"?")?;
        let (mut cpu, mut enters) = ([0; 8], [0; 8]);
        const { assert!(STAMP == 16) };
        self.stamps.read_exact(&mut cpu)?;
        self.stamps.read_exact(&mut enters)?;
        Ok((u64::from_ne_bytes(cpu), u64::from_ne_bytes(enters)))
    }

    /// Sends `requests` requests and awaits their replies.
    pub(super) fn drive(&mut self, requests: u64) -> io::Result<()> {
        let mut queues = self.ring.queues();
        let clients = &self.clients;
        let mut to_send = requests;
        for client in 0..clients.streams.len().min(requests as usize) {
            clients.push(&mut queues, client)?;
            to_send -= 1;
        }
        let mut to_come = requests;
        while to_come > 0 {
            queues.turn(1)?;
            while let Some(cqe) = queues.next() {
                // Sends that succeed say nothing, so this is a reply, or an error of either.
                if result(&cqe)? != clients.message {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                to_come -= 1;
                if to_send > 0 {
                    clients.push(&mut queues, cqe.user_data() as usize)?;
                    to_send -= 1;
                }
            }
        }
        Ok(())
    }
}

impl Clients {
    /// One request, and the receive of its reply.
    #[inline]
    fn push(&self, queues: &mut Queues<'_>, client: usize) -> io::Result<()> {
        let fd = types::Fd(self.streams[client].as_raw_fd());
        let send = opcode::Send::new(fd, self.request.at(0, self.message), self.message as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(client as u64);
        let place = self.replies.at(client * self.message, self.message);
        let recv = opcode::Recv::new(fd, place, self.message as u32)
            .ioprio(POLL_FIRST)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(client as u64);
        // SAFETY: both point to memory that is never unmapped. The request is only read; the client's place is written
        // by one receive at a time, because a client sends its next request after the reply.
        unsafe {
            queues.push(&send)?;
            queues.push(&recv)
        }
    }
}
