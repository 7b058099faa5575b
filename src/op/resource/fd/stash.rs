//! The stash of a descriptor: what arrived for an operation that nobody waited for any more, and belongs to the next.
//!
//! Each read that goes to the kernel gets a number, and the stash is kept in the order of these. So it makes no difference
//! when a future is dropped: the next read gets what came first.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use socket2::SockAddr;

use super::slot::Slot;
use crate::op::resource::message::Message;

/// The number of a read among those of its descriptor. It wraps; what is compared lies close together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::op) struct Order(u32);

impl Order {
    pub(super) fn next(self) -> Self {
        Order(self.0.wrapping_add(1))
    }

    pub(super) fn is_before(self, other: Order) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

/// What is stashed.
pub(super) enum Arrival {
    /// Bytes of a stream, or one datagram and where it came from.
    Bytes(Bytes),
    /// An error, by its number: it is told once.
    Error(i32),
    /// An accepted connection, and its peer's address where that is known.
    Connection(OwnedFd, Option<Box<SockAddr>>),
    /// An accepted connection, as a direct descriptor.
    Direct(Slot),
}

pub(super) struct Bytes {
    bytes: Vec<u8>,
    /// How many of them were taken.
    start: usize,
    /// How many there were besides, of a datagram that did not fit.
    pub(super) missing: usize,
    pub(super) from: Option<Box<SockAddr>>,
}

impl Bytes {
    pub(super) fn new(bytes: Vec<u8>, message: Message) -> Self {
        Bytes {
            missing: message.full_len.saturating_sub(bytes.len()),
            bytes,
            start: 0,
            from: message.from.map(Box::new),
        }
    }

    /// Those that were not taken.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, taken: usize) {
        self.start += taken;
    }

    /// All that were not taken, and what is known of them.
    pub(super) fn into_whole(mut self) -> (Vec<u8>, Message) {
        self.bytes.drain(..self.start);
        let message = Message {
            len: self.bytes.len(),
            full_len: self.bytes.len() + self.missing,
            from: self.from.map(|from| *from),
        };
        (self.bytes, message)
    }
}

/// What is stashed at one descriptor, first come first.
#[derive(Default)]
pub(super) struct Stash(VecDeque<(Order, Arrival)>);

impl Stash {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `arrival` in its place; says whether it is the only one.
    pub(super) fn put(&mut self, order: Order, arrival: Arrival) -> bool {
        // Nearly always the last; behind what the same read has brought.
        let behind = self
            .0
            .iter()
            .rev()
            .take_while(|(one, _)| order.is_before(*one));
        let at = self.0.len() - behind.count();
        self.0.insert(at, (order, arrival));
        self.0.len() == 1
    }

    /// Takes the first out.
    pub(super) fn pop(&mut self) -> Option<(Order, Arrival)> {
        self.0.pop_front()
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&mut self, order: Order, arrival: Arrival) {
        self.0.push_front((order, arrival));
    }

    /// The number of the read that the first arrived for.
    pub(super) fn first(&self) -> Option<Order> {
        self.0.front().map(|(order, _)| *order)
    }
}

/// Errors that are the socket's own and that it tells once. Those of the request, and of resources, come again.
pub(super) fn is_news(error: i32) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_kept_in_the_order_of_their_reads() {
        let mut stash = Stash::default();
        let (first, second) = (Order(u32::MAX), Order(u32::MAX).next());
        for (order, error) in [(second, 3), (first, 1), (second, 4), (first, 2)] {
            stash.put(order, Arrival::Error(error));
        }
        let order = stash.0.iter().map(|(_, arrival)| match arrival {
            Arrival::Error(error) => *error,
            _ => 0,
        });
        assert_eq!(order.collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
