//! What an executor and its tasks share: the owner's own state, the inbox for other threads, and the count that keeps
//! both alive for as long as a task points here.
//!
//! `L` is the owner's reference to a task, and `R` that of other threads.

use std::cell::{RefCell, UnsafeCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;

use slab::Slab;

use super::group::Groups;
use super::inbox::{Inbox, Node};
use super::pulse::{NO_INDEX, Pulse};
use super::queue::{Link, RunQueue};
use super::sync::{AtomicIsize, Cell, Ordering, is_current};

/// Wakes the owner thread out of its wait in the kernel.
pub(crate) trait Unpark: Send + Sync + 'static {
    /// Called from any thread, at most once for each successful `Executor::prepare_park`.
    fn unpark(&self);
}

/// Where `Remote::live` starts. No program frees as many tasks abroad, so the count cannot pass zero while the
/// executor lives; see `Shared::task_freed`.
const BIAS: isize = isize::MAX / 2;

pub(super) struct Shared<L, R: Node> {
    owned: Owned<L>,
    pub(super) remote: Remote<R>,
    /// Which task has its turn, and what else other threads may see of the owner.
    pub(super) pulse: Pulse,
    pub(super) unpark: Box<dyn Unpark>,
}

/// Touched by the owner thread only, through [`Owner`].
pub(super) struct Owned<L> {
    /// Of the tasks that are in no group.
    pub(super) queue: RunQueue<L>,
    pub(super) groups: Groups<L>,
    /// By index, of those tasks that have one.
    names: RefCell<HashMap<u32, Rc<str>>>,
    tasks: UnsafeCell<Slab<L>>,
    /// Shutdown has begun: what is spawned is cancelled at once.
    pub(super) closing: Cell<bool>,
    /// Headers made, less those freed while this thread had entered the executor.
    balance: Cell<isize>,
}

/// Touched by any thread, so kept off the owner's cache lines.
#[repr(align(64))]
pub(super) struct Remote<R: Node> {
    pub(super) inbox: Inbox<R>,
    live: AtomicIsize,
}

impl<L: Link + Clone, R: Node> Shared<L, R> {
    pub(super) fn allocate(unpark: Box<dyn Unpark>, pulse: Pulse) -> NonNull<Self> {
        let shared = Box::new(Self {
            owned: Owned {
                queue: RunQueue::new(),
                groups: Groups::new(),
                names: RefCell::default(),
                tasks: UnsafeCell::new(Slab::new()),
                closing: Cell::new(false),
                balance: Cell::new(0),
            },
            remote: Remote {
                inbox: Inbox::new(),
                live: AtomicIsize::new(BIAS),
            },
            pulse,
            unpark,
        });
        NonNull::from(Box::leak(shared))
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
        if is_current(shared) {
            // SAFETY: this thread has entered the executor, so it is the owner, and the executor lives.
            let owner = unsafe { Owner::new(shared) };
            owner.balance.set(owner.balance.get() - 1);
        } else {
            // SAFETY: the header is not yet counted out, so the count has not reached zero.
            unsafe { Self::count(shared, -1) };
        }
    }

    /// Hands the count over to whoever frees the last header, and frees `shared` if there is none.
    ///
    /// # Safety
    ///
    /// Called once, by the executor's end, on the owner thread, with `shared` entered by nobody. The executor does not
    /// use it afterwards.
    pub(super) unsafe fn executor_gone(shared: NonNull<Self>) {
        // SAFETY: the count still has its bias, so `shared` lives; the caller is the owner thread.
        let balance = unsafe { Owner::new(shared) }.balance.get();
        // SAFETY: as above.
        unsafe { Self::count(shared, balance - BIAS) };
    }

    /// # Safety
    ///
    /// What is added stands for what the caller knows to be alive or gone, and the count is not zero before.
    unsafe fn count(shared: NonNull<Self>, change: isize) {
        // AcqRel: what each thread did with `shared` comes before its end.
        // SAFETY: the count is not zero, so `shared` lives.
        let before = unsafe { &(*shared.as_ptr()).remote.live }.fetch_add(change, Ordering::AcqRel);
        if before + change == 0 {
            // SAFETY: `allocate` boxed it; the count has reached zero, so no header is left and the executor is gone.
            drop(unsafe { Box::from_raw(shared.as_ptr()) });
        }
    }
}

/// An executor as its owner thread sees it.
pub(super) struct Owner<'a, L, R: Node> {
    // Invariant: this is the owner thread (the type is not Send), and `shared` lives for `'a`.
    shared: NonNull<Shared<L, R>>,
    _lives: PhantomData<&'a Shared<L, R>>,
}

impl<'a, L, R: Node> Owner<'a, L, R> {
    /// # Safety
    ///
    /// This is the owner thread of `shared`, which lives for as long as the value is used.
    #[inline(always)]
    pub(super) unsafe fn new(shared: NonNull<Shared<L, R>>) -> Self {
        Self {
            shared,
            _lives: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn shared(self) -> NonNull<Shared<L, R>> {
        self.shared
    }

    #[inline(always)]
    pub(super) fn pulse(self) -> &'a Pulse {
        // SAFETY: the type's invariant. Nobody makes a `&mut` of it.
        unsafe { &(*self.shared.as_ptr()).pulse }
    }
}

impl<L, R: Node> Clone for Owner<'_, L, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L, R: Node> Copy for Owner<'_, L, R> {}

impl<'a, L, R: Node> Deref for Owner<'a, L, R> {
    type Target = Owned<L>;

    #[inline(always)]
    fn deref(&self) -> &Owned<L> {
        // SAFETY: the type's invariant. Nobody makes a `&mut` of it: all that changes is in cells.
        unsafe { &(*self.shared.as_ptr()).owned }
    }
}

impl<L: Clone> Owned<L> {
    /// Counts a header that was made.
    #[inline]
    pub(super) fn task_made(&self) {
        self.balance.set(self.balance.get() + 1);
    }

    /// Runs `action` on the list of all tasks. It must not call code of a user, and so drops no task.
    #[inline]
    fn with_tasks<R>(&self, action: impl FnOnce(&mut Slab<L>) -> R) -> R {
        // SAFETY: this is the owner thread. The closures below call the slab and nothing else, so there is no second
        // borrow while this one lasts.
        action(unsafe { &mut *self.tasks.get() })
    }

    /// The index that the next task in the list gets.
    ///
    /// # Panics
    ///
    /// With more than 2^32 - 1 tasks.
    #[inline]
    pub(super) fn vacant_index(&self) -> u32 {
        match u32::try_from(self.with_tasks(|tasks| tasks.vacant_key())) {
            Ok(index) if index != NO_INDEX => index,
            _ => panic!("too many tasks"),
        }
    }

    /// Puts a task into the list, and returns its index.
    #[inline]
    pub(super) fn insert(&self, task: L) -> usize {
        self.with_tasks(|tasks| tasks.insert(task))
    }

    #[inline]
    pub(super) fn remove(&self, index: u32) -> L {
        self.with_tasks(|tasks| tasks.remove(index as usize))
    }

    pub(super) fn name_of(&self, index: u32) -> Option<Rc<str>> {
        self.names.borrow().get(&index).cloned()
    }

    /// Names a task, or takes its name away.
    pub(super) fn set_name(&self, index: u32, name: Option<Rc<str>>) {
        let mut names = self.names.borrow_mut();
        match name {
            Some(name) => names.insert(index, name),
            None => names.remove(&index),
        };
    }

    pub(super) fn task_at(&self, index: usize) -> Option<L> {
        self.with_tasks(|tasks| tasks.get(index).cloned())
    }

    pub(super) fn task_count(&self) -> usize {
        self.with_tasks(|tasks| tasks.len())
    }
}
