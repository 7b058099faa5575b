//! How an operation that waits for readiness is tried.

use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::opcode;
use rustix::fs::OFlags;

use super::SoftwareRing;
use super::files::{Kind, READ, WRITE};
use super::operation::{Operation, Waits};
use super::{net, rw, unblocked};
use crate::sys::sqe::{
    ACCEPT_MULTISHOT, BUFFER_SELECT, CQE_BUFFER, CQE_BUFFER_SHIFT, CQE_MORE, CQE_NOTIF,
    CQE_SOCK_NONEMPTY, RECV_MULTISHOT, Sqe,
};

/// How often a multishot operation may complete in one go, so that others come to their turn: as in the kernel.
const SHARE: u32 = 32;

/// What an attempt has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its last completion is posted.
    Ended,
    /// It has to wait until its descriptor is ready.
    Waits,
    /// It has done its share, and there may be more.
    GoesOn,
    /// A thread has to do it.
    Thread,
}

/// What its descriptor has to be ready for.
pub(super) fn side(waits: Waits) -> u8 {
    match waits {
        Waits::Write => WRITE,
        _ => READ,
    }
}

/// Whether its file is non-blocking of itself.
fn is_nonblocking(operation: &Operation) -> bool {
    let flags = rustix::fs::fcntl_getfl(operation.file());
    flags.is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

impl SoftwareRing {
    /// Does as much of an operation as can be done without blocking.
    #[inline]
    pub(super) fn attempt(&mut self, operation: &mut Operation) -> Fate {
        let code = operation.code();
        match code {
            opcode::PollAdd::CODE => self.attempt_poll(operation),
            opcode::Connect::CODE => self.attempt_connect(operation),
            _ if rw::is_transfer(code) => self.attempt_transfer(operation),
            _ if !self
                .files
                .get(operation.fd())
                .is_ready(side(operation.waits))
                && operation.sqe().op_flags as i32 & libc::MSG_DONTWAIT == 0 =>
            {
                Fate::Waits
            }
            opcode::Accept::CODE => self.attempt_accept(operation),
            _ if operation.sqe().has(BUFFER_SELECT) => self.receive_many(operation),
            _ => self.attempt_message(operation),
        }
    }

    fn attempt_poll(&mut self, operation: &Operation) -> Fate {
        let sqe = operation.sqe();
        match net::poll(operation, sqe.op_flags) {
            0 => Fate::Waits,
            ready => self.end(sqe, ready),
        }
    }

    fn end(&mut self, sqe: &Sqe, result: i32) -> Fate {
        self.complete(sqe, result);
        Fate::Ended
    }

    fn attempt_connect(&mut self, operation: &mut Operation) -> Fate {
        const WRITABLE: u32 = (libc::POLLOUT | libc::POLLERR | libc::POLLHUP) as u32;
        let (sqe, fd) = (*operation.sqe(), operation.fd());
        if operation.done == 0 {
            operation.done = 1;
            // connect(2) has no flag for that either.
            if let Err(error) = unblocked::hold(operation.file()) {
                return self.end(&sqe, error);
            }
            let begun = net::connect(operation);
            unblocked::release(operation.file());
            if begun != -libc::EINPROGRESS {
                return self.end(&sqe, begun);
            }
            // What was known of it was of the socket before.
            self.files.get(fd).begins();
            // What fails is met again by whoever waits.
            let _ = self.files.watch(operation, true);
            return Fate::Waits;
        }
        match net::poll(operation, WRITABLE) {
            0 => Fate::Waits,
            1.. => self.end(&sqe, net::connected(operation)),
            error => self.end(&sqe, error),
        }
    }

    fn attempt_accept(&mut self, operation: &mut Operation) -> Fate {
        let (sqe, fd) = (*operation.sqe(), operation.fd());
        let many = sqe.ioprio & ACCEPT_MULTISHOT != 0;
        // accept(2) has no flag to say that it is not to block.
        let held = match operation.done {
            0 => unblocked::hold(operation.file()),
            _ => unblocked::hold_on(operation.file()),
        };
        if let Err(error) = held {
            self.complete(&sqe, error);
            self.has_ended(operation);
            return Fate::Ended;
        }
        operation.done = 1;
        for _ in 0..SHARE {
            let accepted = net::attempt(operation);
            let result = match accepted {
                error if error == -libc::EAGAIN => {
                    self.files.get(fd).would_block(READ);
                    return Fate::Waits;
                }
                ..0 => accepted,
                // SAFETY: the call has just made it.
                _ => self.place(&sqe, unsafe { OwnedFd::from_raw_fd(accepted) }),
            };
            if !many || result < 0 || self.is_full() {
                self.complete(&sqe, result);
                self.has_ended(operation);
                return Fate::Ended;
            }
            self.post(&sqe, result, CQE_MORE);
        }
        Fate::GoesOn
    }

    /// Sends or receives one message, or as much of a stream as goes.
    fn attempt_message(&mut self, operation: &mut Operation) -> Fate {
        let (sqe, fd, side) = (*operation.sqe(), operation.fd(), side(operation.waits));
        let mut result = net::attempt(operation);
        if result == -libc::EAGAIN {
            let file = self.files.get(fd);
            file.would_block(side);
            if operation.waits == Waits::Read && file.has_ended() {
                // Some sockets say so only to those who would wait.
                return self.end(&sqe, 0);
            }
            if sqe.op_flags as i32 & libc::MSG_DONTWAIT == 0 {
                return Fate::Waits;
            }
        }
        if net::is_send(sqe.opcode) && sqe.op_flags as i32 & libc::MSG_WAITALL != 0 {
            let all = net::total(operation);
            operation.done += result.max(0) as u32;
            if result > 0 && (operation.done as usize) < all {
                // What is left did not fit.
                self.files.get(fd).would_block(side);
                return Fate::Waits;
            }
            if operation.done > 0 {
                result = operation.done as i32;
            }
        }
        let mut flags = 0;
        if sqe.opcode == opcode::Recv::CODE && result > 0 {
            self.note_received(operation, result, sqe.len as usize);
            if self.files.get(fd).is_ready(READ) {
                flags = CQE_SOCK_NONEMPTY;
            }
        }
        self.answer(&sqe, result, flags);
        Fate::Ended
    }

    /// Completes the operation of an entry: a zero-copy send that has sent something twice.
    pub(super) fn answer(&mut self, sqe: &Sqe, result: i32, flags: u32) {
        /// `IORING_SEND_ZC_REPORT_USAGE`, and its answer: the kernel has copied.
        const REPORT_USAGE: u16 = 1 << 3;
        const COPIED: i32 = i32::MIN;
        if !net::is_zero_copy(sqe.opcode) || result < 0 {
            return self.post(sqe, result, flags);
        }
        self.post(sqe, result, CQE_MORE);
        let usage = match sqe.ioprio & REPORT_USAGE {
            0 => 0,
            _ => COPIED,
        };
        self.post(sqe, usage, CQE_NOTIF);
    }

    /// Notes whether a receive has emptied its socket.
    fn note_received(&mut self, operation: &Operation, came: i32, room: usize) {
        let peeks = operation.sqe().op_flags as i32 & (libc::MSG_PEEK | libc::MSG_OOB) != 0;
        if peeks || came as usize >= room {
            return;
        }
        let file = self.files.get(operation.fd());
        let messages = *file
            .messages
            .get_or_insert_with(|| net::has_messages(operation));
        if !messages {
            file.is_emptied(READ);
        }
    }

    /// Receives into provided buffers.
    fn receive_many(&mut self, operation: &Operation) -> Fate {
        let (sqe, fd) = (operation.sqe(), operation.fd());
        let many = sqe.ioprio & RECV_MULTISHOT != 0;
        for _ in 0..SHARE {
            let Some(buffer) = self.tables.peek(sqe.buf_index) else {
                return self.end(sqe, -libc::ENOBUFS);
            };
            let (result, came) = match net::receive(operation, &buffer) {
                Ok(received) => received,
                Err(error) if error == -libc::EAGAIN => {
                    let file = self.files.get(fd);
                    file.would_block(READ);
                    return match file.has_ended() {
                        true => self.end(sqe, 0),
                        false => Fate::Waits,
                    };
                }
                Err(error) => return self.end(sqe, error),
            };
            // At the end of a stream, no buffer is used.
            if result == 0 {
                return self.end(sqe, 0);
            }
            self.tables.take(sqe.buf_index);
            if sqe.opcode == opcode::Recv::CODE {
                self.note_received(operation, came, buffer.len());
            }
            let ready = self.files.get(fd).is_ready(READ);
            let mut flags = CQE_BUFFER | u32::from(buffer.id()) << CQE_BUFFER_SHIFT;
            if ready {
                flags |= CQE_SOCK_NONEMPTY;
            }
            // An empty message ends it, as the end of a stream does.
            if !many || came == 0 || self.is_full() {
                self.post(sqe, result, flags);
                return Fate::Ended;
            }
            self.post(sqe, result, flags | CQE_MORE);
            if !ready {
                return Fate::Waits;
            }
        }
        Fate::GoesOn
    }

    fn attempt_transfer(&mut self, operation: &mut Operation) -> Fate {
        let fd = operation.fd();
        match self.files.kind(operation.file()) {
            Kind::Cached if rw::is_read(operation.code()) => self.attempt_cached(operation),
            Kind::Cached | Kind::Uncached | Kind::Unknown => Fate::Thread,
            Kind::Blocking => self.attempt_blocking(operation),
            kind @ (Kind::Socket | Kind::Stream) => {
                if !self.files.get(fd).is_ready(side(operation.waits)) {
                    return Fate::Waits;
                }
                let mut result = rw::attempt(operation, true);
                if result == -libc::EOPNOTSUPP {
                    if kind == Kind::Stream {
                        self.files.get(fd).kind = Kind::Blocking;
                        return self.attempt_blocking(operation);
                    }
                    result = rw::attempt_on_socket(operation);
                }
                if result != -libc::EAGAIN {
                    return self.end(operation.sqe(), result);
                }
                // As in the kernel, what can be asked not to block waits even if it is non-blocking.
                self.files.get(fd).would_block(side(operation.waits));
                Fate::Waits
            }
        }
    }

    /// What cannot be asked not to block is done when it is ready.
    fn attempt_blocking(&mut self, operation: &Operation) -> Fate {
        if is_nonblocking(operation) {
            // As in the kernel, it is as its owner wants it.
            return self.end(operation.sqe(), rw::transfer(operation));
        }
        let events = match operation.waits {
            Waits::Write => libc::POLLOUT,
            _ => libc::POLLIN,
        };
        match net::poll(operation, events as u32) {
            0 => {
                self.files
                    .get(operation.fd())
                    .would_block(side(operation.waits));
                Fate::Waits
            }
            // Another may take it first, and then only the thread waits.
            _ => Fate::Thread,
        }
    }

    /// Reads what the page cache has; the rest is for a thread.
    fn attempt_cached(&mut self, operation: &mut Operation) -> Fate {
        let (sqe, fd) = (*operation.sqe(), operation.fd());
        loop {
            let result = rw::attempt(operation, false);
            match result {
                error if error == -libc::EAGAIN => return Fate::Thread,
                error if error == -libc::EOPNOTSUPP => {
                    self.files.get(fd).kind = Kind::Uncached;
                    return Fate::Thread;
                }
                // Linux 5.9 and 5.10 say so before the end as well (readv(2), BUGS).
                0 if !rw::is_at_end(operation) => return Fate::Thread,
                ..0 if operation.done == 0 => return self.end(&sqe, result),
                ..=0 => return self.end(&sqe, operation.done as i32),
                _ if rw::is_vectored(sqe.opcode) => {
                    return match rw::fills(operation, result) {
                        true => self.end(&sqe, result),
                        false => Fate::Thread,
                    };
                }
                _ => {
                    operation.done += result as u32;
                    if operation.done >= sqe.len {
                        return self.end(&sqe, operation.done as i32);
                    }
                }
            }
        }
    }
}
