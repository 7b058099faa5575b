//! Buffers that tell when and where they are dropped.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

use saferring::buf::{IoBuf, IoBufMut};

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
    /// How often an address was asked for.
    addresses: AtomicUsize,
    last_thread: Mutex<Option<ThreadId>>,
    /// The numbers of the buffers that are alive.
    alive: Mutex<HashSet<usize>>,
    /// How many drops there were of buffers that were gone already.
    dropped_twice: AtomicUsize,
    /// Called by each drop, last.
    on_drop: Option<fn()>,
}

/// Watches over the buffers that it makes.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Counts>);

impl Watch {
    /// One without buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// One whose buffers call `on_drop` when they are dropped.
    pub fn calling(on_drop: fn()) -> Self {
        Watch(Arc::new(Counts {
            on_drop: Some(on_drop),
            ..Counts::default()
        }))
    }

    /// An empty buffer of this capacity.
    pub fn buf(&self, capacity: usize) -> Tracked {
        self.filled(Vec::with_capacity(capacity))
    }

    /// A buffer with these bytes.
    pub fn filled(&self, bytes: impl Into<Vec<u8>>) -> Tracked {
        let number = self.0.made.fetch_add(1, Ordering::Relaxed);
        let alive = self.0.alive.lock();
        alive.unwrap_or_else(PoisonError::into_inner).insert(number);
        Tracked {
            bytes: bytes.into(),
            number,
            watch: self.clone(),
        }
    }

    /// How many buffers were dropped.
    pub fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::Acquire)
    }

    /// How many buffers are alive.
    pub fn alive(&self) -> usize {
        self.0.made.load(Ordering::Acquire) - self.dropped()
    }

    /// How many drops there were of buffers that were gone already: an error of whoever had them.
    pub fn dropped_twice(&self) -> usize {
        self.0.dropped_twice.load(Ordering::Acquire)
    }

    /// How often the address of a buffer was asked for.
    pub fn addresses(&self) -> usize {
        self.0.addresses.load(Ordering::Acquire)
    }

    /// The thread on which the last buffer was dropped.
    pub fn last_thread(&self) -> Option<ThreadId> {
        *self
            .0
            .last_thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer of a [`Watch`].
#[derive(Debug)]
pub struct Tracked {
    bytes: Vec<u8>,
    number: usize,
    watch: Watch,
}

impl Tracked {
    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let counts = &self.watch.0;
        *counts
            .last_thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        let alive = counts.alive.lock();
        let was_alive = alive
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
        if !was_alive {
            counts.dropped_twice.fetch_add(1, Ordering::Release);
        }
        // Whoever reads it from now on sees this.
        self.bytes.fill(0xdd);
        counts.dropped.fetch_add(1, Ordering::Release);
        if let Some(on_drop) = counts.on_drop {
            on_drop();
        }
    }
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

// SAFETY: forwards to `Vec<u8>` in a private field, which meets the contract; the counter beside it changes nothing
// that the contract speaks of.
unsafe impl IoBuf for Tracked {
    fn buf_ptr(&self) -> *const u8 {
        self.watch.0.addresses.fetch_add(1, Ordering::Relaxed);
        self.bytes.buf_ptr()
    }

    fn buf_len(&self) -> usize {
        self.bytes.buf_len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Tracked {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.watch.0.addresses.fetch_add(1, Ordering::Relaxed);
        self.bytes.buf_mut_ptr()
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.buf_capacity()
    }

    unsafe fn set_filled(&mut self, n: usize) {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { self.bytes.set_filled(n) }
    }
}
