//! Provided buffers: the kernel takes one when data arrives, so a connection that waits holds none.
//!
//! Buffers come in groups, each a ring of its own. The first is made when it is first asked for, others when the
//! kernel has run out, up to a limit. Beyond that a stream waits for the next buffer that comes back.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ptr::NonNull;

use crate::sys::{BufRing, Ring};

/// How much memory the pool may take, and in which pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolConfig {
    /// Bytes of one buffer.
    pub(crate) buffer_size: u32,
    /// Buffers of one group.
    pub(crate) buffers: u16,
    /// The most groups.
    pub(crate) groups_max: u16,
}

/// A buffer that the kernel has filled, by its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) group: u16,
    pub(crate) id: u16,
}

/// The provided buffers of one driver.
pub(crate) struct Pool<W> {
    config: PoolConfig,
    groups: RefCell<Vec<Group>>,
    /// Streams that found no buffer. All are woken by the first that comes back, in order: one that was woken alone might
    /// not need it any more, and the others would wait beside a free buffer.
    waiters: RefCell<Vec<W>>,
    /// How often a stream found no buffer, or waited for one.
    dry: Cell<u64>,
}

struct Group {
    ring: BufRing,
    /// Buffers that the kernel has, as far as completions have told.
    available: u16,
}

impl<W> Pool<W> {
    pub(super) fn new(config: PoolConfig) -> Self {
        Pool {
            config,
            groups: RefCell::new(Vec::new()),
            waiters: RefCell::new(Vec::new()),
            dry: Cell::new(0),
        }
    }

    /// The group that has most buffers; `None` if all are out.
    pub(crate) fn pick(&self) -> Option<u16> {
        let groups = self.groups.borrow();
        let most = groups.iter().max_by_key(|group| group.available)?;
        (most.available > 0).then(|| most.ring.group())
    }

    /// Adds a group; false if there are enough.
    ///
    /// # Errors
    ///
    /// If there is no memory, or the kernel does not have provided buffers.
    pub(super) fn grow(&self, ring: &mut Ring) -> io::Result<bool> {
        let group = self.groups.borrow().len() as u16;
        if group >= self.config.groups_max {
            return Ok(false);
        }
        let mut buffers = BufRing::new(group, self.config.buffers, self.config.buffer_size)?;
        // SAFETY: the group goes into `groups` and is never taken out, and its memory does not move with it. The pool
        // is held by the driver, which lets go of it only when its ring is gone and nothing is in flight.
        unsafe { ring.register_buffers(&buffers)? };
        for id in 0..buffers.entries() {
            // SAFETY: each buffer of the new ring is given once.
            unsafe { buffers.give(id) };
        }
        self.groups.borrow_mut().push(Group {
            available: buffers.entries(),
            ring: buffers,
        });
        Ok(true)
    }

    /// Takes note that the kernel has handed out a buffer of a group.
    ///
    /// This is counted when the completion is reaped, not when its stream is polled: a stream that finds no buffer must
    /// not be told to try again because of those that others have waiting.
    pub(super) fn taken(&self, group: u16) {
        let group = &mut self.groups.borrow_mut()[usize::from(group)];
        group.available = group.available.saturating_sub(1);
    }

    /// Where a buffer is.
    pub(crate) fn buffer(&self, lease: Lease) -> NonNull<u8> {
        self.groups.borrow()[usize::from(lease.group)]
            .ring
            .buffer(lease.id)
    }

    /// Gives a buffer back to the kernel; returns those who wait for one.
    ///
    /// # Safety
    ///
    /// A completion has named the buffer, this is called once for that, and nobody uses the buffer any more.
    pub(crate) unsafe fn give_back(&self, lease: Lease) -> Vec<W> {
        let mut groups = self.groups.borrow_mut();
        let group = &mut groups[usize::from(lease.group)];
        // SAFETY: the caller's promise.
        unsafe { group.ring.give(lease.id) };
        group.available += 1;
        drop(groups);
        self.waiters.take()
    }

    /// Leaves `waiter` to be told of the next buffer that comes back.
    pub(crate) fn wait(&self, waiter: W) {
        self.dry.set(self.dry.get() + 1);
        self.waiters.borrow_mut().push(waiter);
    }

    /// Takes all that wait, for whom no buffer will come any more.
    pub(super) fn take_waiters(&self) -> Vec<W> {
        self.waiters.take()
    }

    /// Counts a stream for which the kernel found no buffer.
    pub(crate) fn ran_dry(&self) {
        self.dry.set(self.dry.get() + 1);
    }

    /// How often a stream found no buffer, and how many buffers there are.
    pub(crate) fn counters(&self) -> (u64, u32) {
        let groups = self.groups.borrow();
        let entries = groups.iter().map(|group| u32::from(group.ring.entries()));
        (self.dry.get(), entries.sum())
    }

    pub(crate) fn buffer_size(&self) -> usize {
        self.config.buffer_size as usize
    }
}

impl<W> fmt::Debug for Pool<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("config", &self.config)
            .field("groups", &self.groups.borrow().len())
            .field("waiters", &self.waiters.borrow().len())
            .finish()
    }
}
