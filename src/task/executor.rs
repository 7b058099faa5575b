//! The executor: a run queue, a list of all tasks, and an inbox for wakes from other threads.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::cell::TaskCell;
use super::header::{DONE, JOIN, ROOT, TaskPtr};
use super::join::JoinHandle;
use super::shared::{Inbox, OwnerState, Shared, Unpark};
use super::sync;
use super::waker;

/// Runs the tasks of one thread. Not `Send`: the thread that makes it is its owner.
pub(crate) struct Executor {
    shared: NonNull<Shared>,
    root: TaskPtr,
    /// Borrows the executor's own reference to the root.
    root_waker: ManuallyDrop<Waker>,
}

impl Executor {
    /// An executor with no tasks. `unpark` is what a wake from another thread calls while the owner is parked.
    pub(crate) fn new(unpark: Box<dyn Unpark>) -> Self {
        let shared = Shared::allocate(unpark);
        let root = TaskCell::<Ready<()>>::allocate(shared, ready(()), 1, ROOT);
        // SAFETY: nobody else knows `shared` yet.
        unsafe { (*shared.as_ptr()).owner.task_made() };
        // SAFETY: the executor holds the root until its end, and never drops this waker.
        let root_waker = ManuallyDrop::new(unsafe { waker::waker(root) });
        Self {
            shared,
            root,
            root_waker,
        }
    }

    /// Makes this the executor of its thread, for `spawn` and for wakes without atomics, until the guard is dropped.
    ///
    /// Guards are dropped in reverse order, and never forgotten: keep them in one frame of the stack each.
    pub(crate) fn enter(&self) -> Entered<'_> {
        Entered {
            shared: self.shared.as_ptr(),
            before: sync::set_current(self.shared.as_ptr()),
            _executor: PhantomData,
        }
    }

    /// Spawns a task.
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        // SAFETY: the executor lives, and this is its thread.
        unsafe { spawn_on(self.shared, future) }
    }

    /// The waker to poll the future of `block_on` with.
    pub(crate) fn root_waker(&self) -> &Waker {
        &self.root_waker
    }

    /// Queues the root, so that the next `run` calls its closure.
    pub(crate) fn schedule_root(&self) {
        // SAFETY: the executor holds the root, and this is its thread.
        unsafe { self.root.enqueue() }
    }

    /// Takes in what other threads woke, then polls up to `budget` entries of the queue; `root` is called for the
    /// root's. Returns whether work is left.
    ///
    /// # Panics
    ///
    /// When called from within a task, and with what `root` panics.
    pub(crate) fn run(&self, budget: u32, root: &mut dyn FnMut()) -> bool {
        let owner = self.owner();
        assert!(owner.running.get().is_none(), "run called within a task");
        self.drain();
        for _ in 0..budget {
            // SAFETY: this is the owner thread; a task that is over is let go below.
            let Some(task) = (unsafe { owner.queue.pop() }) else {
                break;
            };
            // SAFETY: a popped task lives: the list holds it, or the plain references' share, which is let go below.
            let header = unsafe { task.header() };
            let flags = header.flags.get();
            if flags & (DONE | ROOT) == 0 {
                // SAFETY: not DONE; and as nothing was running, its future is not being polled.
                unsafe { owner.with_running(task, header.vtable.poll) };
            } else if flags & ROOT != 0 {
                root();
            } else {
                // SAFETY: popped just now, and DONE.
                unsafe { let_go(task) };
            }
        }
        // SAFETY: the executor lives.
        !owner.queue.is_empty() || unsafe { Inbox::has_tasks(self.shared) }
    }

    /// Prepares a wait in the kernel. True: there is nothing to do, and the next wake from another thread calls
    /// `unpark`. False: there is work.
    #[inline]
    pub(crate) fn prepare_park(&self) -> bool {
        // SAFETY: this is the owner thread, and the executor lives.
        self.owner().queue.is_empty() && unsafe { Inbox::park(self.shared) }
    }

    /// Whether another thread has woken a task.
    pub(crate) fn has_woken(&self) -> bool {
        // SAFETY: the executor lives.
        unsafe { Inbox::has_tasks(self.shared) }
    }

    /// Takes in what other threads woke during the wait.
    ///
    /// If nobody did, the mark of `prepare_park` stays, and the next park finds it there: that saves two locked
    /// instructions a turn, 10 ns. A wake that comes before that park also calls `unpark`, once, for nothing.
    #[inline]
    pub(crate) fn unparked(&self) {
        self.drain();
    }

    /// Drops the futures of all tasks; their handles answer that they were cancelled. What is spawned from now on is
    /// cancelled at once.
    ///
    /// The caller has entered the executor if the futures' `Drop` is to find it.
    ///
    /// # Panics
    ///
    /// When called from within a task.
    pub(crate) fn shutdown(&self) {
        let owner = self.owner();
        assert!(
            owner.running.get().is_none(),
            "shutdown called within a task"
        );
        owner.closing.set(true);
        // New tasks do not stay in the list, so one pass over it is enough.
        let mut index = 0;
        while owner.task_count() > 0 {
            if let Some(task) = owner.task_at(index) {
                // SAFETY: the list holds tasks that are not DONE only (between two calls of ours), and nothing is
                // running, so its future is not being polled.
                unsafe { owner.with_running(task, task.header().vtable.cancel) };
            }
            index += 1;
        }
    }

    /// How many tasks are alive. The root is not one.
    pub(crate) fn task_count(&self) -> usize {
        self.owner().task_count()
    }

    #[inline(always)]
    fn owner(&self) -> &OwnerState {
        // SAFETY: the executor lives, so `shared` does; it is not Send, so this is the owner thread.
        unsafe { &(*self.shared.as_ptr()).owner }
    }

    #[inline]
    fn drain(&self) {
        // SAFETY: the executor lives, and this is the owner thread.
        unsafe {
            if Inbox::has_tasks(self.shared) {
                Inbox::drain(self.shared);
            }
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if self.task_count() > 0 {
            let _entered = self.enter();
            self.shutdown();
        }
        if ptr::eq(sync::current(), self.shared.as_ptr()) {
            sync::set_current(ptr::null()); // A guard was forgotten. Nothing may find the executor any more.
        }
        // No code of a user runs from here on.
        // SAFETY: this is the owner thread. The executor holds the root until the end of the block; all other tasks
        // are DONE, and now the root is. `close` ends what the inbox holds, and then nothing can be queued, so the
        // queue is emptied for good. `shared` has its bias until the last line, which hands it over.
        unsafe {
            let root = self.root.header();
            root.flags.set(root.flags.get() | DONE);
            Inbox::close(self.shared);
            while let Some(task) = self.owner().queue.pop() {
                let_go(task);
            }
            self.root.release_local();
            Shared::executor_gone(self.shared);
        }
    }
}

/// This thread has entered an executor. Leaves it when dropped.
#[must_use = "the executor is left when this is dropped"]
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    shared: *const Shared,
    before: *const Shared,
    _executor: PhantomData<&'a Executor>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let left = sync::set_current(self.before);
        debug_assert!(ptr::eq(left, self.shared), "executors left out of order");
    }
}

/// After the pop of a task that is DONE: lets the plain references' share go if they are all gone.
///
/// # Safety
///
/// Owner thread; the task was popped just now, and is DONE.
unsafe fn let_go(task: TaskPtr) {
    // SAFETY: while it was queued the share was not let go, so the task lives; this is the owner thread.
    if unsafe { task.header() }.local.get() == 0 {
        // SAFETY: the count is zero, the task is not queued any more, and the share is let go only here, once, or in
        // `release_local`, which left it because the task was queued.
        unsafe { task.release_share() }
    }
}

/// The executor that this thread has entered.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(super) fn entered() -> NonNull<Shared> {
    match NonNull::new(sync::current().cast_mut()) {
        Some(shared) => shared,
        None => panic!(
            "spawn called outside a saferring runtime: call it inside Runtime::block_on or #[saferring::main]"
        ),
    }
}

/// # Safety
///
/// The executor of `shared` lives, and this is its thread.
pub(super) unsafe fn spawn_on<F: Future + 'static>(
    shared: NonNull<Shared>,
    future: F,
) -> JoinHandle<F::Output> {
    // SAFETY: the executor lives, so `shared` does; this is the owner thread.
    let owner = unsafe { &(*shared.as_ptr()).owner };
    // Two plain references: the list of all tasks, and the handle.
    let task = TaskCell::allocate(shared, future, 2, JOIN);
    owner.task_made();
    // SAFETY: the handle gets one of the two references, and asks for the output of the future that it was made of.
    let handle = unsafe { JoinHandle::new(task) };
    let index = owner.insert(task);
    // SAFETY: the list holds the task; this is the owner thread.
    unsafe { task.header() }.index.set(index);
    if owner.closing.get() {
        // SAFETY: the task is new: not DONE, and not being polled. Nothing is borrowed here.
        unsafe { owner.with_running(task, task.header().vtable.cancel) };
    } else {
        // SAFETY: the list holds the task; this is the owner thread.
        unsafe { task.enqueue() };
    }
    handle
}
