//! `IORING_OP_RECVMSG` with multishot and provided buffers: one entry, all datagrams and who sent them, since kernel 6.0.

use std::io;
use std::ptr;
use std::rc::Rc;

use io_uring::types::RecvMsgOut;
use socket2::{Domain, SockAddr, SockRef};

use crate::driver::Pool;
use crate::op::mechanism::{Multishot, Operation};
use crate::op::resource::{
    MsgHeader, ProvidedBuf, Received, RecvSource, SharedFd, Side, sock_addr,
};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Room for an Internet address in front of each datagram, and for one of a Unix socket.
const NAME: usize = size_of::<libc::sockaddr_in6>();
const NAME_UNIX: usize = size_of::<libc::sockaddr_un>();
/// What the kernel writes in front of that.
const HEAD: usize = 16;

/// Receives datagrams until the kernel or the user ends it.
pub(crate) struct RecvFromMulti {
    source: RecvSource,
    /// How much room a datagram is to leave for its sender's address; the rest is zero.
    header: MsgHeader,
}

impl RecvFromMulti {
    pub(crate) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        let mut header = MsgHeader::new();
        let name = match SockRef::from(fd).domain() {
            Ok(Domain::UNIX) => NAME_UNIX,
            _ => NAME,
        };
        header.set_name(ptr::null_mut(), name as libc::socklen_t);
        RecvFromMulti {
            source: RecvSource::new(fd, pool, group),
            header,
        }
    }

    /// Takes the sender's address off the front of what the kernel has written.
    fn split(&self, mut chunk: ProvidedBuf) -> io::Result<(ProvidedBuf, Option<SockAddr>)> {
        let (from, full_len) = match RecvMsgOut::parse(&chunk, self.header.get()) {
            Ok(out) => {
                let from = sock_addr::from_bytes(out.name_data(), out.name_data().len());
                (from, out.incoming_payload_len() as usize)
            }
            Err(()) => return Err(io::ErrorKind::InvalidData.into()),
        };
        chunk.advance(HEAD + self.header.name_len());
        chunk.set_missing(full_len.saturating_sub(chunk.len()));
        Ok((chunk, from))
    }
}

// SAFETY: the entry points to the header inside `self`, which the kernel only reads; it writes into buffers of the group,
// which the pool keeps for as long as anything is in flight; the descriptor is counted.
unsafe impl Operation for RecvFromMulti {
    const CODE: u8 = opcode::RecvMsgMulti::CODE;
    const NAME: &'static str = "recvmsg";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    const KEEPS_TURN: bool = true;
    type Output = ();

    fn turn(&self) -> Option<Side> {
        Some(Side::Read)
    }

    fn has_stashed(&self) -> bool {
        self.source.fd.has_stashed()
    }

    fn ring(&self) -> Option<RingId> {
        Some(self.source.ring())
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.source.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.source.begin();
        let (fd, group) = (self.source.fd.target(), self.source.group);
        // The length is to be told of a whole datagram, also if it does not fit.
        opcode::RecvMsgMulti::new(fd, self.header.get(), group)
            .flags(libc::MSG_TRUNC as u32)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}
}

// SAFETY: as above; the kernel writes to nothing inside the operation.
unsafe impl Multishot for RecvFromMulti {
    /// As for streams.
    const QUEUED_MAX: u16 = 64;
    type Item = io::Result<Received<(ProvidedBuf, Option<SockAddr>)>>;

    fn next(&self, cqe: Completion) -> Self::Item {
        self.source.next(cqe, |buffer| match buffer {
            Some(chunk) => Ok(Received::Chunk(self.split(chunk)?)),
            // The socket was shut down.
            None => Ok(Received::End),
        })
    }

    fn abandon_next(&self, cqe: Completion) {
        match self.next(cqe) {
            Ok(Received::Chunk((chunk, from))) => self.source.stash(Ok((chunk, from))),
            Ok(_) => {}
            Err(error) => self.source.stash(Err(error)),
        }
    }

    fn end(&self) {
        self.source.end();
    }

    fn group(&self) -> Option<u16> {
        Some(self.source.group)
    }
}
