//! The executor: a run queue, a list of all tasks, and an inbox for wakes from other threads.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use super::budget::{begin_turn, end_turns};
use super::cell::TaskCell;
use super::flags::{ABORTED, DONE, JOIN, NAMED, NOTED, QUEUED, ROOT};
use super::group::SLICE;
use super::header::{LocalRef, Owner, Shared, with_entered};
use super::join::JoinHandle;
use super::pulse::{NO_INDEX, Note, Pulse};
use super::pulse_ref::PulseRef;
use super::shared::Unpark;
use super::sync;
use super::waker;

/// Runs the tasks of one thread. Not `Send`: the thread that makes it is its owner.
pub(crate) struct Executor {
    shared: NonNull<Shared>,
    root: LocalRef,
    root_waker: Waker,
}

impl Executor {
    /// An executor with no tasks. `unpark` is what a wake from another thread calls while the owner is parked; `noted`:
    /// for a watchdog, its pulse knows the names and places of tasks.
    pub(crate) fn new(unpark: Box<dyn Unpark>, noted: bool) -> Self {
        let shared = Shared::allocate(unpark, Pulse::new(noted));
        // SAFETY: this thread makes it, and so is its owner. It lives until `executor_gone` at the earliest.
        let owner = unsafe { Owner::new(shared) };
        let root = TaskCell::<Ready<()>>::allocate(owner, ready(()), NO_INDEX, ROOT);
        let root_waker = waker::waker(&root).clone();
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
            shared: self.address(),
            before: sync::set_current(self.address()),
            _executor: PhantomData,
        }
    }

    /// What others may see of it.
    #[inline(always)]
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.shared().pulse
    }

    /// Its pulse for other threads, which may outlive it.
    pub(crate) fn pulse_ref(&self) -> PulseRef {
        PulseRef::new(self.owner())
    }

    /// Spawns a task.
    #[track_caller]
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        spawn_on(self.owner(), future, Location::caller())
    }

    /// The waker to poll the future of `block_on` with.
    pub(crate) fn root_waker(&self) -> &Waker {
        &self.root_waker
    }

    /// Queues the root, so that the next `run` calls its closure.
    pub(crate) fn schedule_root(&self) {
        self.root.clone().enqueue();
    }

    /// Takes in what other threads woke, then polls up to `budget` entries of the queue; `root` is called for the
    /// root's. Returns whether work is left.
    ///
    /// # Panics
    ///
    /// When called from within a task, and with what `root` panics.
    pub(crate) fn run(&self, budget: u32, root: &mut dyn FnMut()) -> bool {
        let owner = self.owner();
        assert!(
            owner.pulse().running() == NO_INDEX,
            "run called within a task"
        );
        self.drain();
        if owner.groups.is_used() {
            self.run_groups(budget, root);
        } else {
            for _ in 0..budget {
                let Some(task) = owner.queue.pop() else {
                    break;
                };
                // SAFETY: it was popped, and nothing was running.
                unsafe { turn(owner, &task, root) };
            }
        }
        self.has_queued() || self.has_woken()
    }

    /// As the loop in `run`, where tasks are in groups: each turn is timed, and given to whose it is.
    #[cold]
    fn run_groups(&self, budget: u32, root: &mut dyn FnMut()) {
        let owner = self.owner();
        owner.groups.note_end();
        let began = Instant::now();
        let mut before = began;
        for _ in 0..budget {
            let Some((task, whose)) = owner.groups.pop(&owner.queue) else {
                break;
            };
            // SAFETY: it was popped, and `run` has seen that nothing is running.
            unsafe { turn(owner, &task, root) };
            let now = Instant::now();
            owner.groups.charge(whose, now - before);
            before = now;
            if now - began > SLICE {
                break;
            }
        }
    }

    /// Whether tasks wait for their turn.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        let owner = self.owner();
        !owner.queue.is_empty() || owner.groups.is_used() && !owner.groups.is_empty()
    }

    /// Prepares a wait in the kernel. True: there is nothing to do, and the next wake from another thread calls
    /// `unpark`, and the pulse shows no stall. False: there is work.
    #[inline]
    pub(crate) fn prepare_park(&self) -> bool {
        let parks = !self.has_queued() && self.shared().remote.inbox.park();
        if parks {
            self.pulse().is_away();
        }
        parks
    }

    /// Whether another thread has woken a task.
    #[inline]
    pub(crate) fn has_woken(&self) -> bool {
        self.shared().remote.inbox.has_tasks()
    }

    /// Takes in what other threads woke during the wait.
    ///
    /// If nobody did, the mark of `prepare_park` stays, and the next park finds it there: that saves two locked
    /// instructions a turn, 10 ns. A wake that comes before that park also calls `unpark`, once, for nothing.
    #[inline]
    pub(crate) fn unparked(&self) {
        self.pulse().turns();
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
            owner.pulse().running() == NO_INDEX,
            "shutdown called within a task"
        );
        owner.closing.set(true);
        // New tasks do not stay in the list, so one pass over it is enough.
        let mut index = 0;
        while owner.task_count() > 0 {
            if let Some(task) = owner.task_at(index) {
                // SAFETY: the list holds tasks that are not DONE only (between two calls of ours), and nothing is
                // running, so its future is not being polled.
                unsafe { cancel(owner, &task) };
            }
            index += 1;
        }
    }

    /// How many tasks are alive. The root is not one.
    pub(crate) fn task_count(&self) -> usize {
        self.owner().task_count()
    }

    #[inline(always)]
    fn owner(&self) -> Owner<'_> {
        // SAFETY: the executor is not Send, so this is the owner thread, and `shared` lives as long as it does.
        unsafe { Owner::new(self.shared) }
    }

    #[inline(always)]
    fn shared(&self) -> &Shared {
        // SAFETY: `shared` lives as long as the executor does.
        unsafe { self.shared.as_ref() }
    }

    fn address(&self) -> *const () {
        self.shared.as_ptr().cast_const().cast()
    }

    #[inline]
    fn drain(&self) {
        if self.has_woken() {
            self.drain_woken();
        }
    }

    /// Moves what other threads woke to the run queue, first woken first, and ends the parked mark.
    fn drain_woken(&self) {
        for task in self.shared().remote.inbox.take() {
            // This must come first. A task that is DONE may live by the inbox's reference alone; any other has plain ones.
            // SAFETY: this is the owner thread.
            let local = unsafe { task.local_of_owner() };
            // Before the poll, so that a wake from now on queues it again.
            task.leave_inbox();
            if let Some(local) = local {
                local.enqueue();
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
        if ptr::eq(sync::current(), self.address()) {
            sync::set_current(ptr::null()); // A guard was forgotten. Nothing may find the executor any more.
        }
        // No code of a user runs from here on. Every task is DONE, and now the root is; so once the inbox is closed, nothing
        // can be queued, and the queue is emptied for good.
        self.root.flags.set(self.root.flags.get() | DONE);
        for task in self.shared().remote.inbox.close() {
            task.leave_inbox();
        }
        while self.owner().groups.pop(&self.owner().queue).is_some() {}
        // SAFETY: this is the owner thread, which has not entered the executor, whose only end this is. The root, which goes
        // last, uses no more of `shared` than each task.
        unsafe { Shared::executor_gone(self.shared) };
    }
}

/// This thread has entered an executor. Leaves it when dropped.
#[must_use = "the executor is left when this is dropped"]
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    shared: *const (),
    before: *const (),
    _executor: PhantomData<&'a Executor>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        end_turns();
        let left = sync::set_current(self.before);
        debug_assert!(ptr::eq(left, self.shared), "executors left out of order");
    }
}

/// The turn of a task that was popped from its queue, or of the root.
///
/// # Safety
///
/// No task is running.
#[inline(always)]
unsafe fn turn(owner: Owner<'_>, task: &LocalRef, root: &mut dyn FnMut()) {
    let flags = task.flags.get();
    task.flags.set(flags & !QUEUED);
    begin_turn();
    if flags & (DONE | ROOT) == 0 {
        owner.pulse().set_running(task.index);
        // SAFETY: not DONE; and as nothing is running, its future is not being polled. It does not unwind.
        unsafe { task.poll() };
        owner.pulse().set_running(NO_INDEX);
    } else if flags & ROOT != 0 {
        owner.pulse().run_root(root);
    }
}

/// Drops the future of a task, which answers that it was cancelled, as the one that `try_id` names.
///
/// # Safety
///
/// As for [`LocalRef::poll`].
unsafe fn cancel(owner: Owner<'_>, task: &LocalRef) {
    task.flags.set(task.flags.get() | ABORTED);
    let before = owner.pulse().running();
    owner.pulse().set_running(task.index);
    // SAFETY: passed on to the caller. It does not unwind, so `running` is restored.
    unsafe { task.poll() };
    owner.pulse().set_running(before);
}

/// Calls `f` with the executor that this thread has entered.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(super) fn on_entered<R>(f: impl FnOnce(Owner<'_>) -> R) -> R {
    match with_entered(f) {
        Some(result) => result,
        None => panic!(
            "spawn called outside a saferring runtime: call it inside Runtime::block_on or #[saferring::main]"
        ),
    }
}

/// [`spawn`], on the executor of `owner`.
#[inline]
pub(super) fn spawn_on<F: Future + 'static>(
    owner: Owner<'_>,
    future: F,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output> {
    spawn_with(owner, future, 0, None, place)
}

/// [`spawn_on`], for a task with a name, or with the flags of a group.
#[inline]
pub(super) fn spawn_with<F: Future + 'static>(
    owner: Owner<'_>,
    future: F,
    flags: u32,
    name: Option<Rc<str>>,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output> {
    let flags = flags | JOIN | if name.is_some() { NAMED } else { 0 };
    let flags = flags | if owner.pulse().is_noted() { NOTED } else { 0 };
    let task = TaskCell::allocate(owner, future, owner.vacant_index(), flags);
    if flags & NOTED != 0 {
        note(owner, task.index, name.as_deref(), place);
    }
    if name.is_some() {
        owner.set_name(task.index, name);
    }
    let index = owner.insert(task.clone());
    debug_assert_eq!(index, task.index as usize);
    // SAFETY: the task is new and marked JOIN, and `take` is of the future that it was made of.
    let handle = unsafe { JoinHandle::new(task.clone(), TaskCell::<F>::take) };
    if owner.closing.get() {
        // SAFETY: the task is new: not DONE, and not being polled. Nothing is borrowed here.
        unsafe { cancel(owner, &task) };
    } else {
        task.enqueue();
    }
    handle
}

#[cold]
fn note(owner: Owner<'_>, index: u32, name: Option<&str>, place: &'static Location<'static>) {
    let name = name.map(str::to_owned);
    owner.pulse().note(index, Some(Note { name, place }));
}

/// Runs a future as a task of its own, on this thread, beside the one that calls.
///
/// Returns a handle, to await its output or to abort it. The task runs whether or not the handle is awaited; drop the
/// handle to detach it. It first runs when its turn comes, not in this call. When the runtime is shutting down the
/// future is dropped at once, and the handle answers that it was cancelled.
///
/// # Panics
///
/// Outside a runtime.
///
/// ```no_run
/// #[saferring::main]
/// async fn main() -> std::io::Result<()> {
///     let answer = saferring::spawn(async { 6 * 7 });
///     println!("{}", answer.await?);
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let place = Location::caller();
    on_entered(|owner| spawn_on(owner, future, place))
}
