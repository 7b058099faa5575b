//! What is known of descriptors: whether epoll(7) watches them, whether they are ready, and what they are.
//!
//! A descriptor is registered once, for all events and edge-triggered, when an operation first has to wait for it. Events say
//! that it has become ready, and an attempt that would block that it is not any more. So a receive costs one system call, as
//! long as the last one has emptied the socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::{FileType, OFlags};

use super::numbers;
use super::operation::{Operation, Waits};
use super::pending::List;

/// A descriptor is ready for this.
pub(super) const READ: u8 = 1 << 0;
pub(super) const WRITE: u8 = 1 << 1;
/// The other side has ended, so that a short read does not mean that there is no more to be told.
const HUNG_UP: u8 = 1 << 2;
/// Nothing comes any more.
const READ_ENDED: u8 = 1 << 3;
const ALL: u8 = READ | WRITE;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody has asked.
    Unknown,
    /// One with positions, which is cached; where the cache has nothing, a thread has to wait.
    Cached,
    /// One with positions, whose reads and writes wait for the device, or of which nobody can tell.
    Uncached,
    Socket,
    /// Another one without positions, for which one can wait.
    Stream,
    /// Such a one that cannot be tried without blocking.
    Blocking,
}

/// What is known of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    /// Of which file this is known (`numbers`).
    times: u32,
    registered: bool,
    ready: u8,
    pub(super) kind: Kind,
    /// Whether each message of it comes by itself: `None` if nobody has asked.
    pub(super) messages: Option<bool>,
    pub(super) readers: List,
    pub(super) writers: List,
    pub(super) polls: List,
}

impl File {
    const fn new(times: u32) -> Self {
        File {
            times,
            registered: false,
            ready: ALL,
            kind: Kind::Unknown,
            messages: None,
            readers: List::EMPTY,
            writers: List::EMPTY,
            polls: List::EMPTY,
        }
    }

    fn is_unused(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty() && self.polls.is_empty()
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered
    }

    pub(super) fn is_ready(&self, side: u8) -> bool {
        self.ready & side != 0
    }

    /// It is worth an attempt.
    pub(super) fn may_be(&mut self, side: u8) {
        self.ready |= side;
    }

    /// An attempt would have blocked.
    pub(super) fn would_block(&mut self, side: u8) {
        self.ready &= !side;
        if side & READ != 0 {
            self.ready &= !HUNG_UP;
        }
    }

    /// Whether nothing comes any more, as far as was told.
    pub(super) fn has_ended(&self) -> bool {
        self.ready & READ_ENDED != 0
    }

    /// It is about to become another connection's.
    pub(super) fn begins(&mut self) {
        self.ready = 0;
    }

    /// An attempt got less than it could have taken, so that there was no more.
    pub(super) fn is_emptied(&mut self, side: u8) {
        if self.ready & (HUNG_UP | READ_ENDED) == 0 {
            self.ready &= !side;
        }
    }

    /// The list for what an operation waits for.
    pub(super) fn list(&mut self, waits: Waits) -> Option<&mut List> {
        match waits {
            Waits::Read => Some(&mut self.readers),
            Waits::Write => Some(&mut self.writers),
            Waits::Poll => Some(&mut self.polls),
            Waits::Thread => None,
        }
    }
}

/// All that is known, and the epoll descriptor.
pub(super) struct Files {
    epoll: OwnedFd,
    known: Vec<File>,
}

/// All events, at their edges.
fn flags() -> EventFlags {
    EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET
}

impl Files {
    /// # Errors
    ///
    /// If no descriptor is free.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Files {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            known: Vec::new(),
        })
    }

    pub(super) fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// What is known of a descriptor.
    pub(super) fn get(&mut self, fd: RawFd) -> &mut File {
        let index = fd.max(0) as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, File::new(0));
        }
        let times = numbers::times(fd);
        let file = &mut self.known[index];
        if file.times != times {
            // Another file has the number. Nothing waits for the one before: what waits keeps its file open. (Unless two
            // numbers share a place, which keeps the lists.)
            let (readers, writers, polls) = (file.readers, file.writers, file.polls);
            let registered = file.registered && !file.is_unused();
            *file = File {
                readers,
                writers,
                polls,
                registered,
                ..File::new(times)
            };
        }
        file
    }

    /// Has epoll(7) watch the file of an operation, if it does not. `anew`: whether it does is not taken for granted, and what it is
    /// ready for is told once more.
    ///
    /// # Errors
    ///
    /// `EPERM` for a file that is always ready; others of epoll_ctl(2).
    pub(super) fn watch(&mut self, operation: &Operation, anew: bool) -> io::Result<()> {
        let fd = operation.fd();
        let file = *self.get(fd);
        if file.registered && !anew {
            return Ok(());
        }
        let data = EventData::new_u64(u64::from(file.times) << 32 | u64::from(fd as u32));
        let source = operation.file();
        let added = match epoll::add(&self.epoll, source, data, flags()) {
            Err(rustix::io::Errno::EXIST) => epoll::modify(&self.epoll, source, data, flags()),
            other => other,
        };
        added?;
        self.get(fd).registered = true;
        Ok(())
    }

    /// Notes an event; gives the descriptor, if it is still the same.
    pub(super) fn note(&mut self, event: &epoll::Event) -> Option<RawFd> {
        let (data, flags) = (event.data.u64(), event.flags);
        let fd = data as u32 as RawFd;
        let times = (data >> 32) as u32;
        let file = self.get(fd);
        if file.times != times && file.is_unused() {
            return None;
        }
        let ended = EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP | ended) {
            file.ready |= READ;
        }
        if flags.intersects(EventFlags::OUT | ended) {
            file.ready |= WRITE;
        }
        if flags.contains(EventFlags::RDHUP) {
            file.ready |= READ_ENDED;
        }
        if flags.intersects(EventFlags::RDHUP | ended) {
            file.ready |= HUNG_UP;
        }
        Some(fd)
    }

    /// What kind of file it is.
    pub(super) fn kind(&mut self, file: BorrowedFd<'_>) -> Kind {
        let fd = file.as_raw_fd();
        let known = self.get(fd).kind;
        if known != Kind::Unknown {
            return known;
        }
        let kind = match rustix::fs::fstat(file) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile | FileType::BlockDevice => {
                    match rustix::fs::fcntl_getfl(file) {
                        Ok(flags) if flags.contains(OFlags::DIRECT) => Kind::Uncached,
                        _ => Kind::Cached,
                    }
                }
                FileType::Directory => Kind::Uncached,
                FileType::Socket => Kind::Socket,
                _ => Kind::Stream,
            },
            // The call itself will say what is wrong.
            Err(_) => return Kind::Uncached,
        };
        self.get(fd).kind = kind;
        kind
    }
}
