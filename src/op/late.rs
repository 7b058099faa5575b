//! What arrived for an operation that nobody waited for any more, and belongs to the next.
//!
//! Each read that goes to the kernel gets a number, and what arrives late is kept in the order of these. So it makes no
//! difference when a future is dropped: the next read gets what came first.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use socket2::SockAddr;

use super::slot::Slot;
use super::{Completion, Message, SharedFd};

/// The number of a read among those of its descriptor. It wraps; what is compared lies close together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order(u32);

impl Order {
    pub(super) fn next(self) -> Self {
        Order(self.0.wrapping_add(1))
    }

    fn is_before(self, other: Order) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

/// One late arrival.
pub(super) enum Late {
    /// Bytes of a stream, or one datagram and where it came from.
    Bytes(LateBytes),
    /// An error, by its number: it is told once.
    Error(i32),
    /// An accepted connection, and its peer's address where that is known.
    Connection(OwnedFd, Option<Box<SockAddr>>),
    /// An accepted connection, as a direct descriptor.
    Direct(Slot),
}

pub(super) struct LateBytes {
    bytes: Vec<u8>,
    /// How many of them were taken.
    start: usize,
    /// How many there were besides, of a datagram that did not fit.
    missing: usize,
    from: Option<Box<SockAddr>>,
}

/// What has arrived late at one descriptor, first come first.
#[derive(Default)]
pub(super) struct Stash(VecDeque<(Order, Late)>);

impl Stash {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn keep(&mut self, order: Order, late: Late) {
        // Nearly always the last; behind what the same read has brought.
        let behind = self
            .0
            .iter()
            .rev()
            .take_while(|(one, _)| order.is_before(*one));
        let at = self.0.len() - behind.count();
        self.0.insert(at, (order, late));
    }
}

/// Errors that are the socket's own and that it tells once. Those of the request, and of resources, come again.
fn is_news(error: i32) -> bool {
    matches!(
        error,
        libc::ECONNRESET
            | libc::ECONNREFUSED
            | libc::ECONNABORTED
            | libc::ETIMEDOUT
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::ENETDOWN
            | libc::ENETRESET
            | libc::EHOSTDOWN
            | libc::ENOPROTOOPT
            | libc::EPROTO
            | libc::EIO
    )
}

impl SharedFd {
    /// The number of a read that goes to the kernel now.
    #[inline]
    pub(super) fn next_read(&self) -> Order {
        let order = self.0.reads.get().next();
        self.0.reads.set(order);
        order
    }

    /// Keeps bytes that an orphan received.
    #[cold]
    pub(super) fn keep_bytes(&self, order: Order, bytes: Vec<u8>) {
        let message = Message {
            len: bytes.len(),
            full_len: bytes.len(),
            from: None,
        };
        self.keep_datagram(order, bytes, message);
    }

    /// Keeps bytes that an orphan received, and what is known of them.
    #[cold]
    pub(super) fn keep_datagram(&self, order: Order, bytes: Vec<u8>, message: Message) {
        let late = LateBytes {
            missing: message.full_len.saturating_sub(bytes.len()),
            bytes,
            start: 0,
            from: message.from.map(Box::new),
        };
        self.keep(order, Late::Bytes(late));
    }

    /// Keeps the error that an orphan ended with, if it will not come again.
    #[cold]
    pub(super) fn keep_error(&self, order: Order, result: i32) {
        if is_news(-result) {
            self.keep(order, Late::Error(-result));
        }
    }

    /// Keeps an error that a stream was to tell.
    #[cold]
    pub(crate) fn leave_error(&self, error: &io::Error) {
        self.keep_error(self.0.reads.get(), -error.raw_os_error().unwrap_or(0));
    }

    /// Keeps a connection that an orphan accepted.
    #[cold]
    pub(super) fn keep_connection(&self, connection: OwnedFd, from: Option<SockAddr>) {
        let late = Late::Connection(connection, from.map(Box::new));
        self.keep(Order::default(), late);
    }

    /// Keeps a connection that an orphan accepted as a direct descriptor.
    #[cold]
    pub(super) fn keep_slot(&self, slot: Slot) {
        self.keep(Order::default(), Late::Direct(slot));
    }

    /// Keeps what arrived, and lets those that wait in the kernel for what is to come begin anew: it is here.
    fn keep(&self, order: Order, late: Late) {
        let first = self.with_rare(|rare| {
            let first = rare.late.is_empty();
            rare.late.keep(order, late);
            first
        });
        // Nothing goes to the kernel to wait while something is here.
        if first {
            self.interrupt_reads();
        }
    }

    /// Whether something that arrived late waits for the next read or accept.
    #[inline]
    pub(crate) fn has_late(&self) -> bool {
        let rare = self.0.rare.borrow();
        rare.as_ref().is_some_and(|rare| !rare.late.is_empty())
    }

    /// Whether something waits that arrived for a read before `order`.
    #[inline]
    pub(super) fn has_late_before(&self, order: Order) -> bool {
        let rare = self.0.rare.borrow();
        let first = rare.as_ref().and_then(|rare| rare.late.0.front());
        first.is_some_and(|(first, _)| first.is_before(order))
    }

    /// Takes the first late arrival if it is `wanted`.
    fn take_late<T>(&self, wanted: impl FnOnce(Late) -> Result<T, Late>) -> Option<T> {
        let mut rare = self.0.rare.borrow_mut();
        let late = &mut rare.as_mut()?.late.0;
        let (order, first) = late.pop_front()?;
        match wanted(first) {
            Ok(taken) => Some(taken),
            Err(other) => {
                late.push_front((order, other));
                None
            }
        }
    }

    /// A connection that arrived late, as a direct descriptor.
    pub(super) fn late_slot(&self) -> Option<Slot> {
        self.take_late(|late| match late {
            Late::Direct(slot) => Ok(slot),
            other => Err(other),
        })
    }

    /// A connection that arrived late.
    pub(crate) fn late_connection(&self) -> Option<(OwnedFd, Option<SockAddr>)> {
        self.take_late(|late| match late {
            Late::Connection(connection, from) => Ok((connection, from.map(|from| *from))),
            other => Err(other),
        })
    }

    /// Whole bytes that arrived late, and what is known of them; or the error.
    #[cold]
    pub(crate) fn late_chunk(&self) -> Option<Result<(Vec<u8>, Message), i32>> {
        self.take_late(|late| match late {
            Late::Bytes(kept) => {
                let LateBytes {
                    mut bytes,
                    start,
                    missing,
                    from,
                } = kept;
                bytes.drain(..start);
                let message = Message {
                    len: bytes.len(),
                    full_len: bytes.len() + missing,
                    from: from.map(|from| *from),
                };
                Ok(Ok((bytes, message)))
            }
            Late::Error(error) => Ok(Err(error)),
            other => Err(other),
        })
    }

    /// Hands late bytes to `fill`, with how many of a datagram are missing, and its sender. `fill` says how many it took:
    /// this gives that, or what is to be told of an error, as the kernel would. What `fill` leaves stays for the next read if this is a stream; the rest of a datagram is dropped, as
    /// recv(2) does. With `peek` nothing is removed.
    #[inline]
    pub(super) fn late_bytes(
        &self,
        peek: bool,
        fill: impl FnOnce(&[u8], usize, Option<&SockAddr>) -> usize,
    ) -> Option<i32> {
        if self.0.rare.borrow().is_none() {
            return None;
        }
        self.take_late_bytes(peek, fill)
    }

    #[cold]
    fn take_late_bytes(
        &self,
        peek: bool,
        fill: impl FnOnce(&[u8], usize, Option<&SockAddr>) -> usize,
    ) -> Option<i32> {
        let (order, first) = self.0.rare.borrow_mut().as_mut()?.late.0.pop_front()?;
        let mut kept = match first {
            Late::Bytes(kept) => kept,
            Late::Error(error) => return Some(-error),
            other => {
                self.put_back(order, other);
                return None;
            }
        };
        // `fill` writes to a user's buffer: no borrow is held meanwhile.
        let rest = kept.bytes.get(kept.start..).unwrap_or_default();
        let taken = fill(rest, kept.missing, kept.from.as_deref());
        if peek {
            self.put_back(order, Late::Bytes(kept));
        } else if taken < rest.len() && !self.is_datagram() {
            kept.start += taken;
            self.put_back(order, Late::Bytes(kept));
        }
        Some(taken as i32)
    }

    fn put_back(&self, order: Order, late: Late) {
        self.with_rare(|rare| rare.late.0.push_front((order, late)));
    }

    /// Keeps the error that an orphaned write ended with, for the next operation that hears of errors.
    #[cold]
    pub(super) fn keep_write_error(&self, result: i32) {
        if is_news(result.wrapping_neg()) {
            self.with_rare(|rare| rare.write_error = -result);
        }
    }

    /// The answer of a read, at the end of a stream with the error of a write that was dropped, if there was one: then it was
    /// cut off, and the kernel does not say so again.
    #[inline]
    pub(super) fn or_write_error(&self, cqe: Completion) -> Completion {
        if cqe.raw_result() != 0 || self.is_datagram() {
            return cqe;
        }
        match self.late_write_error() {
            Some(result) => Completion::new(0, result, 0),
            None => cqe,
        }
    }

    /// The error of a write that was dropped, once.
    #[inline]
    pub(super) fn late_write_error(&self) -> Option<i32> {
        let mut rare = self.0.rare.borrow_mut();
        match std::mem::take(&mut rare.as_mut()?.write_error) {
            0 => None,
            error => Some(-error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_arrivals_are_kept_in_the_order_of_their_reads() {
        let mut stash = Stash::default();
        let (first, second) = (Order(u32::MAX), Order(u32::MAX).next());
        for (order, error) in [(second, 3), (first, 1), (second, 4), (first, 2)] {
            stash.keep(order, Late::Error(error));
        }
        let order = stash.0.iter().map(|(_, late)| match late {
            Late::Error(error) => *error,
            _ => 0,
        });
        assert_eq!(order.collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
