//! An executor's pulse for other threads: it keeps what the executor shares, as a task does.

use std::ops::Deref;
use std::ptr::NonNull;

use super::header::{Owner, Shared};
use super::pulse::Pulse;

/// Refers to an executor's [`Pulse`], which it keeps.
pub(crate) struct PulseRef {
    // Invariant: it is counted as a header is, so `shared` lives.
    shared: NonNull<Shared>,
}

// SAFETY: all that it reaches is the pulse, which is Sync, and `task_freed`, which any thread may call.
unsafe impl Send for PulseRef {}
// SAFETY: as above.
unsafe impl Sync for PulseRef {}

impl PulseRef {
    pub(super) fn new(owner: Owner<'_>) -> Self {
        owner.task_made();
        PulseRef {
            shared: owner.shared(),
        }
    }
}

impl Deref for PulseRef {
    type Target = Pulse;

    fn deref(&self) -> &Pulse {
        // SAFETY: the type's invariant. Nobody makes a `&mut` of the pulse.
        unsafe { &(*self.shared.as_ptr()).pulse }
    }
}

impl Drop for PulseRef {
    fn drop(&mut self) {
        // SAFETY: `new` has counted it in, and this is its end.
        unsafe { Shared::task_freed(self.shared) };
    }
}
