//! Calls on sockets, none of which blocks.

use io_uring::opcode;

use super::calls::{answer, uninterrupted};
use super::operation::Operation;
use super::provided::Provided;

/// Whether an operation is for a socket, and waits until that is ready.
pub(super) fn is_for_socket(code: u8) -> bool {
    matches!(
        code,
        opcode::Accept::CODE | opcode::Recv::CODE | opcode::RecvMsg::CODE
    ) || is_send(code)
}

pub(super) fn is_send(code: u8) -> bool {
    matches!(code, opcode::Send::CODE | opcode::SendMsg::CODE) || is_zero_copy(code)
}

pub(super) fn is_zero_copy(code: u8) -> bool {
    matches!(code, opcode::SendZc::CODE | opcode::SendMsgZc::CODE)
}

/// Sends what is left, receives, or accepts from a socket that is non-blocking: the result, or `EAGAIN`.
pub(super) fn attempt(operation: &Operation) -> i32 {
    let (sqe, fd) = (operation.sqe(), operation.fd());
    if sqe.opcode == opcode::Accept::CODE {
        let flags = sqe.op_flags as i32;
        // SAFETY: the address and its length are valid, or null (`Operation::new`).
        return uninterrupted(|| unsafe {
            libc::accept4(fd, sqe.pointer(), sqe.second(), flags).into()
        });
    }
    let done = operation.done as usize;
    let buffer = sqe.pointer::<u8>().wrapping_add(done).cast();
    let len = (sqe.len as usize).saturating_sub(done);
    let flags = sqe.op_flags as i32 | libc::MSG_DONTWAIT;
    let send_flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: each address in the entry is valid for what the operation does with it (`Operation::new`).
    uninterrupted(|| unsafe {
        match sqe.opcode {
            opcode::Recv::CODE => libc::recv(fd, buffer, len, flags) as i64,
            opcode::RecvMsg::CODE => libc::recvmsg(fd, sqe.pointer(), flags) as i64,
            opcode::Send::CODE | opcode::SendZc::CODE => {
                let (to, to_len) = (sqe.second(), sqe.file_index & 0xffff);
                libc::sendto(fd, buffer, len, send_flags, to, to_len) as i64
            }
            _ if done == 0 => libc::sendmsg(fd, sqe.pointer(), send_flags) as i64,
            _ => send_rest(operation, send_flags),
        }
    })
}

/// The header of a message.
fn header(operation: &Operation) -> libc::msghdr {
    // SAFETY: the entry points to one, which nobody changes meanwhile (`Operation::new`).
    unsafe { *operation.sqe().pointer::<libc::msghdr>() }
}

/// The vector of a message.
fn vector(operation: &Operation) -> &[libc::iovec] {
    let header = header(operation);
    #[allow(clippy::unnecessary_cast)] // Other C libraries have another type there.
    match header.msg_iovlen as usize {
        0 => &[],
        // SAFETY: the header points to so many elements, and they are not changed meanwhile (`Operation::new`).
        count => unsafe { std::slice::from_raw_parts(header.msg_iov, count) },
    }
}

/// How many bytes a send has.
pub(super) fn total(operation: &Operation) -> usize {
    match operation.code() {
        opcode::Send::CODE | opcode::SendZc::CODE => operation.sqe().len as usize,
        _ => vector(operation).iter().map(|one| one.iov_len).sum(),
    }
}

/// Sends what is left of a message.
fn send_rest(operation: &Operation, flags: i32) -> i64 {
    let mut done = operation.done as usize;
    let mut rest = Vec::new();
    for one in vector(operation) {
        let skipped = done.min(one.iov_len);
        done -= skipped;
        rest.push(libc::iovec {
            iov_base: one.iov_base.wrapping_byte_add(skipped),
            iov_len: one.iov_len - skipped,
        });
    }
    let mut header = header(operation);
    // Control data went with the first part.
    header.msg_control = std::ptr::null_mut();
    header.msg_controllen = 0;
    (header.msg_iov, header.msg_iovlen) = (rest.as_mut_ptr(), rest.len() as _);
    // SAFETY: the header and its vector live across the call, and the buffers are the operation's (`Operation::new`).
    unsafe { libc::sendmsg(operation.fd(), &raw const header, flags) as i64 }
}

/// Receives into a provided buffer without blocking: the operation's result, and how many bytes came; or an error.
pub(super) fn receive(operation: &Operation, into: &Provided) -> Result<(i32, i32), i32> {
    let (sqe, fd) = (operation.sqe(), operation.fd());
    if sqe.opcode != opcode::Recv::CODE {
        return receive_message(operation, into);
    }
    let flags = sqe.op_flags as i32 | libc::MSG_DONTWAIT;
    let len = match sqe.len {
        0 => into.len(),
        len => into.len().min(len as usize),
    };
    // SAFETY: the buffer is ours, and that long.
    let came = uninterrupted(|| unsafe { libc::recv(fd, into.start().cast(), len, flags) as i64 });
    match came {
        ..0 => Err(came),
        // With MSG_TRUNC, the whole length of a datagram.
        _ => Ok((came, came)),
    }
}

/// The same with `struct io_uring_recvmsg_out`, the name, the control data and the payload one behind the other.
fn receive_message(operation: &Operation, into: &Provided) -> Result<(i32, i32), i32> {
    const HEAD: usize = 16;
    let flags = operation.sqe().op_flags as i32 | libc::MSG_DONTWAIT;
    let mut header = header(operation);
    #[allow(clippy::unnecessary_cast)] // As above.
    let (name, control) = (header.msg_namelen as usize, header.msg_controllen as usize);
    let before = HEAD + name + control;
    let Some(room) = into.len().checked_sub(before) else {
        return Err(-libc::EFAULT);
    };
    let mut payload = libc::iovec {
        iov_base: into.start().wrapping_add(before).cast(),
        iov_len: room,
    };
    header.msg_name = into.start().wrapping_add(HEAD).cast();
    header.msg_control = into.start().wrapping_add(HEAD + name).cast();
    (header.msg_iov, header.msg_iovlen) = (&raw mut payload, 1);
    // SAFETY: all parts lie in the buffer, which is ours.
    let came =
        uninterrupted(|| unsafe { libc::recvmsg(operation.fd(), &raw mut header, flags) as i64 });
    if came < 0 {
        return Err(came);
    }
    let out = [
        header.msg_namelen,
        header.msg_controllen as u32,
        came as u32,
        header.msg_flags as u32,
    ];
    // SAFETY: the buffer is ours and has room for the four numbers, at any alignment.
    unsafe { into.start().cast::<[u32; 4]>().write_unaligned(out) };
    Ok(((before + room.min(came as usize)) as i32, came))
}

/// Begins to connect a socket that is non-blocking: 0, an error, or `EINPROGRESS`.
pub(super) fn connect(operation: &Operation) -> i32 {
    let (sqe, fd) = (operation.sqe(), operation.fd());
    // SAFETY: the address is valid (`Operation::new`).
    match answer(unsafe { libc::connect(fd, sqe.pointer(), sqe.off as u32) }.into()) {
        // It goes on.
        error if error == -libc::EINTR => -libc::EINPROGRESS,
        other => other,
    }
}

/// How a connect has ended that was begun.
pub(super) fn connected(operation: &Operation) -> i32 {
    match socket2::SockRef::from(&operation.file()).take_error() {
        Ok(None) => 0,
        Ok(Some(error)) | Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// Whether each message of its socket comes by itself, so that a short one says nothing of what is behind it.
pub(super) fn has_messages(operation: &Operation) -> bool {
    let kind = socket2::SockRef::from(&operation.file()).r#type();
    !kind.is_ok_and(|kind| kind == socket2::Type::STREAM)
}

/// Those of the events that are there by now, 0 for none; or an error.
pub(super) fn poll(operation: &Operation, events: u32) -> i32 {
    let mut poll = libc::pollfd {
        fd: operation.fd(),
        events: events as i16,
        revents: 0,
    };
    // SAFETY: one record, which lives across the call.
    let ready = uninterrupted(|| unsafe { libc::poll(&raw mut poll, 1, 0) }.into());
    match ready {
        ..0 => ready,
        _ if poll.revents & libc::POLLNVAL != 0 => -libc::EBADF,
        _ => i32::from(poll.revents),
    }
}
