//! The part of a task that does not depend on its future, and how its references are counted.

use std::process::abort;
use std::ptr::NonNull;

use super::shared::Shared;
use super::sync::{AtomicU32, Cell, Ordering, UnsafeCell};
use super::wake_ref::WakeRef;

/// In the run queue.
pub(super) const QUEUED: u32 = 1 << 0;
/// The future is gone. Set once, never cleared: from here on a wake does nothing.
pub(super) const DONE: u32 = 1 << 1;
/// The next turn drops the future instead of polling it.
pub(super) const ABORTED: u32 = 1 << 2;
/// A `JoinHandle` exists, so the answer must be kept for it.
pub(super) const JOIN: u32 = 1 << 3;
/// The cell holds the future's output.
pub(super) const VALUE: u32 = 1 << 4;
/// The cell holds the payload of a panic.
pub(super) const PANIC: u32 = 1 << 5;
/// The `JoinHandle` has taken the answer.
pub(super) const TAKEN: u32 = 1 << 6;
/// Not a task, but what stands for the future of `block_on`.
pub(super) const ROOT: u32 = 1 << 7;

/// In `Header::refs`: the task is in the inbox, or a thread is about to put it there.
pub(super) const IN_INBOX: u32 = 1 << 31;
const COUNT: u32 = IN_INBOX - 1;
/// So far below `IN_INBOX` that no number of threads caught between adding and checking can reach it.
const MAX_COUNT: u32 = 1 << 30;

/// The index of a task that is in no list: the root, and a task that is being made.
pub(super) const NO_INDEX: u32 = u32::MAX;

/// What is done to a task without knowing its future. Each is called on the owner thread, except `free`.
/// None of them unwinds.
pub(super) struct Vtable {
    /// Polls the future, or drops it if the task was aborted.
    pub(super) poll: unsafe fn(TaskPtr),
    /// Drops the future and answers that it was cancelled.
    pub(super) cancel: unsafe fn(TaskPtr),
    /// Moves the answer out, into a `Result<T, JoinError>` that is not initialised.
    pub(super) take: unsafe fn(TaskPtr, *mut ()),
    /// Drops the answer where it is.
    pub(super) drop_answer: unsafe fn(TaskPtr),
    /// Gives the memory back, and drops nothing that a user made.
    pub(super) free: unsafe fn(TaskPtr),
}

/// See the module's documentation for who may touch which field, and when.
#[repr(C)]
pub(super) struct Header {
    pub(super) vtable: &'static Vtable,
    pub(super) shared: NonNull<Shared>,
    pub(super) next: Cell<Option<TaskPtr>>,
    pub(super) inbox_next: UnsafeCell<*mut Header>,
    pub(super) join: Cell<Option<WakeRef>>,
    pub(super) local: Cell<u32>,
    pub(super) flags: Cell<u32>,
    pub(super) refs: AtomicU32,
    pub(super) index: Cell<u32>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 56);

impl Header {
    pub(super) fn new(
        vtable: &'static Vtable,
        shared: NonNull<Shared>,
        local: u32,
        flags: u32,
    ) -> Self {
        Self {
            vtable,
            shared,
            next: Cell::new(None),
            inbox_next: UnsafeCell::new(std::ptr::null_mut()),
            join: Cell::new(None),
            local: Cell::new(local),
            flags: Cell::new(flags),
            refs: AtomicU32::new(1),
            index: Cell::new(NO_INDEX),
        }
    }

    /// Lets loom see the end of the memory as a write to each field that is not atomic.
    #[cfg(loom)]
    pub(super) fn touch(&self) {
        self.next.set(None);
        self.inbox_next.with_mut(|_| ());
        assert!(self.join.take().is_none());
        self.local.set(0);
        self.flags.set(0);
    }
}

/// A task's address, with the provenance of its whole allocation. Holds no reference by itself.
///
/// Functions that may let go of the last reference take this, never a `&Header`: an argument that is a reference
/// has to stay valid until the function returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TaskPtr(NonNull<Header>);

impl TaskPtr {
    /// `raw` must point to the header of a task cell, with provenance over the whole cell.
    #[inline(always)]
    pub(super) fn new(raw: NonNull<Header>) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(super) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub(super) fn as_non_null(self) -> NonNull<Header> {
        self.0
    }

    /// # Safety
    ///
    /// - A reference to the task is held for as long as the result is used.
    /// - `Cell` fields and `flags` are touched on the owner thread only.
    #[inline(always)]
    pub(super) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the address comes from a task cell, which lives while a reference to it is held. Nobody makes a
        // `&mut Header`: all that changes in it is an atomic or in a cell.
        unsafe { self.0.as_ref() }
    }

    /// Adds an atomic reference.
    ///
    /// # Safety
    ///
    /// The caller holds a reference of either kind.
    #[inline]
    pub(super) unsafe fn add_ref(self) {
        // SAFETY: the caller's reference keeps the header alive; `refs` may be touched by any thread.
        // Relaxed: a new reference is made from an old one, which already orders everything before it.
        let old = unsafe { self.header() }
            .refs
            .fetch_add(1, Ordering::Relaxed);
        if old & COUNT >= MAX_COUNT {
            // Wakers are being forgotten in a loop. Wrapping would free a task in use.
            abort();
        }
    }

    /// Lets go of an atomic reference, and of the memory with the last one.
    ///
    /// # Safety
    ///
    /// The caller holds an atomic reference, and gives it up. Any thread.
    #[inline]
    pub(super) unsafe fn release_ref(self) {
        // SAFETY: the caller's reference is the one that is given up here.
        unsafe { self.release_with(1) }
    }

    /// Takes the task out of the inbox: clears IN_INBOX and lets go of the inbox's reference, in one step.
    ///
    /// # Safety
    ///
    /// The caller has taken the task off the inbox's list, and gives up the reference that came with it.
    #[inline]
    pub(super) unsafe fn release_from_inbox(self) {
        // SAFETY: IN_INBOX is set (whoever pushed had set it, and only this function clears it, once for each
        // push), so the subtraction does not borrow from or into the count.
        unsafe { self.release_with(IN_INBOX | 1) }
    }

    /// # Safety
    ///
    /// As for `release_ref` and `release_from_inbox`.
    #[inline(always)]
    unsafe fn release_with(self, what: u32) {
        // SAFETY: the reference that is given up keeps the header alive until the subtraction.
        // Release: what this thread did with the task comes before its end. Acquire: if this was the last
        // reference, the end comes after what others did; and after a wake whose thread found IN_INBOX already set,
        // the poll that follows sees what that thread wrote.
        let old = unsafe { self.header() }
            .refs
            .fetch_sub(what, Ordering::AcqRel);
        if old & COUNT == 1 {
            // SAFETY: the count is zero, so nobody else has a reference or can make one.
            unsafe { self.free() }
        }
    }

    /// Adds a plain reference.
    ///
    /// # Safety
    ///
    /// Owner thread; the plain count is not zero.
    #[inline]
    pub(super) unsafe fn add_local(self) {
        // SAFETY: the count is not zero, so the task lives; this is the owner thread.
        let local = unsafe { &self.header().local };
        let count = local.get();
        if count >= MAX_COUNT {
            // References are being forgotten in a loop. Wrapping would free a task in use.
            abort();
        }
        local.set(count + 1);
    }

    /// Lets go of a plain reference.
    ///
    /// # Safety
    ///
    /// Owner thread; the caller holds a plain reference and gives it up.
    #[inline]
    pub(super) unsafe fn release_local(self) {
        // SAFETY: the caller's reference keeps the header alive; this is the owner thread.
        let header = unsafe { self.header() };
        let count = header.local.get() - 1;
        header.local.set(count);
        // A task that is still queued is let go when it is popped: the queue holds no reference of its own.
        if count == 0 && header.flags.get() & QUEUED == 0 {
            debug_assert!(header.flags.get() & (VALUE | PANIC) == 0);
            // SAFETY: the plain count just reached zero and the queue does not know the task.
            unsafe { self.release_share() }
        }
    }

    /// Lets go of the one atomic reference that stands for all plain ones.
    ///
    /// # Safety
    ///
    /// Owner thread; the plain count is zero, the task is not queued, and the share was not yet given up.
    #[inline]
    pub(super) unsafe fn release_share(self) {
        // SAFETY: the share is still held, so the header lives.
        let refs = unsafe { &self.header().refs };
        // A count of one is this share alone, and nobody is left who could add to it: no need for a locked
        // instruction. Acquire, as in `release_with`, pairs with those who let go before.
        if refs.load(Ordering::Acquire) & COUNT == 1 {
            // SAFETY: see above: the share was the last reference.
            unsafe { self.free() }
        } else {
            // SAFETY: the share is an atomic reference, and it is given up here.
            unsafe { self.release_ref() }
        }
    }

    /// # Safety
    ///
    /// No reference of any kind is left.
    unsafe fn free(self) {
        // SAFETY: the memory is still there, and this thread alone knows of it.
        let (shared, free) = unsafe { (self.header().shared, self.header().vtable.free) };
        // SAFETY: no reference is left.
        unsafe { free(self) };
        // SAFETY: the header that was just freed counted towards `shared`, and is counted out here, once.
        unsafe { Shared::task_freed(shared) };
    }
}
