//! `IORING_OP_READ` of an eventfd: how other threads end the owner's wait.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::op::mechanism::Operation;
use crate::sys::{Completion, Entry, Notifier, RingId, opcode, types};

/// Reads an eventfd, so that a notification becomes a completion.
pub(crate) struct WakeEvent {
    notifier: Arc<Notifier>,
    /// Set while the operation is in flight.
    armed: Rc<Cell<bool>>,
    count: u64,
}

impl WakeEvent {
    pub(crate) fn new(notifier: Arc<Notifier>, armed: Rc<Cell<bool>>) -> Self {
        WakeEvent {
            notifier,
            armed,
            count: 0,
        }
    }
}

// SAFETY: the entry points to `count` inside `self`, which nobody else reads; the eventfd is the notifier's, which is counted.
unsafe impl Operation for WakeEvent {
    const CODE: u8 = opcode::Read::CODE;
    const NAME: &'static str = "read";
    type Output = ();

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.armed.set(true);
        let fd = types::Fd(self.notifier.event().unwrap_or(-1));
        opcode::Read::new(fd, (&raw mut self.count).cast(), 8)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {
        self.armed.set(false);
    }
}
