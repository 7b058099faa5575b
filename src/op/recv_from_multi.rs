//! `IORING_OP_RECVMSG` with multishot and provided buffers: one entry, all datagrams and who sent them, since kernel 6.0.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use io_uring::types::RecvMsgOut;
use socket2::SockAddr;

use super::fd::Side;
use super::recv_multi::{Received, lease};
use super::{
    Admission, Completion, Entry, Multishot, Operation, Pool, ProvidedBuf, SharedFd, sock_addr,
};
use crate::sys::opcode;

/// Room for an Internet address in front of each datagram.
const NAME: usize = size_of::<libc::sockaddr_in6>();
/// What the kernel writes in front of that.
const HEAD: usize = 16;

/// Receives datagrams until the kernel or the user ends it.
pub(crate) struct RecvFromMulti {
    fd: SharedFd,
    pool: Rc<Pool>,
    group: u16,
    /// How much room a datagram is to leave for its sender's address; the rest is zero.
    header: libc::msghdr,
    /// Arrived for a read before this one, which was dropped.
    late: Cell<Option<(Vec<u8>, Option<SockAddr>)>>,
}

impl RecvFromMulti {
    pub(crate) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_namelen = NAME as libc::socklen_t;
        RecvFromMulti {
            fd: fd.clone(),
            pool,
            group,
            header,
            late: Cell::new(None),
        }
    }

    /// Takes the sender's address off the front of what the kernel has written.
    fn split(&self, mut chunk: ProvidedBuf) -> io::Result<(ProvidedBuf, Option<SockAddr>)> {
        let from = match RecvMsgOut::parse(&chunk, &self.header) {
            Ok(out) => sock_addr::from_bytes(out.name_data(), out.name_data().len()),
            Err(()) => return Err(io::ErrorKind::InvalidData.into()),
        };
        chunk.advance(HEAD + NAME);
        Ok((chunk, from))
    }
}

// SAFETY: the entry points to the header inside `self`, which the kernel only reads; it writes into buffers of the group,
// which the pool keeps for as long as anything is in flight; the descriptor is counted.
unsafe impl Operation for RecvFromMulti {
    const CODE: u8 = opcode::RecvMsgMulti::CODE;
    const BY_SLOT: bool = true;
    type Output = ();

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        let late = &self.late;
        let kept = self.fd.late_bytes(false, |bytes, from| {
            late.set(Some((bytes.to_vec(), from.cloned())));
            bytes.len()
        });
        match kept {
            Some(n) => {
                self.fd.end_turn(Side::Read);
                Poll::Ready(Admission::Answered(n as i32))
            }
            None => Poll::Ready(Admission::Submit),
        }
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        opcode::RecvMsgMulti::new(self.fd.target(), &raw const self.header, self.group)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}

    fn leave(&mut self, _cqe: Completion) {
        self.fd.end_turn(Side::Read);
    }
}

// SAFETY: as above; the kernel writes to nothing inside the operation.
unsafe impl Multishot for RecvFromMulti {
    /// As for streams.
    const QUEUED_MAX: u16 = 64;
    type Item = io::Result<Received<(ProvidedBuf, Option<SockAddr>)>>;

    fn next(&self, cqe: Completion) -> Self::Item {
        if let Some((bytes, from)) = self.late.take() {
            return Ok(Received::Chunk((bytes.into(), from)));
        }
        // Some kernels name a buffer even with an error: it is given back by its drop.
        let buffer = lease(&self.pool, self.group, cqe);
        match -cqe.raw_result() {
            libc::ENOBUFS => {
                self.pool.ran_dry();
                Ok(Received::Dry)
            }
            libc::ECANCELED => Ok(Received::Stopped),
            _ => {
                cqe.result()?;
                match buffer {
                    Some(chunk) => Ok(Received::Chunk(self.split(chunk)?)),
                    // The socket was shut down.
                    None => Ok(Received::End),
                }
            }
        }
    }

    fn abandon_next(&self, cqe: Completion) {
        if let Ok(Received::Chunk((chunk, from))) = self.next(cqe) {
            self.fd.keep_bytes(&chunk, from);
        }
    }

    fn group(&self) -> Option<u16> {
        Some(self.group)
    }
}

impl fmt::Debug for RecvFromMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvFromMulti({:?}, group {})", self.fd, self.group)
    }
}
