//! The run queue: first in, first out, threaded through the tasks themselves.

use super::header::{QUEUED, TaskPtr};
use super::sync::Cell;

/// Holds no references: a task that is queued is not freed before it is popped (`TaskPtr::release_local`).
pub(super) struct RunQueue {
    head: Cell<Option<TaskPtr>>,
    tail: Cell<Option<TaskPtr>>,
}

impl RunQueue {
    pub(super) fn new() -> Self {
        Self {
            head: Cell::new(None),
            tail: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// Appends a task and marks it QUEUED.
    ///
    /// # Safety
    ///
    /// Owner thread; the task lives, and is not queued.
    #[inline]
    pub(super) unsafe fn push(&self, task: TaskPtr) {
        // SAFETY: the task lives, and QUEUED keeps it alive until `pop`.
        let header = unsafe { task.header() };
        debug_assert!(header.flags.get() & QUEUED == 0);
        header.flags.set(header.flags.get() | QUEUED);
        header.next.set(None);
        match self.tail.replace(Some(task)) {
            // SAFETY: what is in the queue lives until it is popped.
            Some(tail) => unsafe { tail.header() }.next.set(Some(task)),
            None => self.head.set(Some(task)),
        }
    }

    /// Takes the oldest task, and clears its QUEUED.
    ///
    /// # Safety
    ///
    /// Owner thread. If the task is DONE and has no plain reference, the caller must let its share go.
    #[inline]
    pub(super) unsafe fn pop(&self) -> Option<TaskPtr> {
        let task = self.head.get()?;
        // SAFETY: what is in the queue lives until it is popped.
        let header = unsafe { task.header() };
        let next = header.next.get();
        self.head.set(next);
        if next.is_none() {
            self.tail.set(None);
        }
        header.flags.set(header.flags.get() & !QUEUED);
        Some(task)
    }
}
