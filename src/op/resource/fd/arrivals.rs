//! What arrives at a descriptor for an operation that nobody waits for any more: how it is stashed, and taken.

use std::io;
use std::os::fd::OwnedFd;

use socket2::SockAddr;

use super::shared::SharedFd;
use super::slot::Slot;
use super::stash::{Arrival, Bytes, Order, is_news};
use crate::op::context;
use crate::op::resource::message::Message;
use crate::sys::Completion;

impl SharedFd {
    /// The number of a read that goes to the kernel now.
    #[inline]
    pub(in crate::op) fn next_read(&self) -> Order {
        let order = self.0.reads.get().next();
        self.0.reads.set(order);
        order
    }

    /// Stashes bytes that an orphan received.
    #[cold]
    pub(in crate::op) fn stash_bytes(&self, order: Order, bytes: &[u8]) {
        let message = Message {
            len: bytes.len(),
            full_len: bytes.len(),
            from: None,
        };
        self.stash_datagram(order, bytes.to_vec(), message);
    }

    /// Stashes bytes that an orphan received, and what is known of them.
    #[cold]
    pub(in crate::op) fn stash_datagram(&self, order: Order, bytes: Vec<u8>, message: Message) {
        self.stash(order, Arrival::Bytes(Bytes::new(bytes, message)));
    }

    /// Stashes the error that an orphan ended with, if it will not come again.
    #[cold]
    pub(in crate::op) fn stash_error(&self, order: Order, result: i32) {
        if is_news(-result) {
            self.stash(order, Arrival::Error(-result));
        }
    }

    /// Stashes an error that a stream was to tell.
    #[cold]
    pub(crate) fn leave_error(&self, error: &io::Error) {
        self.stash_error(self.0.reads.get(), -error.raw_os_error().unwrap_or(0));
    }

    /// Stashes a connection that an orphan accepted.
    #[cold]
    pub(in crate::op) fn stash_connection(&self, connection: OwnedFd, from: Option<SockAddr>) {
        let connection = Arrival::Connection(connection, from.map(Box::new));
        self.stash(Order::default(), connection);
    }

    /// Stashes a connection that an orphan accepted as a direct descriptor.
    #[cold]
    pub(in crate::op) fn stash_slot(&self, slot: Slot) {
        self.stash(Order::default(), Arrival::Direct(slot));
    }

    /// Stashes what arrived, and lets those that wait in the kernel for what is to come begin anew: it is here.
    fn stash(&self, order: Order, arrival: Arrival) {
        let only = self.with_rare(|rare| rare.stash.put(order, arrival));
        // Nothing goes to the kernel to wait while something is here.
        if only {
            self.interrupt_reads();
        }
    }

    /// Lets what waits in the kernel for something to arrive begin anew, because it has arrived elsewhere.
    fn interrupt_reads(&self) {
        if self.0.in_kernel.get() > 0 {
            let only = self.only();
            for driver in context::all() {
                driver.interrupt(self.file_ref(), only);
            }
        }
    }

    /// An accept has ended. One that was cancelled may have been woken for a connection, and the kernel wakes one only: the
    /// others look again.
    pub(in crate::op) fn accept_ended(&self, cqe: Completion) {
        if cqe.raw_result() == -libc::ECANCELED {
            self.interrupt_reads();
        }
    }

    /// Whether something is stashed for the next read or accept.
    #[inline]
    pub(crate) fn has_stashed(&self) -> bool {
        let rare = self.0.rare.borrow();
        rare.as_ref().is_some_and(|rare| !rare.stash.is_empty())
    }

    /// Whether something is stashed that arrived for a read before `order`.
    #[inline]
    pub(in crate::op) fn has_stashed_before(&self, order: Order) -> bool {
        let rare = self.0.rare.borrow();
        let first = rare.as_ref().and_then(|rare| rare.stash.first());
        first.is_some_and(|first| first.is_before(order))
    }

    /// Takes the first out of the stash if it is `wanted`.
    fn take_stashed<T>(&self, wanted: impl FnOnce(Arrival) -> Result<T, Arrival>) -> Option<T> {
        let mut rare = self.0.rare.borrow_mut();
        let stash = &mut rare.as_mut()?.stash;
        let (order, first) = stash.pop()?;
        match wanted(first) {
            Ok(taken) => Some(taken),
            Err(other) => {
                stash.put_back(order, other);
                None
            }
        }
    }

    /// A stashed connection, as a direct descriptor.
    pub(in crate::op) fn stashed_slot(&self) -> Option<Slot> {
        self.take_stashed(|arrival| match arrival {
            Arrival::Direct(slot) => Ok(slot),
            other => Err(other),
        })
    }

    /// A stashed connection.
    pub(crate) fn stashed_connection(&self) -> Option<(OwnedFd, Option<SockAddr>)> {
        self.take_stashed(|arrival| match arrival {
            Arrival::Connection(connection, from) => Ok((connection, from.map(|from| *from))),
            other => Err(other),
        })
    }

    /// Stashed bytes as a whole, and what is known of them; or the error.
    #[cold]
    pub(crate) fn stashed_chunk(&self) -> Option<Result<(Vec<u8>, Message), i32>> {
        self.take_stashed(|arrival| match arrival {
            Arrival::Bytes(bytes) => Ok(Ok(bytes.into_whole())),
            Arrival::Error(error) => Ok(Err(error)),
            other => Err(other),
        })
    }

    /// Hands stashed bytes to `fill`, with how many of a datagram are missing, and its sender. `fill` says how many it took:
    /// this gives that, or what is to be told of an error, as the kernel would. What `fill` leaves stays for the next read if
    /// this is a stream; the rest of a datagram is dropped, as recv(2) does. With `peek` nothing is removed.
    #[inline]
    pub(in crate::op) fn stashed_bytes(
        &self,
        peek: bool,
        fill: impl FnOnce(&[u8], usize, Option<&SockAddr>) -> usize,
    ) -> Option<i32> {
        if self.0.rare.borrow().is_none() {
            return None;
        }
        self.fill_from_stash(peek, fill)
    }

    #[cold]
    fn fill_from_stash(
        &self,
        peek: bool,
        fill: impl FnOnce(&[u8], usize, Option<&SockAddr>) -> usize,
    ) -> Option<i32> {
        let (order, first) = self.0.rare.borrow_mut().as_mut()?.stash.pop()?;
        let put_back = |arrival| self.with_rare(|rare| rare.stash.put_back(order, arrival));
        let mut bytes = match first {
            Arrival::Bytes(bytes) => bytes,
            Arrival::Error(error) => return Some(-error),
            other => {
                put_back(other);
                return None;
            }
        };
        // `fill` writes to a user's buffer: no borrow is held meanwhile.
        let rest = bytes.rest();
        let taken = fill(rest, bytes.missing, bytes.from.as_deref());
        let left = taken < rest.len() && !self.is_datagram();
        if peek {
            put_back(Arrival::Bytes(bytes));
        } else if left {
            bytes.advance(taken);
            put_back(Arrival::Bytes(bytes));
        }
        Some(taken as i32)
    }

    /// Keeps the error that an orphaned write ended with, for the next operation that hears of errors.
    #[cold]
    pub(in crate::op) fn stash_write_error(&self, result: i32) {
        if is_news(result.wrapping_neg()) {
            self.with_rare(|rare| rare.write_error = -result);
        }
    }

    /// The answer of a read, at the end of a stream with the error of a write that was dropped, if there was one: then it was
    /// cut off, and the kernel does not say so again.
    #[inline]
    pub(in crate::op) fn or_write_error(&self, cqe: Completion) -> Completion {
        if cqe.raw_result() != 0 || self.is_datagram() {
            return cqe;
        }
        match self.take_write_error() {
            Some(result) => Completion::new(0, result, 0),
            None => cqe,
        }
    }

    /// The error of a write that was dropped, once.
    #[inline]
    pub(in crate::op) fn take_write_error(&self) -> Option<i32> {
        let mut rare = self.0.rare.borrow_mut();
        match std::mem::take(&mut rare.as_mut()?.write_error) {
            0 => None,
            error => Some(-error),
        }
    }
}
