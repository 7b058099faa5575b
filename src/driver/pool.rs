//! Provided buffers: the kernel takes one when data arrives, so a connection that waits holds none.
//!
//! Buffers come in groups, each a ring of its own. The first is made when it is first asked for, others when the
//! kernel has run out, up to a limit. When all are out, streams receive into memory of their own.
//!
//! A lease can be turned into one that any thread may hold. Such a buffer comes back through a queue, which the owner
//! looks at when the kernel has taken a buffer, and where it looks for a free one.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;

#[cfg(loom)]
use loom::sync::Arc;
#[cfg(not(loom))]
use std::sync::Arc;

use super::return_queue::{Lease, RemoteLease, ReturnQueue};
use crate::sys::{BufRing, Ring, RingId};

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

/// What a pool has counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolCounters {
    /// How often a stream found no buffer.
    pub(crate) exhausted: u64,
    pub(crate) buffers: u32,
    /// Those that the kernel may take.
    pub(crate) available: u32,
    /// Whether the kernel has refused more.
    pub(crate) refused: bool,
}

/// The provided buffers of one driver.
pub(crate) struct Pool {
    ring: RingId,
    config: PoolConfig,
    groups: RefCell<Vec<Group>>,
    /// What comes back from elsewhere.
    returns: Arc<ReturnQueue>,
    /// An empty list, to leave with `returns` for the one that is taken out: so neither is allocated anew.
    empty: Cell<Vec<Lease>>,
    /// How often a stream found no buffer.
    exhausted: Cell<u64>,
    /// Whether the kernel has refused a group.
    refused: Cell<bool>,
}

struct Group {
    ring: BufRing,
    /// Buffers that the kernel has, as far as completions have told.
    available: u16,
}

impl Pool {
    pub(super) fn new(config: PoolConfig, ring: RingId) -> Self {
        Pool {
            ring,
            config,
            groups: RefCell::new(Vec::new()),
            returns: Arc::new(ReturnQueue::new()),
            empty: Cell::new(Vec::new()),
            exhausted: Cell::new(0),
            refused: Cell::new(false),
        }
    }

    /// The ring that its buffers are for.
    pub(crate) fn ring(&self) -> RingId {
        self.ring
    }

    /// The group that has most buffers; `None` if all are out.
    pub(crate) fn pick(&self) -> Option<u16> {
        self.collect();
        let groups = self.groups.borrow();
        let most = groups.iter().max_by_key(|group| group.available)?;
        (most.available > 0).then(|| most.ring.group())
    }

    /// Adds a group; false if there are enough, or no more can be had: then that is not tried again.
    pub(super) fn grow(&self, ring: &mut Ring) -> bool {
        if self.refused.get() || self.groups.borrow().len() >= usize::from(self.config.groups_max) {
            return false;
        }
        // There is no memory, or it may not be locked, or a filter forbids it.
        let added = self.add_group(ring).is_ok();
        self.refused.set(!added);
        added
    }

    fn add_group(&self, ring: &mut Ring) -> io::Result<()> {
        let group = self.groups.borrow().len() as u16;
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
        Ok(())
    }

    /// Whether most of what there may be is out, so that little should lie in it.
    pub(crate) fn is_low(&self) -> bool {
        let groups = self.groups.borrow();
        let available: u32 = groups.iter().map(|one| u32::from(one.available)).sum();
        let more = u32::from(self.config.groups_max).saturating_sub(groups.len() as u32);
        let all = u32::from(self.config.groups_max) * u32::from(self.config.buffers);
        let to_come = match self.refused.get() {
            true => 0,
            false => more * u32::from(self.config.buffers),
        };
        available + to_come < all / 2
    }

    /// Takes note that the kernel has handed out a buffer of a group.
    ///
    /// This is counted when the completion is reaped, not when its stream is polled: a stream that finds no buffer must
    /// not be told to try again because of those that others have waiting.
    pub(super) fn taken(&self, group: u16) {
        {
            let group = &mut self.groups.borrow_mut()[usize::from(group)];
            group.available = group.available.saturating_sub(1);
        }
        self.collect();
    }

    /// Gives the kernel what has come back from elsewhere.
    #[inline]
    fn collect(&self) {
        if self.returns.has_some() {
            self.collect_some();
        }
    }

    #[cold]
    fn collect_some(&self) {
        let mut leases = self.returns.collect(self.empty.take());
        let mut groups = self.groups.borrow_mut();
        for lease in leases.drain(..) {
            let group = &mut groups[usize::from(lease.group)];
            // SAFETY: `returns` has only leases that `share` was promised for; each was brought by the drop of the one
            // value made for it, after which nobody uses the buffer, and is taken out once.
            unsafe { group.ring.give(lease.id) };
            group.available += 1;
        }
        self.empty.set(leases);
    }

    /// Where a buffer is.
    pub(crate) fn buffer(&self, lease: Lease) -> NonNull<u8> {
        self.groups.borrow()[usize::from(lease.group)]
            .ring
            .buffer(lease.id)
    }

    /// Gives a buffer back to the kernel.
    ///
    /// # Safety
    ///
    /// A completion has named the buffer, this or [`share`](Self::share) is called once for that, and nobody uses the
    /// buffer any more.
    pub(crate) unsafe fn give_back(&self, lease: Lease) {
        let group = &mut self.groups.borrow_mut()[usize::from(lease.group)];
        // SAFETY: the caller's promise.
        unsafe { group.ring.give(lease.id) };
        group.available += 1;
    }

    /// Makes a lease one that any thread may hold, and that gives the buffer back on drop.
    ///
    /// # Safety
    ///
    /// A completion has named the buffer, this or [`give_back`](Self::give_back) is called once for that, and nobody
    /// uses the buffer after the drop.
    pub(crate) unsafe fn share(&self, lease: Lease) -> RemoteLease {
        let groups = self.groups.borrow();
        let memory = groups[usize::from(lease.group)].ring.memory();
        RemoteLease::new(lease, &self.returns, memory)
    }

    /// Counts a stream for which the kernel found no buffer.
    pub(crate) fn count_exhausted(&self) {
        self.exhausted.set(self.exhausted.get() + 1);
    }

    /// What there is, and how often it was not enough.
    pub(crate) fn counters(&self) -> PoolCounters {
        self.collect();
        let groups = self.groups.borrow();
        PoolCounters {
            exhausted: self.exhausted.get(),
            refused: self.refused.get(),
            buffers: groups.iter().map(|one| u32::from(one.ring.entries())).sum(),
            available: groups.iter().map(|one| u32::from(one.available)).sum(),
        }
    }

    pub(crate) fn buffer_size(&self) -> usize {
        self.config.buffer_size as usize
    }
}
