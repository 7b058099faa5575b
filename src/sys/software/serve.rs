//! What waits for readiness: how it is tried, how it waits, and how it goes on.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use io_uring::opcode;

use super::SoftwareRing;
use super::attempt::{Fate, side};
use super::files::Kind;
use super::operation::{Operation, Waits};
use super::pending::NONE;
use super::{net, rw, unblocked};
use crate::sys::sqe::POLL_FIRST;

impl SoftwareRing {
    /// Tries an operation for the first time.
    #[inline]
    pub(super) fn begin(&mut self, operation: &mut Operation) {
        let for_socket = net::is_for_socket(operation.code());
        if for_socket || rw::is_transfer(operation.code()) {
            let file = self.files.get(operation.fd());
            let side = side(operation.waits);
            // The bit says something else in an accept.
            let waits_first = for_socket && operation.code() != opcode::Accept::CODE;
            match waits_first && operation.sqe().ioprio & POLL_FIRST != 0 {
                // If it is registered, nothing has come since it was emptied.
                true if !file.is_registered() => file.would_block(side),
                true => {}
                // It may have become ready since the last look.
                false => file.may_be(side),
            }
        }
        match self.attempt(operation) {
            Fate::Ended => {}
            Fate::Thread => self.call(*operation),
            Fate::Waits => {
                self.wait_for(*operation);
            }
            Fate::GoesOn => {
                let waiting = self.wait_for(*operation);
                self.again.extend(waiting);
            }
        }
    }

    /// Has an operation wait for its descriptor. `None`: it cannot, and is complete, or left to a thread.
    fn wait_for(&mut self, operation: Operation) -> Option<u32> {
        let is_poll = operation.waits == Waits::Poll;
        match self.files.watch(&operation, is_poll) {
            Ok(()) => Some(self.enlist(operation)),
            // It is always ready: only a thread can wait for it.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM)
                    && rw::is_transfer(operation.code()) =>
            {
                self.files.get(operation.fd()).kind = Kind::Uncached;
                self.call(operation);
                None
            }
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                self.complete(operation.sqe(), -number);
                self.has_ended(&operation);
                None
            }
        }
    }

    /// Adds an operation to the list that it waits in.
    fn enlist(&mut self, operation: Operation) -> u32 {
        let index = self.pending.add(operation);
        let file = self.files.get(operation.fd());
        if let Some(list) = file.list(operation.waits) {
            self.pending.append(list, index);
        }
        index
    }

    /// Undoes what an operation has changed that is complete.
    pub(super) fn has_ended(&mut self, operation: &Operation) {
        if operation.code() == opcode::Accept::CODE && operation.done != 0 {
            unblocked::release(operation.file());
        }
        for end in self.sockets_of(operation) {
            unblocked::release(end);
        }
    }

    /// Those of the two files of a splice that are sockets.
    pub(super) fn sockets_of<'a>(&mut self, operation: &'a Operation) -> Vec<BorrowedFd<'a>> {
        if operation.code() != opcode::Splice::CODE {
            return Vec::new();
        }
        let mut ends = vec![operation.source(), operation.file()];
        ends.retain(|end| end.as_raw_fd() != RawFd::MAX && self.files.kind(*end) == Kind::Socket);
        ends
    }

    /// Takes an operation out that waits for readiness.
    pub(super) fn unlink(&mut self, index: u32) {
        let operation = *self.pending.get(index);
        if let Some(list) = self.files.get(operation.fd()).list(operation.waits) {
            self.pending.unlink(list, index);
        }
        self.pending.remove(index);
        self.again.retain(|&other| other != index);
        self.drop_retired();
    }

    /// Lets all go on that wait for a descriptor which has become ready.
    pub(super) fn serve_file(&mut self, fd: RawFd) {
        for waits in [Waits::Read, Waits::Write] {
            loop {
                let file = self.files.get(fd);
                let first = file.list(waits).map_or(NONE, |list| list.first);
                if first == NONE || !file.is_ready(side(waits)) || !self.go_on(first) {
                    break;
                }
            }
        }
        let mut poll = self.files.get(fd).polls.first;
        while poll != NONE {
            let next = self.pending.after(poll);
            self.go_on(poll);
            poll = next;
        }
    }

    /// Tries an operation again that waits; whether it has ended or left for a thread.
    pub(super) fn go_on(&mut self, index: u32) -> bool {
        let mut operation = *self.pending.get(index);
        let fate = self.attempt(&mut operation);
        self.pending.get(index).done = operation.done;
        match fate {
            Fate::Ended => {
                self.unlink(index);
                true
            }
            Fate::Waits => false,
            Fate::GoesOn => {
                if !self.again.contains(&index) {
                    self.again.push(index);
                }
                false
            }
            Fate::Thread => {
                let fd = operation.fd();
                if let Some(list) = self.files.get(fd).list(operation.waits) {
                    self.pending.unlink(list, index);
                }
                self.pending.leave_to_thread(index);
                self.hand_over(index);
                true
            }
        }
    }
}
