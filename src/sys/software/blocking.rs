//! What may block, carried out on a thread.

use std::sync::Arc;

use io_uring::opcode;

use super::calls::uninterrupted;
use super::operation::Operation;
use super::remote::{Answer, Remote};
use super::rw;
use crate::sys::thread_pool::Job;

/// An operation for a thread.
pub(super) struct Call {
    pub(super) operation: Operation,
    /// What is there is to be read, or written, and no more: nobody can ask the file not to block.
    pub(super) ready: bool,
    pub(super) index: u32,
    pub(super) remote: Arc<Remote>,
}

impl Job for Call {
    fn run(self) {
        let answer = Answer {
            index: self.index,
            result: match self.ready {
                true => rw::transfer_ready(&self.operation),
                false => carry_out(&self.operation),
            },
            opens: self.operation.code() == opcode::OpenAt::CODE,
        };
        self.remote.answer(answer);
    }
}

/// Carries out an operation that may block.
fn carry_out(operation: &Operation) -> i32 {
    if rw::is_transfer(operation.code()) {
        return rw::transfer(operation);
    }
    let (sqe, fd) = (operation.sqe(), operation.fd());
    let (offset, flags) = (sqe.off as i64, sqe.op_flags as i32);
    let path = sqe.pointer::<libc::c_char>();
    // SAFETY: each address in the entry is valid for what the operation does with it (`Operation::new`); the calls are those
    // that io_uring_enter(2) says the operations are.
    uninterrupted(|| unsafe {
        match sqe.opcode {
            opcode::OpenAt::CODE => libc::openat(fd, path, flags, sqe.len).into(),
            opcode::Close::CODE => libc::close(fd).into(),
            opcode::Statx::CODE => libc::statx(fd, path, flags, sqe.len, sqe.second()).into(),
            opcode::Fsync::CODE if sqe.op_flags & 1 != 0 => libc::fdatasync(fd).into(),
            opcode::Fsync::CODE => libc::fsync(fd).into(),
            opcode::Fallocate::CODE => {
                libc::fallocate(fd, sqe.len as i32, offset, sqe.addr as i64).into()
            }
            opcode::Fadvise::CODE => {
                // It returns the error itself.
                match libc::posix_fadvise(fd, offset, sqe.len.into(), flags) {
                    0 => 0,
                    error => {
                        *libc::__errno_location() = error;
                        -1
                    }
                }
            }
            opcode::Ftruncate::CODE => libc::ftruncate(fd, offset).into(),
            opcode::RenameAt::CODE => libc::syscall(
                libc::SYS_renameat2,
                fd,
                path,
                sqe.len as i32,
                sqe.second::<libc::c_char>(),
                sqe.op_flags,
            ),
            opcode::UnlinkAt::CODE => libc::unlinkat(fd, path, flags).into(),
            opcode::MkDirAt::CODE => libc::mkdirat(fd, path, sqe.len).into(),
            opcode::Splice::CODE => splice(operation),
            _ => {
                *libc::__errno_location() = libc::EOPNOTSUPP;
                -1
            }
        }
    })
}

/// Whether an operation goes to a thread at once.
pub(super) fn blocks(code: u8) -> bool {
    matches!(
        code,
        opcode::OpenAt::CODE
            | opcode::Close::CODE
            | opcode::Statx::CODE
            | opcode::Fsync::CODE
            | opcode::Fallocate::CODE
            | opcode::Fadvise::CODE
            | opcode::Ftruncate::CODE
            | opcode::RenameAt::CODE
            | opcode::UnlinkAt::CODE
            | opcode::MkDirAt::CODE
            | opcode::Splice::CODE
    )
}

fn splice(operation: &Operation) -> i64 {
    let sqe = operation.sqe();
    let (mut from, mut to) = (sqe.addr as i64, sqe.off as i64);
    // -1: the position that the file has itself, or none.
    let offset = |at: &mut i64| match *at {
        -1 => std::ptr::null_mut(),
        _ => std::ptr::from_mut(at),
    };
    // SAFETY: both offsets live across the call; the descriptors are the entry's.
    let moved = unsafe {
        libc::splice(
            sqe.file_index as i32,
            offset(&mut from),
            operation.fd(),
            offset(&mut to),
            sqe.len as usize,
            sqe.op_flags,
        )
    };
    moved as i64
}
