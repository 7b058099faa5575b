//! What an executor and its tasks share: the owner's own state, the inbox for other threads, and the count that
//! keeps both alive for as long as a task points here.

use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};

use slab::Slab;

use super::header::{DONE, Header, NO_INDEX, TaskPtr};
use super::queue::RunQueue;
use super::sync::{AtomicIsize, AtomicPtr, Cell, Ordering, is_owner};

/// Wakes the owner thread out of its wait in the kernel.
pub(crate) trait Unpark: Send + Sync + 'static {
    /// Called from any thread, at most once for each successful `Executor::prepare_park`.
    fn unpark(&self);
}

/// The inbox is empty, and the owner waits in the kernel, is about to, or has waited and was not woken from elsewhere: the
/// mark stays until a push takes it. No task has this address, being aligned.
const PARKED: *mut Header = ptr::without_provenance_mut(1);
/// The executor is gone.
const CLOSED: *mut Header = ptr::without_provenance_mut(2);

/// Where `Inbox::live` starts. No program frees as many tasks abroad, so the count cannot pass zero while the
/// executor lives; see `Shared::task_freed`.
const BIAS: isize = isize::MAX / 2;

pub(super) struct Shared {
    pub(super) owner: OwnerState,
    inbox: Inbox,
    unpark: Box<dyn Unpark>,
}

/// Touched by the owner thread only.
pub(super) struct OwnerState {
    pub(super) queue: RunQueue,
    tasks: UnsafeCell<Slab<TaskPtr>>,
    /// The task that is being polled or dropped.
    pub(super) running: Cell<Option<TaskPtr>>,
    /// Shutdown has begun: what is spawned is cancelled at once.
    pub(super) closing: Cell<bool>,
    /// Headers made, less those freed while this thread had entered the executor.
    balance: Cell<isize>,
}

/// Touched by any thread, so kept off the owner's cache lines.
#[repr(align(64))]
pub(super) struct Inbox {
    /// A stack of tasks that other threads woke, or null, PARKED or CLOSED.
    head: AtomicPtr<Header>,
    live: AtomicIsize,
}

impl Shared {
    pub(super) fn allocate(unpark: Box<dyn Unpark>) -> NonNull<Self> {
        let shared = Box::new(Self {
            owner: OwnerState {
                queue: RunQueue::new(),
                tasks: UnsafeCell::new(Slab::new()),
                running: Cell::new(None),
                closing: Cell::new(false),
                balance: Cell::new(0),
            },
            inbox: Inbox {
                head: AtomicPtr::new(ptr::null_mut()),
                live: AtomicIsize::new(BIAS),
            },
            unpark,
        });
        // SAFETY: a box is not null.
        unsafe { NonNull::new_unchecked(Box::into_raw(shared)) }
    }

    /// Counts a header out, and frees `shared` after the last one, if the executor is gone.
    ///
    /// `live` is a count with a bias, so that the owner need not touch it for each task. While the executor lives
    /// it is BIAS less the headers freed abroad, far above zero. The executor's end adds what the owner counted
    /// plainly, less BIAS; then it is the exact number of headers left, which only falls: one thread sees it reach
    /// zero, and that thread frees `shared`.
    ///
    /// # Safety
    ///
    /// A header that points to `shared` was freed, and is counted out by this call alone.
    pub(super) unsafe fn task_freed(shared: NonNull<Self>) {
        let raw = shared.as_ptr();
        if is_owner(shared) {
            // SAFETY: this thread has entered the executor, so it is the owner, and the executor lives.
            let balance = unsafe { &(*raw).owner.balance };
            balance.set(balance.get() - 1);
        // SAFETY: the header is not yet counted out, so `live` has not reached zero and `shared` lives.
        // AcqRel: what each thread did with `shared` comes before its end.
        } else if unsafe { (*raw).inbox.live.fetch_sub(1, Ordering::AcqRel) } == 1 {
            // SAFETY: the count has reached zero; see above.
            drop(unsafe { Box::from_raw(raw) });
        }
    }

    /// Hands the count over to whoever frees the last header, and frees `shared` if there is none.
    ///
    /// # Safety
    ///
    /// Called once, by the executor's end, with `shared` entered by nobody. The caller does not use it afterwards.
    pub(super) unsafe fn executor_gone(shared: NonNull<Self>) {
        let raw = shared.as_ptr();
        // SAFETY: `live` still has its bias, so `shared` lives; we are the owner thread.
        let left = unsafe {
            let balance = (*raw).owner.balance.get() - BIAS;
            (*raw).inbox.live.fetch_add(balance, Ordering::AcqRel) + balance
        };
        if left == 0 {
            // SAFETY: no header is left, and the executor is gone.
            drop(unsafe { Box::from_raw(raw) });
        }
    }
}

impl OwnerState {
    /// Counts a header that was made.
    #[inline]
    pub(super) fn task_made(&self) {
        self.balance.set(self.balance.get() + 1);
    }

    /// Runs `action` on the list of all tasks, which must not call code of a user.
    #[inline]
    fn with_tasks<R>(&self, action: impl FnOnce(&mut Slab<TaskPtr>) -> R) -> R {
        // SAFETY: `owner` is the owner thread's. The closures below call the slab and nothing else, so there is no
        // second borrow while this one lasts.
        action(unsafe { &mut *self.tasks.get() })
    }

    /// Puts a task into the list, and returns its index.
    ///
    /// # Panics
    ///
    /// With more than 2^32 - 1 tasks.
    #[inline]
    pub(super) fn insert(&self, task: TaskPtr) -> u32 {
        let index = self.with_tasks(|tasks| tasks.insert(task));
        match u32::try_from(index) {
            Ok(index) if index != NO_INDEX => index,
            _ => panic!("too many tasks"),
        }
    }

    #[inline]
    pub(super) fn remove(&self, index: u32) {
        self.with_tasks(|tasks| tasks.remove(index as usize));
    }

    pub(super) fn task_at(&self, index: usize) -> Option<TaskPtr> {
        self.with_tasks(|tasks| tasks.get(index).copied())
    }

    pub(super) fn task_count(&self) -> usize {
        self.with_tasks(|tasks| tasks.len())
    }

    /// Runs a function of the task's vtable, with the task as the one that `try_id` names.
    ///
    /// # Safety
    ///
    /// As the function of the vtable wants it: owner thread, the task lives and is not DONE.
    #[inline]
    pub(super) unsafe fn with_running(&self, task: TaskPtr, action: unsafe fn(TaskPtr)) {
        let before = self.running.replace(Some(task));
        // SAFETY: passed on to the caller. Functions of the vtable do not unwind, so `running` is restored.
        unsafe { action(task) };
        self.running.set(before);
    }
}

impl Inbox {
    /// Whether a look is worth its atomic exchange. May miss what another thread is just pushing.
    ///
    /// # Safety
    ///
    /// `shared` lives.
    #[inline(always)]
    pub(super) unsafe fn has_tasks(shared: NonNull<Shared>) -> bool {
        // SAFETY: `shared` lives, says the caller.
        let head = unsafe { (*shared.as_ptr()).inbox.head.load(Ordering::Relaxed) };
        !head.is_null() && head != PARKED
    }

    /// Hands a task and one reference to the inbox; wakes the owner if it is parked.
    ///
    /// # Safety
    ///
    /// The caller has just set IN_INBOX, and gives up one atomic reference. `kept` says that it holds another one
    /// until this returns.
    pub(super) unsafe fn push(task: TaskPtr, mut kept: bool) {
        // SAFETY: the reference that is given up keeps the task alive until the exchange below, and so `shared`.
        let shared = unsafe { task.header() }.shared.as_ptr();
        // SAFETY: as above. This reference is not used after the exchange.
        let inbox = unsafe { &(*shared).inbox.head };
        let mut extra = false;
        let mut head = inbox.load(Ordering::Relaxed);
        loop {
            if head == CLOSED {
                // IN_INBOX stays set: nobody listens, so later wakes may as well stop there.
                // SAFETY: the inbox does not take the reference, so it ends here.
                unsafe { task.release_ref() };
                break;
            }
            if head == PARKED && !kept {
                // After the exchange the owner may free the task, and end; `unpark` needs a reference of ours.
                // SAFETY: the reference that is given up is not gone yet.
                unsafe { task.add_ref() };
                (kept, extra) = (true, true);
            }
            let next = if head == PARKED {
                ptr::null_mut()
            } else {
                head
            };
            // SAFETY: IN_INBOX is ours: until the exchange nobody else touches `inbox_next` or lets go of the task.
            unsafe { Self::set_next(task, next) };
            // Release publishes `inbox_next`; the exchanges of later pushes carry it on to the drain.
            match inbox.compare_exchange_weak(
                head,
                task.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) if head == PARKED => {
                    // SAFETY: a reference to the task is kept, and the task keeps `shared`.
                    unsafe { (*shared).unpark.unpark() };
                    break;
                }
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        if extra {
            // SAFETY: it was added above, and `shared` is not used any more.
            unsafe { task.release_ref() };
        }
    }

    /// Moves what other threads woke to the run queue, first woken first, and ends PARKED.
    ///
    /// # Safety
    ///
    /// Owner thread; the executor lives.
    pub(super) unsafe fn drain(shared: NonNull<Shared>) {
        // SAFETY: the executor lives.
        let inbox = unsafe { &(*shared.as_ptr()).inbox.head };
        // Acquire: see `push`.
        let list = inbox.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: the swap made the list ours, with a reference to each task in it.
        unsafe {
            Self::for_each(list, |task| {
                // This must be read first. A task that is DONE may live by the inbox's reference alone; any other is
                // also held by the list of all tasks, so it outlives the next line.
                let done = task.header().flags.get() & DONE != 0;
                // Before the poll, so that a wake from now on queues it again.
                task.release_from_inbox();
                if !done {
                    task.enqueue();
                }
            });
        }
    }

    /// Refuses all wakes from now on.
    ///
    /// # Safety
    ///
    /// Owner thread; every task is DONE.
    pub(super) unsafe fn close(shared: NonNull<Shared>) {
        // SAFETY: the executor has not handed its count over, so `shared` lives.
        let inbox = unsafe { &(*shared.as_ptr()).inbox.head };
        let list = inbox.swap(CLOSED, Ordering::Acquire);
        // SAFETY: the swap made the list ours, with a reference to each task in it, which ends here.
        unsafe { Self::for_each(list, |task| task.release_from_inbox()) };
    }

    /// Marks an empty inbox PARKED. False: it is not empty.
    ///
    /// # Safety
    ///
    /// Owner thread; the executor lives.
    #[inline]
    pub(super) unsafe fn park(shared: NonNull<Shared>) -> bool {
        // SAFETY: the executor lives.
        let inbox = unsafe { &(*shared.as_ptr()).inbox.head };
        // Still marked from the park before: only the owner marks, and a push takes the mark away.
        if inbox.load(Ordering::Relaxed) == PARKED {
            return true;
        }
        // Relaxed: PARKED publishes nothing, and a list that is found instead is left alone.
        let parked = inbox.compare_exchange(
            ptr::null_mut(),
            PARKED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        parked.is_ok()
    }

    /// Calls `action` for each task of a list that was swapped out, oldest first. `action` may free the task.
    ///
    /// # Safety
    ///
    /// `list` is what a swap of `head` returned, and the caller's alone.
    unsafe fn for_each(list: *mut Header, mut action: impl FnMut(TaskPtr)) {
        if list == PARKED {
            return;
        }
        // A stack has the newest first: turn it round.
        let (mut rest, mut turned) = (NonNull::new(list), ptr::null_mut());
        while let Some(raw) = rest {
            // SAFETY: tasks in the list live, and IN_INBOX keeps others away from `inbox_next`.
            rest = NonNull::new(unsafe { Self::next(TaskPtr::new(raw)) });
            // SAFETY: as above.
            unsafe { Self::set_next(TaskPtr::new(raw), turned) };
            turned = raw.as_ptr();
        }
        let mut rest = NonNull::new(turned);
        while let Some(raw) = rest {
            let task = TaskPtr::new(raw);
            // SAFETY: as above. Read before `action`, which lets go of the task and of `inbox_next`.
            rest = NonNull::new(unsafe { Self::next(task) });
            action(task);
        }
    }

    /// # Safety
    ///
    /// The task lives, and `inbox_next` is the caller's.
    unsafe fn next(task: TaskPtr) -> *mut Header {
        // SAFETY: passed on to the caller.
        unsafe { task.header().inbox_next.with(|slot| *slot) }
    }

    /// # Safety
    ///
    /// The task lives, and `inbox_next` is the caller's.
    unsafe fn set_next(task: TaskPtr, next: *mut Header) {
        // SAFETY: passed on to the caller.
        unsafe { task.header().inbox_next.with_mut(|slot| *slot = next) }
    }
}
