//! Which process this is, of those that fork(2) has made of one.

use std::sync::atomic::{AtomicU32, Ordering};

/// How often this process is a child: what was made in another generation belongs to an ancestor.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// This process is a child of fork(2).
pub(crate) fn note_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Changes in a child of fork(2). Known from the first ring on.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}
