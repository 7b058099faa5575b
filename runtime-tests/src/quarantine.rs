//! An allocator that keeps every block that is freed: it fills it with a pattern, does not hand it out again, and
//! [`check`] looks whether the pattern is whole. A late write by the kernel, or by anyone, cannot hide in a block that has
//! a new owner; and who reads there reads nonsense.
//!
//! A test binary that wants it has it as its `#[global_allocator]`, and turns it on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a freed block is filled with. No test sends this byte.
const POISON: u8 = 0xa5;
const POISONED: u64 = u64::from_ne_bytes([POISON; 8]);
/// Blocks from this size on are kept: all that the kernel is ever given.
const SIZE_MIN: usize = 32;
const BLOCKS_MAX: usize = 1 << 18;

/// The allocator.
#[derive(Debug)]
pub struct Quarantine;

/// A block that was freed: its address, as it may be used by whoever has exposed it, and what it was allocated by.
#[derive(Clone, Copy)]
struct Block(usize, Layout);

struct Kept {
    blocks: [Block; BLOCKS_MAX],
    count: usize,
}

/// The blocks, behind a lock that does not allocate.
struct Locked {
    taken: AtomicBool,
    kept: UnsafeCell<Kept>,
}

// SAFETY: `with` lets one thread at a time to what is inside, which is plain numbers.
unsafe impl Sync for Locked {}

static ACTIVE: AtomicBool = AtomicBool::new(false);
static KEPT: Locked = Locked {
    taken: AtomicBool::new(false),
    kept: UnsafeCell::new(Kept {
        blocks: [Block(0, Layout::new::<()>()); BLOCKS_MAX],
        count: 0,
    }),
};

impl Locked {
    /// `work` neither allocates nor panics.
    fn with<R>(&self, work: impl FnOnce(&mut Kept) -> R) -> R {
        while self.taken.swap(true, Ordering::Acquire) {
            hint::spin_loop();
        }
        // SAFETY: the mark was taken by this thread, and is given back below; so there is no other reference.
        let result = work(unsafe { &mut *self.kept.get() });
        self.taken.store(false, Ordering::Release);
        result
    }
}

impl Block {
    /// Where the pattern is not whole, and what is there.
    fn damage(self) -> Option<(usize, usize, u8)> {
        let block = std::ptr::with_exposed_provenance::<u8>(self.0);
        let is_whole = |words: usize| {
            // SAFETY: as below; the system's blocks are aligned to more than a word.
            (0..words).all(|at| unsafe { block.cast::<u64>().add(at).read_volatile() } == POISONED)
        };
        // In debug builds a word at a time makes the difference.
        let from = match is_whole(self.1.size() / 8) {
            true => self.1.size() / 8 * 8,
            false => 0,
        };
        (from..self.1.size()).find_map(|offset| {
            // SAFETY: the block was filled when it came here, and is not handed out meanwhile. Volatile, because the point
            // is that someone may have written to it.
            let byte = unsafe { block.add(offset).read_volatile() };
            (byte != POISON).then_some((self.1.size(), offset, byte))
        })
    }
}

// SAFETY: allocation is the system's. A freed block goes back to it, at once or later, or is kept for good; either is
// lawful. Nothing in here allocates or unwinds.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() < SIZE_MIN || !ACTIVE.load(Ordering::Relaxed) {
            // SAFETY: `alloc` got it from the system, with this layout.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: the block is `size` bytes long, and its owner has given it up.
        unsafe { block.write_bytes(POISON, layout.size()) };
        let kept = KEPT.with(|kept| {
            let place = kept.blocks.get_mut(kept.count)?;
            *place = Block(block.expose_provenance(), layout);
            kept.count += 1;
            Some(())
        });
        if kept.is_none() {
            std::process::abort();
        }
    }
}

/// From now on freed blocks are kept.
pub fn activate() {
    ACTIVE.store(true, Ordering::Relaxed);
}

/// From now on freed blocks go back to the system; those that were kept stay.
pub fn deactivate() {
    ACTIVE.store(false, Ordering::Relaxed);
}

/// The first damaged block, if there is one: its size, the place of the damage, and what is there.
pub fn damage() -> Option<(usize, usize, u8)> {
    KEPT.with(|kept| {
        let blocks = kept.blocks.iter().take(kept.count);
        blocks.copied().find_map(Block::damage)
    })
}

/// Looks at all that was kept.
///
/// # Panics
///
/// If somebody has written there; and if nothing was freed.
#[track_caller]
pub fn check() {
    assert!(
        KEPT.with(|kept| kept.count) > 0,
        "nothing was freed: the test tests nothing"
    );
    if let Some((size, offset, byte)) = damage() {
        panic!("a freed block of {size} bytes was written to at {offset}: {byte:#x}");
    }
}

/// As [`damage`], and gives the blocks back to the system.
pub fn release() -> Option<(usize, usize, u8)> {
    KEPT.with(|kept| {
        let mut found = None;
        for block in kept.blocks.iter().take(kept.count) {
            found = found.or_else(|| block.damage());
            let start = std::ptr::with_exposed_provenance_mut::<u8>(block.0);
            // SAFETY: it came from the system by this layout, was freed by its owner, and leaves the list here.
            unsafe { System.dealloc(start, block.1) };
        }
        kept.count = 0;
        found
    })
}
