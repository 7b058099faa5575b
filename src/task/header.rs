//! The part of a task that does not depend on its future, and the two kinds of references that keep it alive.
//!
//! A [`LocalRef`] is the owner's: counted without atomics, and with all that the owner may do. A [`TaskRef`] is anybody's,
//! and can only be counted and woken. The module's documentation says how the two counts hang together.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::process::abort;
use std::ptr::{self, NonNull};

use super::borrowed::Borrowed;
use super::flags::{DONE, GROUP_SHIFT, QUEUED};
use super::inbox::{Inbox, Node};
use super::queue::Link;
use super::shared;
use super::sync::{self, AtomicPtr, AtomicU32, Cell, Ordering, UnsafeCell, is_current};

pub(super) type Shared = shared::Shared<LocalRef, TaskRef>;
pub(super) type Owner<'a> = shared::Owner<'a, LocalRef, TaskRef>;

/// In `Header::refs`: the task is in the inbox, or a thread is about to put it there.
const IN_INBOX: u32 = 1 << 31;
const COUNT: u32 = IN_INBOX - 1;
/// So far below `IN_INBOX` that no number of threads caught between adding and checking can reach it.
const MAX_COUNT: u32 = 1 << 30;

/// What is done to a task without knowing its future. Neither unwinds.
pub(super) struct Vtable {
    /// Polls the future, or drops it if the task was aborted. See [`LocalRef::poll`].
    pub(super) poll: unsafe fn(Borrowed<'_, LocalRef>),
    /// Gives the memory back, on any thread, when nobody refers to the task any more. Drops nothing that a user made.
    pub(super) free: unsafe fn(NonNull<Header>),
}

/// See the module's documentation for who may touch which field, and when. Whoever has a `&Header` outside this file is
/// on the owner thread.
#[repr(C)]
pub(super) struct Header {
    // For every thread.
    vtable: &'static Vtable,
    shared: NonNull<Shared>,
    inbox_next: UnsafeCell<*mut Header>,
    refs: AtomicU32,
    /// In the list of all tasks.
    pub(super) index: u32,
    // For the owner.
    next: Cell<Option<LocalRef>>,
    local: Cell<u32>,
    pub(super) flags: Cell<u32>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 48);

impl Header {
    /// With one plain reference, which the caller makes of it. Counts the header in.
    pub(super) fn new(vtable: &'static Vtable, owner: Owner<'_>, index: u32, flags: u32) -> Self {
        owner.task_made();
        Self {
            vtable,
            shared: owner.shared(),
            inbox_next: UnsafeCell::new(ptr::null_mut()),
            refs: AtomicU32::new(1),
            index,
            next: Cell::new(None),
            local: Cell::new(1),
            flags: Cell::new(flags),
        }
    }

    /// Lets loom see the end of the memory as a write to each field that is not atomic.
    #[cfg(loom)]
    pub(super) fn touch(&self) {
        assert!(self.next.take().is_none());
        self.inbox_next.with_mut(|_| ());
        self.local.set(0);
        self.flags.set(0);
    }
}

/// Lets go of the one atomic reference that stands for all plain ones.
///
/// # Safety
///
/// The plain count has just become zero.
#[inline(never)]
unsafe fn release_share(task: NonNull<Header>) {
    // SAFETY: the share is one of the atomic references, so the header lives.
    let refs = unsafe { &(*task.as_ptr()).refs };
    // A count of one is this share alone, and nobody is left who could add to it: no need for a locked
    // instruction. Acquire, as in `release`, pairs with those who let go before.
    if refs.load(Ordering::Acquire) & COUNT == 1 {
        // SAFETY: see above: the share was the last reference.
        unsafe { free(task) }
    } else {
        // SAFETY: the share is an atomic reference, and is given up here.
        unsafe { release(task, 1) }
    }
}

/// Lets go of an atomic reference, and of the memory with the last one.
///
/// # Safety
///
/// The caller gives up an atomic reference: for 1 any, for `IN_INBOX | 1` the inbox's.
#[inline(always)]
unsafe fn release(task: NonNull<Header>, what: u32) {
    // Release: what this thread did with the task comes before its end. Acquire: if this was the last reference, the end
    // comes after what others did; and after a wake whose thread found IN_INBOX already set, the poll that follows sees
    // what that thread wrote.
    // SAFETY: the reference that is given up keeps the header alive until the subtraction.
    let before = unsafe { &(*task.as_ptr()).refs }.fetch_sub(what, Ordering::AcqRel);
    if before & COUNT == 1 {
        // SAFETY: the count is zero, so nobody else has a reference or can make one.
        unsafe { free(task) }
    }
}

/// # Safety
///
/// No reference of any kind is left.
unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the memory is still there, and this thread alone knows of it.
    let &Header { shared, vtable, .. } = unsafe { task.as_ref() };
    // SAFETY: the vtable is that of the task's own type, and no reference is left.
    unsafe { (vtable.free)(task) };
    // SAFETY: the header that was just freed counted towards `shared`, and is counted out here, once.
    unsafe { Shared::task_freed(shared) };
}

/// A plain reference to a task: one of its owner thread, where alone it is (the type is not `Send`).
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct LocalRef(NonNull<Header>);

impl LocalRef {
    /// # Safety
    ///
    /// This is the owner thread. `raw` is the address of a task, with provenance over its whole cell, and comes with a plain
    /// reference: that of a new header, or what `into_raw` has forgotten.
    #[inline(always)]
    pub(super) unsafe fn from_raw(raw: NonNull<Header>) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    #[inline(always)]
    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }

    /// The executor, which need not be entered, but lives at least as long as `Shared` does.
    #[inline(always)]
    pub(super) fn owner(&self) -> Owner<'_> {
        // SAFETY: a plain reference is on the owner thread, and the header that it keeps alive keeps `shared`.
        unsafe { Owner::new(self.shared) }
    }

    /// An atomic reference beside this one.
    pub(super) fn counted(&self) -> TaskRef {
        ManuallyDrop::new(TaskRef(self.0)).deref().clone()
    }

    /// Wakes the task.
    ///
    /// The executor may have been left since the reference was made, or another entered: then this takes the way of other
    /// threads.
    #[inline]
    pub(super) fn wake(self) {
        if is_current(self.shared) {
            self.enqueue();
        } else {
            self.counted().wake();
        }
    }

    /// Puts the task into the run queue, unless it is there or over.
    #[inline]
    pub(super) fn enqueue(self) {
        let flags = self.flags.get();
        if flags & (QUEUED | DONE) == 0 {
            self.flags.set(flags | QUEUED);
            // SAFETY: this is the owner thread; `shared` lives as long as the executor, which ends when all tasks are DONE.
            let owner = unsafe { Owner::new(self.shared) };
            match flags >> GROUP_SHIFT {
                0 => owner.queue.push(self),
                _ => owner.groups.push(flags, self, &owner.queue),
            }
        }
    }

    /// Polls the future, or drops it if the task was aborted.
    ///
    /// # Safety
    ///
    /// The task is not DONE, and its future is not being polled or dropped.
    #[inline(always)]
    pub(super) unsafe fn poll(&self) {
        // SAFETY: the vtable is that of the task's own type; the rest is the caller's promise.
        unsafe { (self.vtable.poll)(Borrowed::new(LocalRef(self.0))) }
    }
}

impl Deref for LocalRef {
    type Target = Header;

    #[inline(always)]
    fn deref(&self) -> &Header {
        // SAFETY: the plain reference keeps the share, and so the header, alive. Nobody makes a `&mut Header`: all that
        // changes in it is an atomic or in a cell.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for LocalRef {
    #[inline]
    fn clone(&self) -> Self {
        let count = self.local.get();
        if count >= MAX_COUNT {
            // References are being forgotten in a loop. Wrapping would free a task in use.
            abort();
        }
        self.local.set(count + 1);
        Self(self.0)
    }
}

impl Drop for LocalRef {
    #[inline]
    fn drop(&mut self) {
        let count = self.local.get() - 1;
        self.local.set(count);
        if count == 0 {
            // SAFETY: the count was ours.
            unsafe { release_share(self.0) }
        }
    }
}

// SAFETY: the cell is in the header, which does not move, and which the reference keeps alive.
unsafe impl Link for LocalRef {
    fn next(&self) -> &Cell<Option<Self>> {
        &self.next
    }
}

/// An atomic reference to a task, as a waker has one. It may be on any thread, and so can do little.
#[derive(Debug)]
pub(super) struct TaskRef(NonNull<Header>);

impl TaskRef {
    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: the reference keeps the header alive. Fields of the owner are touched below on the owner thread only.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(super) fn is(&self, task: &LocalRef) -> bool {
        self.0 == task.0
    }

    /// A plain reference, if this thread has entered the executor and the plain count is not zero. (At zero the task is
    /// over, and the plain references' share may be given up already.)
    #[inline(always)]
    pub(super) fn local(&self) -> Option<LocalRef> {
        if !is_current(self.header().shared) {
            return None;
        }
        // SAFETY: who has entered the executor is its owner.
        unsafe { self.local_of_owner() }
    }

    /// # Safety
    ///
    /// This is the owner thread.
    #[inline(always)]
    pub(super) unsafe fn local_of_owner(&self) -> Option<LocalRef> {
        let is_counted = self.header().local.get() != 0;
        is_counted.then(|| ManuallyDrop::new(LocalRef(self.0)).deref().clone())
    }

    /// Says that the task goes to the inbox, which is then the caller's to do; false if it is there, or on its way.
    fn mark_in_inbox(&self) -> bool {
        // AcqRel: whoever clears the bit sees what this thread wrote before, also if the bit was already set; and if we set
        // it, `inbox_next` is ours, after all that the last drain did with it.
        let before = self.header().refs.fetch_or(IN_INBOX, Ordering::AcqRel);
        before & IN_INBOX == 0
    }

    /// Puts the task into the run queue, if this thread has entered its executor; false if not.
    #[inline(always)]
    fn enqueue(&self) -> bool {
        let header = self.header();
        let is_entered = is_current(header.shared);
        if is_entered && header.flags.get() & (QUEUED | DONE) == 0 {
            // As in `LocalRef::clone`: a task that is not DONE has plain references. It is not queued yet, so no check.
            header.local.set(header.local.get() + 1);
            LocalRef(self.0).enqueue();
        }
        is_entered
    }

    #[inline]
    pub(super) fn wake_by_ref(&self) {
        if !self.enqueue() {
            self.wake_elsewhere();
        }
    }

    #[inline(never)] // The usual way needs no frame then.
    fn wake_elsewhere(&self) {
        if self.mark_in_inbox() {
            self.clone().go_to_inbox();
        }
    }

    #[inline]
    pub(super) fn wake(self) {
        if !self.enqueue() && self.mark_in_inbox() {
            self.go_to_inbox();
        }
    }

    /// After `mark_in_inbox`.
    fn go_to_inbox(self) {
        // SAFETY: we have set IN_INBOX, and it is cleared by who has taken the task out of the inbox.
        if let Some(kept) = unsafe { Inbox::push(self) } {
            // SAFETY: the reference keeps the header, and that `shared`.
            unsafe { &(*kept.header().shared.as_ptr()).unpark }.unpark();
        }
    }

    /// For a reference that was taken out of the inbox: the task may go there again.
    pub(super) fn leave_inbox(self) {
        // SAFETY: IN_INBOX is set (whoever pushed had set it, and only this function clears it, once for each push), so the
        // subtraction does not borrow from or into the count; the reference is given up.
        unsafe { release(ManuallyDrop::new(self).0, IN_INBOX | 1) }
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: a new reference is made from an old one, which already orders everything before it.
        let before = self.header().refs.fetch_add(1, Ordering::Relaxed);
        if before & COUNT >= MAX_COUNT {
            // Wakers are being forgotten in a loop. Wrapping would free a task in use.
            abort();
        }
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference was ours.
        unsafe { release(self.0, 1) }
    }
}

// SAFETY: the address is that of the header, which is aligned to 8. `from_raw` takes a reference up that was forgotten. The
// reference keeps the header alive, and that `shared`.
unsafe impl Node for TaskRef {
    type Target = Header;

    #[inline(always)]
    fn as_ptr(&self) -> *mut Header {
        self.0.as_ptr()
    }

    #[inline(always)]
    unsafe fn from_raw(raw: *mut Header) -> Self {
        // SAFETY: `as_ptr` gave it, so it is not null.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    fn head(&self) -> &AtomicPtr<Header> {
        // SAFETY: the header keeps `shared` alive.
        unsafe { (*self.header().shared.as_ptr()).remote.inbox.head() }
    }

    fn next(&self) -> &UnsafeCell<*mut Header> {
        &self.header().inbox_next
    }
}

/// Calls `f` with the executor that this thread has entered.
pub(super) fn with_entered<R>(f: impl FnOnce(Owner<'_>) -> R) -> Option<R> {
    let shared = NonNull::new(sync::current().cast_mut())?.cast::<Shared>();
    // SAFETY: this thread has entered the executor, so it is its owner, and the executor lives until it is left, which `f`
    // cannot do to what was entered before it was called.
    Some(f(unsafe { Owner::new(shared) }))
}
