//! TCP echo with one receive and one send a request: what an await of each comes down to.

use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;

use io_uring::{cqueue, opcode, types};

use super::connections::{
    ACCEPT, KIND, RECV, SEND, descriptor, no_delay, push_accept, push_close, ring,
};
use super::ring::{Memory, POLL_FIRST, Queues, result};
use crate::contender::EchoSpec;

/// Connections whose buffers are mapped at once.
const CHUNK: usize = 64;

/// A buffer for each descriptor.
struct Buffers {
    chunks: Vec<Memory>,
    message: usize,
    stride: usize,
}

pub(super) fn serve(listener: TcpListener, spec: EchoSpec) -> io::Result<()> {
    no_delay(&listener)?;
    let mut ring = ring(spec.connections)?;
    let mut queues = ring.queues();
    let mut buffers = Buffers {
        chunks: Vec::new(),
        message: spec.message,
        stride: spec.message.next_multiple_of(64),
    };
    push_accept(&mut queues, &listener)?;
    loop {
        queues.turn(1)?;
        while let Some(cqe) = queues.next() {
            let data = cqe.user_data();
            let fd = descriptor(data);
            match (data & KIND, cqe.result()) {
                (RECV, n @ 1..) => buffers.push_send(&mut queues, fd, n as u32)?,
                (SEND, 0..) => buffers.push_recv(&mut queues, fd)?,
                (RECV | SEND, _) => push_close(&mut queues, fd)?,
                (ACCEPT, accepted) => {
                    if accepted >= 0 {
                        buffers.reserve(accepted as usize)?;
                        buffers.push_recv(&mut queues, accepted)?;
                    }
                    if !cqueue::more(cqe.flags()) {
                        push_accept(&mut queues, &listener)?;
                    }
                }
                _ => result(&cqe).map(drop)?,
            }
        }
    }
}

impl Buffers {
    fn reserve(&mut self, fd: usize) -> io::Result<()> {
        while fd / CHUNK >= self.chunks.len() {
            self.chunks.push(Memory::map(CHUNK * self.stride)?);
        }
        Ok(())
    }

    #[inline]
    fn at(&self, fd: RawFd) -> *mut u8 {
        let fd = fd as usize;
        self.chunks[fd / CHUNK].at(fd % CHUNK * self.stride, self.message)
    }

    #[inline]
    fn push_recv(&self, queues: &mut Queues<'_>, fd: RawFd) -> io::Result<()> {
        let recv = opcode::Recv::new(types::Fd(fd), self.at(fd), self.message as u32)
            .ioprio(POLL_FIRST)
            .build()
            .user_data(RECV | fd as u64);
        // SAFETY: the memory is never unmapped, and each connection's buffer has one operation at a time.
        unsafe { queues.push(&recv) }
    }

    #[inline]
    fn push_send(&self, queues: &mut Queues<'_>, fd: RawFd, n: u32) -> io::Result<()> {
        let send = opcode::Send::new(types::Fd(fd), self.at(fd), n)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(SEND | fd as u64);
        // SAFETY: as in `push_recv`.
        unsafe { queues.push(&send) }
    }
}
