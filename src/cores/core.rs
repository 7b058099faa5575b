//! A core, as its own tasks see it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::outbox::{Flusher, Outbox};
use super::room::{Room, Taken};
use super::shared::{Phase, Shared, lock};
use crate::foreign;
use crate::runtime::{self, Message, Runtime};
use crate::sync::local::Notify;

thread_local! {
    static CURRENT: RefCell<Option<Core>> = const { RefCell::new(None) };
}

/// One of the cores that [`Cores::run`](super::Cores::run) has started: the thread's own, with ways to the others.
///
/// It is given to the closure, and [`Core::current`] gives it anywhere on its thread. A clone is the same core.
#[derive(Clone)]
pub struct Core(Rc<Inner>);

struct Inner {
    id: usize,
    shared: Arc<Shared>,
    outbox: Rc<Outbox>,
    /// For requests to each core.
    rooms: Box<[Room]>,
    /// Of the calls from each core.
    taken: Box<[Taken]>,
    /// What the core keeps for others of this module, by number.
    locals: RefCell<Vec<Option<Kept>>>,
    /// Of those, what is being made.
    making: RefCell<Vec<usize>>,
    stop: Notify,
    /// It was told to stop.
    is_told: Cell<bool>,
    /// Somebody here wants to know when to stop.
    watches: Cell<bool>,
    cut: Notify,
    is_cut: Cell<bool>,
}

/// Something that a core keeps: one end of a mesh, its part of a sharded state.
pub(super) trait Local: Any {
    /// Another core has ended.
    fn core_ended(&self, _core: usize) {}
    /// It runs again.
    fn core_restarted(&self, _core: usize) {}
}

/// It twice: for whoever knows its type, and for who tells it of others.
struct Kept {
    any: Rc<dyn Any>,
    local: Rc<dyn Local>,
}

impl Core {
    /// The core that the calling thread is.
    ///
    /// # Panics
    ///
    /// If it is none: outside of [`Cores::run`](super::Cores::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::cores::{Core, Cores, Placement};
    ///
    /// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
    /// let ids = cores.run(async |_core| Ok::<_, std::io::Error>(Core::current().id()))?;
    /// assert_eq!(ids, [0]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn current() -> Core {
        match Core::try_current() {
            Some(core) => core,
            None => panic!(
                "this thread is no core: call it in the closure of Cores::run, or in a task that was spawned there"
            ),
        }
    }

    /// The core that the calling thread is, if it is one.
    pub fn try_current() -> Option<Core> {
        CURRENT
            .try_with(|current| current.borrow().clone())
            .ok()
            .flatten()
    }

    /// Its number: from 0 on, below [`count`](Core::count).
    pub fn id(&self) -> usize {
        self.0.id
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.0.shared.seats.len()
    }

    /// The CPU that it was to be kept on, if it was.
    pub fn cpu(&self) -> Option<usize> {
        lock(&self.0.shared.seats[self.0.id].report).cpu
    }

    /// The runtime of this core, for other threads.
    pub fn handle(&self) -> runtime::Handle {
        runtime::Handle::of(&self.0.shared.seats[self.0.id].inbox)
    }

    /// Completes when the cores are to stop: by a signal, by [`Handle::shutdown`](super::Handle::shutdown), or because another core
    /// has failed. What is to end in order ends then, within the grace period; whoever never asks is cut off at once.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it stays true.
    pub async fn stopping(&self) {
        self.0.watches.set(true);
        let notified = self.0.stop.notified();
        if self.is_stopping() {
            return;
        }
        notified.await;
    }

    /// Whether the cores are to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.watches.set(true);
        self.0.shared.phase() >= Phase::Stopping
    }

    /// How many connections each core serves now, of those that [`serve`](Core::serve) has accepted.
    pub fn connections(&self) -> Vec<usize> {
        self.0.shared.connections()
    }
}

/// For this module.
impl Core {
    /// Makes the calling thread, which is in this runtime, this core until the guard is dropped.
    pub(super) fn enter(id: usize, shared: &Arc<Shared>, runtime: &Runtime) -> Entered {
        let outbox = Outbox::new(shared);
        let core = Core(Rc::new(Inner {
            id,
            shared: Arc::clone(shared),
            outbox: Rc::clone(&outbox),
            rooms: Room::all(shared.seats.len(), shared.requests),
            taken: shared.seats.iter().map(|_| Taken::default()).collect(),
            locals: RefCell::default(),
            making: RefCell::default(),
            stop: Notify::new(),
            is_told: Cell::new(false),
            watches: Cell::new(false),
            cut: Notify::new(),
            is_cut: Cell::new(false),
        }));
        for (to, room) in core.rooms().iter().enumerate() {
            shared.credits.between(id, to).count.begin(room);
        }
        runtime.spawn_own(Flusher(outbox));
        CURRENT.set(Some(core.clone()));
        Entered(core)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(super) fn rooms(&self) -> &[Room] {
        &self.0.rooms
    }

    /// In which lot goes what is sent to core `to` now.
    pub(super) fn lot(&self, to: usize) -> u64 {
        self.0.outbox.lot(to)
    }

    /// What this core has taken of the calls from core `from`.
    pub(super) fn taken(&self, from: usize) -> &Taken {
        &self.0.taken[from]
    }

    /// Sends a message to another core, or to this one.
    pub(super) fn send(&self, to: usize, message: Message) {
        self.0.outbox.send(to, message);
    }

    /// What it keeps under `number`, made when it is first asked for. With nothing borrowed: `make` may be a user's.
    ///
    /// # Panics
    ///
    /// If `make` asks for it as well.
    #[inline]
    #[track_caller]
    pub(super) fn local<T: Local>(&self, number: usize, make: impl FnOnce() -> T) -> Rc<T> {
        match self.existing(number) {
            Some(found) => found,
            None => self.make_local(number, make),
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn make_local<T: Local>(&self, number: usize, make: impl FnOnce() -> T) -> Rc<T> {
        let making = Making::begin(&self.0.making, number);
        let made = Rc::new(make());
        drop(making);
        let mut locals = self.0.locals.borrow_mut();
        if locals.len() <= number {
            locals.resize_with(number + 1, || None);
        }
        locals[number] = Some(Kept {
            any: Rc::clone(&made) as Rc<dyn Any>,
            local: Rc::clone(&made) as Rc<dyn Local>,
        });
        made
    }

    /// What it keeps under `number`, if it keeps anything.
    #[inline]
    pub(super) fn existing<T: Local>(&self, number: usize) -> Option<Rc<T>> {
        let found = Rc::clone(&self.0.locals.borrow().get(number)?.as_ref()?.any);
        match found.downcast() {
            Ok(found) => Some(found),
            Err(_) => unreachable!("a number is given to one thing, which has one type"),
        }
    }

    /// Takes away what it keeps under `number`.
    pub(super) fn remove(&self, number: usize) {
        let removed = self
            .0
            .locals
            .borrow_mut()
            .get_mut(number)
            .and_then(Option::take);
        drop(removed);
    }

    fn all_locals(&self) -> Vec<Rc<dyn Local>> {
        let locals = self.0.locals.borrow();
        let kept = locals.iter().flatten();
        kept.map(|kept| Rc::clone(&kept.local)).collect()
    }

    /// Another core has ended: nobody waits for room there any more.
    pub(super) fn note_ended(&self, core: usize) {
        self.0.rooms[core].close();
        for local in self.all_locals() {
            local.core_ended(core);
        }
    }

    /// Another core has ended, and runs again: who waits for room there is told that it has ended.
    pub(super) fn note_restarted(&self, core: usize) {
        self.0.rooms[core].reopen();
        for local in self.all_locals() {
            local.core_restarted(core);
        }
    }

    /// The cores are to stop. Whether anybody here wants to know; `None` if that was asked before.
    pub(super) fn note_stopping(&self) -> Option<bool> {
        if self.0.is_told.replace(true) {
            return None;
        }
        self.0.stop.notify_waiters();
        Some(self.0.watches.get())
    }

    /// What is left here is to be cut off.
    pub(super) fn cut_off(&self) {
        self.0.is_cut.set(true);
        self.0.cut.notify_waiters();
    }

    /// Completes when what is left here is to be cut off.
    pub(super) async fn cut(&self) {
        let notified = self.0.cut.notified();
        if !self.0.is_cut.get() && self.0.shared.phase() < Phase::Cut {
            notified.await;
        }
    }
}

/// Something is being made, until this is dropped.
struct Making<'a>(&'a RefCell<Vec<usize>>);

impl<'a> Making<'a> {
    #[track_caller]
    fn begin(making: &'a RefCell<Vec<usize>>, number: usize) -> Self {
        assert!(
            !making.borrow().contains(&number),
            "what makes the value of a PerCore asks for that value: it is there when it is made"
        );
        making.borrow_mut().push(number);
        Making(making)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().pop();
    }
}

/// The calling thread is a core.
pub(super) struct Entered(pub(super) Core);

/// How often what is made while other things are dropped is dropped in its turn; as often as POSIX does it for a thread.
const DROP_ROUNDS: usize = 4;

impl Entered {
    /// Drops what the core keeps, what was made last first.
    fn drop_locals(&self) {
        let locals = &self.0.0.locals;
        let count = locals.borrow().len();
        for number in (0..count).rev() {
            let local = locals.borrow_mut()[number].take();
            foreign::guarded(|| drop(local));
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // What users keep may use the core while it is dropped, and so make more.
        for _ in 0..DROP_ROUNDS {
            self.drop_locals();
        }
        let left = CURRENT.take();
        // Whoever asks now is told that this is no core.
        self.drop_locals();
        drop(left);
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("id", &self.id())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
