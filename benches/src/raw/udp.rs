//! UDP echo with one multishot receive, into a ring of buffers; each answer is sent out of the buffer it came in.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use io_uring::{cqueue, opcode, types};

use super::buffers::{GROUP, Pool};
use super::ring::{Memory, Queues, Ring, result};
use crate::contender::EchoSpec;

/// The user data of a send is its buffer.
const RECV: u64 = 1 << 63;
/// What the kernel puts before the name and the bytes.
const HEADER: usize = 16;

pub(super) fn serve(socket: UdpSocket, spec: EchoSpec) -> io::Result<()> {
    let mut ring = Ring::new()?;
    let name = size_of::<libc::sockaddr_in6>();
    let size = (HEADER + name + spec.message).next_multiple_of(64);
    let count = (2 * spec.connections).clamp(64, 1024).next_power_of_two();
    let mut pool = Pool::new(&ring, count as u16, size)?;
    let memory = Memory::map(size_of::<libc::msghdr>())?;
    let header = memory.at(0, memory.len()).cast::<libc::msghdr>();
    // SAFETY: the mapping is aligned, never unmapped, and zeros are a valid header; nobody else uses it yet.
    unsafe { (*header).msg_namelen = name as u32 };
    // SAFETY: as above; from here on it is only read, by the kernel and by us.
    let header = unsafe { &*header };
    let fd = types::Fd(socket.as_raw_fd());
    let mut queues = ring.queues();
    push_recv(&mut queues, fd, header)?;
    loop {
        queues.turn(1)?;
        while let Some(cqe) = queues.next() {
            if cqe.user_data() != RECV {
                // What cannot be sent is lost, as datagrams are.
                pool.give(cqe.user_data() as u16);
                continue;
            }
            if let (Some(id), 0..) = (cqueue::buffer_select(cqe.flags()), cqe.result()) {
                answer(&mut queues, fd, &pool, id, result(&cqe)?, header)?;
            } else if cqe.result() != -libc::ENOBUFS {
                result(&cqe)?;
            }
            if !cqueue::more(cqe.flags()) {
                push_recv(&mut queues, fd, header)?;
            }
        }
    }
}

fn push_recv(queues: &mut Queues<'_>, fd: types::Fd, header: &libc::msghdr) -> io::Result<()> {
    let recv = opcode::RecvMsgMulti::new(fd, header, GROUP)
        .build()
        .user_data(RECV);
    // SAFETY: the header is in memory that is never unmapped and does not change; nor are the buffers ever unmapped.
    unsafe { queues.push(&recv) }
}

#[inline]
fn answer(
    queues: &mut Queues<'_>,
    fd: types::Fd,
    pool: &Pool,
    id: u16,
    n: usize,
    header: &libc::msghdr,
) -> io::Result<()> {
    // SAFETY: the kernel gave the buffer to us with so many bytes in it, and nobody writes to it until we return it.
    let filled = unsafe { std::slice::from_raw_parts(pool.buffer(id), n) };
    let Ok(message) = types::RecvMsgOut::parse(filled, header) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (bytes, name) = (message.payload_data(), message.name_data());
    let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32)
        .dest_addr(name.as_ptr().cast())
        .dest_addr_len(name.len() as u32)
        .build()
        .user_data(u64::from(id));
    // SAFETY: bytes and name are in the buffer, which is ours until the send has ended.
    unsafe { queues.push(&send) }
}
