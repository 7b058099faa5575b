//! Reads and writes: how they are tried, and how they are carried out where they may block.

use io_uring::opcode;
use libc::iovec;
use rustix::fs::FileType;

use super::calls::{answer, uninterrupted};
use super::operation::Operation;

/// The offset that stands for a file's own position.
const CURRENT: u64 = u64::MAX;

/// Whether the operation moves bytes between memory and a file.
pub(super) fn is_transfer(code: u8) -> bool {
    is_read(code) || is_write(code)
}

pub(super) fn is_read(code: u8) -> bool {
    matches!(
        code,
        opcode::Read::CODE | opcode::ReadFixed::CODE | opcode::Readv::CODE
    )
}

fn is_write(code: u8) -> bool {
    matches!(
        code,
        opcode::Write::CODE | opcode::WriteFixed::CODE | opcode::Writev::CODE
    )
}

/// Whether its buffer has to lie in registered memory.
pub(super) fn is_fixed(code: u8) -> bool {
    matches!(code, opcode::ReadFixed::CODE | opcode::WriteFixed::CODE)
}

/// Whether the entry names a vector of buffers.
pub(super) fn is_vectored(code: u8) -> bool {
    matches!(code, opcode::Readv::CODE | opcode::Writev::CODE)
}

/// What is left to read or write.
struct Rest {
    one: iovec,
    vector: *const iovec,
    count: i32,
    offset: i64,
}

impl Rest {
    /// What an operation has left (of a vector: all).
    fn of(operation: &Operation, done: u32, stream: bool) -> Self {
        let sqe = operation.sqe();
        let one = iovec {
            iov_base: sqe.pointer::<u8>().wrapping_add(done as usize).cast(),
            iov_len: sqe.len.saturating_sub(done) as usize,
        };
        let offset = match sqe.off {
            CURRENT => -1,
            _ if stream => -1,
            at => at.wrapping_add(done.into()) as i64,
        };
        Rest {
            one,
            vector: sqe.pointer(),
            count: sqe.len as i32,
            offset,
        }
    }

    fn run(&self, operation: &Operation, flags: i32) -> i32 {
        let (sqe, fd) = (operation.sqe(), operation.fd());
        let (vector, count) = match is_vectored(sqe.opcode) {
            true => (self.vector, self.count),
            false => (&raw const self.one, 1),
        };
        let flags = sqe.op_flags as i32 | flags;
        // SAFETY: the vector is the entry's, or lives in `self`; it and the memory are valid (`Operation::new`).
        uninterrupted(|| unsafe {
            match is_read(sqe.opcode) {
                true => libc::preadv2(fd, vector, count, self.offset, flags) as i64,
                false => libc::pwritev2(fd, vector, count, self.offset, flags) as i64,
            }
        })
    }
}

/// Does without blocking what can be done so: how many bytes, or `EAGAIN`, or `EOPNOTSUPP` if that cannot be asked.
pub(super) fn attempt(operation: &Operation, stream: bool) -> i32 {
    Rest::of(operation, operation.done, stream).run(operation, libc::RWF_NOWAIT)
}

/// Whether a regular file has nothing behind what was read of it.
pub(super) fn is_at_end(operation: &Operation) -> bool {
    let file = operation.file();
    let position = match Rest::of(operation, operation.done, false).offset {
        -1 => rustix::fs::tell(file).ok(),
        at => u64::try_from(at).ok(),
    };
    match (position, rustix::fs::fstat(file)) {
        // Of a block device the size is told as 0.
        (Some(at), Ok(stat)) => {
            FileType::from_raw_mode(stat.st_mode).is_file() && at >= stat.st_size as u64
        }
        _ => false,
    }
}

/// Reads or writes, and waits as long as that takes. Of a transfer that was begun, the whole of what is done.
pub(super) fn transfer(operation: &Operation) -> i32 {
    let done = operation.done;
    let mut result = Rest::of(operation, done, false).run(operation, 0);
    if result == -libc::ESPIPE {
        // What has no positions has one after the other.
        result = Rest::of(operation, done, true).run(operation, 0);
    }
    match result {
        ..0 if done > 0 => done as i32,
        ..0 => result,
        _ => done as i32 + result,
    }
}

/// The vector of an operation that has one.
fn vector(operation: &Operation) -> &[iovec] {
    let sqe = operation.sqe();
    match sqe.len {
        0 => &[],
        // SAFETY: the entry points to so many elements, and they are not changed meanwhile (`Operation::new`).
        count => unsafe { std::slice::from_raw_parts(sqe.pointer(), count as usize) },
    }
}

/// Whether so many bytes are all that a vector has room for, or all that is to be had of it for now: a thread can read again
/// from a given offset, but not from the file's own position.
pub(super) fn fills(operation: &Operation, result: i32) -> bool {
    let room: usize = vector(operation).iter().map(|one| one.iov_len).sum();
    operation.sqe().off == CURRENT || result as usize >= room
}

/// One message of a socket, without blocking, for a kernel that cannot be asked by [`attempt`].
pub(super) fn attempt_on_socket(operation: &Operation) -> i32 {
    let rest = Rest::of(operation, 0, true);
    // SAFETY: a header of zeros has no name, no vector and no control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    let (start, count) = match is_vectored(operation.code()) {
        true => (rest.vector, rest.count as usize),
        false => (&raw const rest.one, 1),
    };
    (header.msg_iov, header.msg_iovlen) = (start.cast_mut(), count as _);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header lives across the call; the vector and the memory are valid (`Operation::new`).
    uninterrupted(|| unsafe {
        match is_read(operation.code()) {
            true => libc::recvmsg(operation.fd(), &raw mut header, flags) as i64,
            false => libc::sendmsg(operation.fd(), &raw const header, flags) as i64,
        }
    })
}

/// Reads or writes what is ready by now: all that there is to read, or so little that a pipe has room for it. So it does not wait,
/// unless another is faster.
pub(super) fn transfer_ready(operation: &Operation) -> i32 {
    let one = [Rest::of(operation, 0, true).one];
    let all = match is_vectored(operation.code()) {
        true => vector(operation),
        false => &one,
    };
    let reads = is_read(operation.code());
    let mut room = if reads { usize::MAX } else { libc::PIPE_BUF };
    let parts = all.iter().map_while(|part| {
        let iov_len = part.iov_len.min(room);
        let iov_base = part.iov_base;
        let some = room > 0;
        room -= iov_len;
        some.then_some(iovec { iov_base, iov_len })
    });
    let parts: Vec<_> = parts.collect();
    let (fd, start, count) = (operation.fd(), parts.as_ptr(), parts.len() as i32);
    // SAFETY: the vector lives across the call, and the memory is valid (`Operation::new`).
    answer(unsafe {
        match reads {
            true => libc::readv(fd, start, count) as i64,
            false => libc::writev(fd, start, count) as i64,
        }
    })
}
