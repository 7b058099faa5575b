//! What arrived for an operation that nobody waited for any more, and belongs to the next.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::SharedFd;
use super::slot::Slot;

/// One late arrival.
pub(super) enum Late {
    /// Bytes of a stream, or one datagram and where it came from.
    Bytes {
        bytes: Vec<u8>,
        from: Option<SockAddr>,
    },
    /// An accepted connection.
    Connection(OwnedFd),
    /// An accepted connection, as a direct descriptor.
    Direct(Slot),
}

impl SharedFd {
    /// Keeps bytes that an orphan received.
    #[cold]
    pub(super) fn keep_bytes(&self, bytes: &[u8], from: Option<SockAddr>) {
        let bytes = bytes.to_vec();
        let mut rare = self.0.rare.borrow_mut();
        let rare = rare.get_or_insert_default();
        rare.late.push_back(Late::Bytes { bytes, from });
    }

    /// Keeps a connection that an orphan accepted.
    #[cold]
    pub(super) fn keep_connection(&self, connection: OwnedFd) {
        let mut rare = self.0.rare.borrow_mut();
        let rare = rare.get_or_insert_default();
        rare.late.push_back(Late::Connection(connection));
    }

    /// Keeps a connection that an orphan accepted as a direct descriptor.
    #[cold]
    pub(super) fn keep_slot(&self, slot: Slot) {
        let mut rare = self.0.rare.borrow_mut();
        let rare = rare.get_or_insert_default();
        rare.late.push_back(Late::Direct(slot));
    }

    /// A connection that arrived late, as a direct descriptor.
    pub(super) fn late_slot(&self) -> Option<Slot> {
        let mut rare = self.0.rare.borrow_mut();
        let late = &mut rare.as_mut()?.late;
        match late.pop_front()? {
            Late::Direct(slot) => Some(slot),
            other => {
                late.push_front(other);
                None
            }
        }
    }

    /// Whether something that arrived late waits for the next read or accept.
    #[inline]
    pub(super) fn has_late(&self) -> bool {
        let rare = self.0.rare.borrow();
        rare.as_ref().is_some_and(|rare| !rare.late.is_empty())
    }

    /// A connection that arrived late; `None` if there is none, and none can come. Waits while an accept that nobody
    /// waits for any more, or another one, may still bring one.
    pub(crate) fn poll_late_connection(&self, cx: &Context<'_>) -> Poll<Option<OwnedFd>> {
        let late = self.late_connection();
        if late.is_none() && self.0.reading.get() {
            self.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(late)
    }

    /// A connection that arrived late.
    pub(super) fn late_connection(&self) -> Option<OwnedFd> {
        let mut rare = self.0.rare.borrow_mut();
        let late = &mut rare.as_mut()?.late;
        match late.pop_front() {
            Some(Late::Connection(connection)) => Some(connection),
            Some(other) => {
                late.push_front(other);
                None
            }
            None => None,
        }
    }

    /// Hands late bytes to `fill`, which says how many it took. What it leaves stays for the next read if this is a
    /// stream; the rest of a datagram is dropped, as recv(2) does. With `peek` nothing is removed.
    #[inline]
    pub(super) fn late_bytes(
        &self,
        peek: bool,
        fill: impl FnOnce(&[u8], Option<&SockAddr>) -> usize,
    ) -> Option<usize> {
        if self.0.rare.borrow().is_none() {
            return None;
        }
        self.take_late_bytes(peek, fill)
    }

    #[cold]
    fn take_late_bytes(
        &self,
        peek: bool,
        fill: impl FnOnce(&[u8], Option<&SockAddr>) -> usize,
    ) -> Option<usize> {
        let first = self.0.rare.borrow_mut().as_mut()?.late.pop_front()?;
        let Late::Bytes { mut bytes, from } = first else {
            self.put_back(first);
            return None;
        };
        // `fill` writes to a user's buffer: no borrow is held meanwhile.
        let taken = fill(&bytes, from.as_ref());
        if peek {
            self.put_back(Late::Bytes { bytes, from });
        } else if taken < bytes.len() && !self.is_datagram() {
            bytes.drain(..taken);
            self.put_back(Late::Bytes { bytes, from });
        }
        Some(taken)
    }

    fn put_back(&self, late: Late) {
        if let Some(rare) = self.0.rare.borrow_mut().as_mut() {
            rare.late.push_front(late);
        }
    }
}
