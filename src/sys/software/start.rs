//! How an entry begins: at once, by a wait, or on a thread.

use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use io_uring::opcode;

use super::SoftwareRing;
use super::blocking::{self, Call};
use super::calls::answer;
use super::files::Kind;
use super::operation::{Operation, Waits};
use super::remote::Answer;
use super::{net, rw, unblocked};
use crate::sys::entry::Completion;
use crate::sys::sqe::{CANCEL_ALL, CANCEL_ANY, CANCEL_FD, FIXED_FILE, Sqe, UNKNOWN_FLAGS};
use crate::sys::thread_pool::Job;

/// `SPLICE_F_FD_IN_FIXED`: the file that a splice reads is named by its slot.
const FD_IN_FIXED: u32 = 1 << 31;

impl SoftwareRing {
    /// Begins all that was pushed, in order.
    pub(super) fn start_pushed(&mut self) {
        let mut queue = mem::take(&mut self.queue);
        for sqe in queue.drain(..) {
            self.start(sqe);
        }
        self.queue = queue;
    }

    /// Posts the final completion of an entry.
    pub(super) fn complete(&mut self, sqe: &Sqe, result: i32) {
        self.post(sqe, result, 0);
    }

    /// Answers that there is no such operation.
    fn refuse(&mut self, sqe: &Sqe) {
        let refusal = Completion::unsupported(sqe.user_data, sqe.opcode);
        self.done.push_back(refusal);
    }

    pub(super) fn post(&mut self, sqe: &Sqe, result: i32, flags: u32) {
        self.done
            .push_back(Completion::new(sqe.user_data, result, flags));
    }

    fn start(&mut self, mut sqe: Sqe) {
        if sqe.flags & UNKNOWN_FLAGS != 0 || sqe.personality != 0 {
            return self.refuse(&sqe);
        }
        let fd = match sqe.has(FIXED_FILE) {
            false => sqe.fd,
            true => match self.tables.file(sqe.fd as u32) {
                Some(fd) => fd,
                None => return self.complete(&sqe, -libc::EBADF),
            },
        };
        if sqe.opcode == opcode::Splice::CODE && sqe.op_flags & FD_IN_FIXED != 0 {
            sqe.op_flags &= !FD_IN_FIXED;
            sqe.file_index = self.tables.file(sqe.file_index).unwrap_or(-1) as u32;
        }
        // SAFETY: who pushed the entry has promised its memory, and its files are counted. The value and its copies are in
        // `pending`, in a call, or on the stack of a method: gone when the last completion is reaped.
        let mut operation = unsafe { Operation::new(sqe, fd) };
        match sqe.opcode {
            opcode::Nop::CODE => self.complete(&sqe, 0),
            opcode::AsyncCancel::CODE => self.cancel(&sqe, fd),
            opcode::Socket::CODE => self.make_socket(&sqe),
            opcode::FixedFdInstall::CODE => self.install(&operation),
            code if blocking::blocks(code) => self.call(operation),
            code if rw::is_fixed(code) && !self.tables.holds(&sqe) => {
                self.complete(&sqe, -libc::EFAULT);
            }
            code if net::is_for_socket(code)
                || rw::is_transfer(code)
                || matches!(code, opcode::Connect::CODE | opcode::PollAdd::CODE) =>
            {
                if fd < 0 {
                    return self.complete(&sqe, -libc::EBADF);
                }
                self.begin(&mut operation);
            }
            _ => self.refuse(&sqe),
        }
    }

    /// Gives an operation to a thread; where none can be had, the caller has to do.
    pub(super) fn call(&mut self, mut operation: Operation) {
        operation.waits = Waits::Thread;
        let index = self.pending.add(operation);
        self.hand_over(index);
    }

    /// Gives one to a thread that is noted as such.
    pub(super) fn hand_over(&mut self, index: u32) {
        let operation = *self.pending.get(index);
        for end in self.sockets_of(&operation) {
            // They go by what the file says, and not by the flag of the splice. What fails is told by the call.
            let _ = unblocked::hold(end);
        }
        let call = Call {
            operation,
            ready: rw::is_transfer(operation.code())
                && self.files.get(operation.fd()).kind == Kind::Blocking,
            index,
            remote: Arc::clone(&self.remote),
        };
        if let Err((_, call)) = self.threads.run(call) {
            call.run();
        }
    }

    /// Completes what a thread has done.
    pub(super) fn end_call(&mut self, answer: Answer) {
        let operation = self.pending.remove(answer.index);
        self.has_ended(&operation);
        let mut result = answer.result;
        if answer.opens && result >= 0 {
            // SAFETY: the thread has opened it, and this is the only place that hears of it.
            result = self.place(operation.sqe(), unsafe { OwnedFd::from_raw_fd(result) });
        }
        self.complete(operation.sqe(), result);
        self.drop_retired();
    }

    /// Puts a new descriptor where the entry wants it; the result that says so.
    pub(super) fn place(&mut self, sqe: &Sqe, file: OwnedFd) -> i32 {
        match sqe.destination() {
            Some(slot) => self.tables.install(slot, file),
            None => file.into_raw_fd(),
        }
    }

    fn make_socket(&mut self, sqe: &Sqe) {
        // SAFETY: three numbers.
        let made = answer(unsafe { libc::socket(sqe.fd, sqe.off as i32, sqe.len as i32) }.into());
        let result = match made {
            ..0 => made,
            // SAFETY: the call has just made it.
            _ => self.place(sqe, unsafe { OwnedFd::from_raw_fd(made) }),
        };
        self.complete(sqe, result);
    }

    fn install(&mut self, operation: &Operation) {
        let copy = match operation.sqe().op_flags {
            0 => rustix::io::fcntl_dupfd_cloexec(operation.file(), 0),
            _ => rustix::io::dup(operation.file()),
        };
        let result = match copy {
            Ok(copy) => copy.into_raw_fd(),
            Err(error) => -error.raw_os_error(),
        };
        self.complete(operation.sqe(), result);
    }

    /// Cancels one operation, all of a descriptor, or all.
    fn cancel(&mut self, sqe: &Sqe, fd: RawFd) {
        let by = sqe.op_flags;
        let mut found = match by & (CANCEL_FD | CANCEL_ANY) {
            0 => self.pending.find(sqe.addr).into_iter().collect(),
            _ if by & CANCEL_ANY != 0 => self.pending.matching(|_| true),
            _ => self.pending.matching(|one| one.fd() == fd),
        };
        let all = by & (CANCEL_ALL | CANCEL_ANY) != 0;
        if !all {
            found.truncate(1);
        }
        let mut result = match (all, found.is_empty()) {
            (false, true) => -libc::ENOENT,
            _ => 0,
        };
        for index in found {
            match self.give_up(index) {
                true if all => result += 1,
                true => {}
                false if all => {}
                false => result = -libc::EALREADY,
            }
        }
        self.complete(sqe, result);
    }

    /// Ends an operation that has not begun; false if a thread is at work on it.
    fn give_up(&mut self, index: u32) -> bool {
        let operation = *self.pending.get(index);
        if operation.waits == Waits::Thread {
            if self.threads.take(|call| call.index == index).is_none() {
                return false;
            }
            self.pending.remove(index);
        } else {
            self.unlink(index);
        }
        let code = operation.code();
        let result = match operation.done {
            done @ 1.. if rw::is_transfer(code) || net::is_send(code) => done as i32,
            _ => -libc::ECANCELED,
        };
        self.answer(operation.sqe(), result, 0);
        self.has_ended(&operation);
        true
    }

    /// Closes files that were taken out of their slots, once nothing is at work on them.
    pub(super) fn drop_retired(&mut self) {
        if self.retired.is_empty() {
            return;
        }
        let pending = &self.pending;
        self.retired.retain(|file| {
            let fd = file.as_raw_fd();
            !pending.matching(|one| one.fd() == fd).is_empty()
        });
    }
}
