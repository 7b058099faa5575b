//! The way back for provided buffers that are dropped on any thread.

use std::mem;
use std::sync::PoisonError;

#[cfg(loom)]
use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use crate::sys::Memory;

/// A buffer that the kernel has filled, by its group and its number in that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) group: u16,
    pub(crate) id: u16,
}

/// What a pool shares with other threads. It outlives the pool while buffers are out.
pub(super) struct ReturnQueue {
    /// Whether `leases` may hold some: read without the lock, by the owner, for each buffer that the kernel takes.
    some: AtomicBool,
    /// Came back, and the kernel does not have them yet.
    leases: Mutex<Vec<Lease>>,
}

impl ReturnQueue {
    pub(super) fn new() -> Self {
        ReturnQueue {
            some: AtomicBool::new(false),
            leases: Mutex::new(Vec::new()),
        }
    }

    /// Brings a buffer back, on any thread.
    fn bring(&self, lease: Lease) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.push(lease);
        self.some.store(true, Ordering::Relaxed);
    }

    /// Whether it is worth the lock to collect. May miss what is just being brought, which is there for the next look.
    #[inline(always)]
    pub(super) fn has_some(&self) -> bool {
        self.some.load(Ordering::Relaxed)
    }

    /// Takes what came back, and leaves the list `empty` for what comes next.
    pub(super) fn collect(&self, empty: Vec<Lease>) -> Vec<Lease> {
        debug_assert!(empty.is_empty());
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        self.some.store(false, Ordering::Relaxed);
        mem::replace(&mut leases, empty)
    }
}

/// A lease that any thread may hold: its buffer's memory stays, whatever becomes of the runtime, and it goes back on
/// drop.
pub(crate) struct RemoteLease {
    lease: Lease,
    returns: Arc<ReturnQueue>,
    /// Held for what lies in it.
    _memory: std::sync::Arc<Memory>,
}

impl RemoteLease {
    pub(super) fn new(
        lease: Lease,
        returns: &Arc<ReturnQueue>,
        memory: &std::sync::Arc<Memory>,
    ) -> Self {
        RemoteLease {
            lease,
            returns: Arc::clone(returns),
            _memory: std::sync::Arc::clone(memory),
        }
    }
}

impl Drop for RemoteLease {
    fn drop(&mut self) {
        self.returns.bring(self.lease);
    }
}

/// loom models of threads that bring buffers beside an owner that collects.
#[cfg(all(test, loom))]
mod models {
    use loom::thread;

    use super::*;

    #[test]
    fn what_is_brought_is_collected_once() {
        loom::model(|| {
            let returns = Arc::new(ReturnQueue::new());
            let threads = [0, 1].map(|id| {
                let returns = returns.clone();
                thread::spawn(move || returns.bring(Lease { group: 0, id }))
            });
            let mut came = Vec::new();
            if returns.has_some() {
                came.extend(returns.collect(Vec::new()));
            }
            for thread in threads {
                thread.join().unwrap();
            }
            // Nothing is overlooked once the threads are known to be done.
            if came.len() < 2 {
                assert!(returns.has_some());
                came.extend(returns.collect(Vec::new()));
            }
            let mut ids: Vec<_> = came.iter().map(|lease| lease.id).collect();
            ids.sort_unstable();
            assert_eq!(ids, [0, 1]);
        });
    }
}
