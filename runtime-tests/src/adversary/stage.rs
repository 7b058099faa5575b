//! What the adversary can lay hands on: the futures, descriptors and runtimes of one small program.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use saferring::runtime::{Builder, Runtime};

use super::{Act, Flag, planned, wake_all};

/// A future of the stage.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// A descriptor's owner, which may be taken away.
#[derive(Debug)]
pub struct Held<S>(Rc<RefCell<Option<S>>>);

impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        Held(Rc::clone(&self.0))
    }
}

impl<S: 'static> Held<S> {
    /// Holds it.
    pub fn new(owner: S) -> Self {
        Held(Rc::new(RefCell::new(Some(owner))))
    }

    /// Uses it, if it is still there. `work` must not run foreign code.
    pub fn with<R>(&self, work: impl FnOnce(&S) -> R) -> Option<R> {
        self.0.borrow().as_ref().map(work)
    }

    /// Takes it out.
    pub fn take(&self) -> Option<S> {
        self.0.borrow_mut().take()
    }

    /// Puts back what was taken out.
    pub fn put(&self, owner: S) {
        let before = self.0.borrow_mut().replace(owner);
        debug_assert!(before.is_none(), "nobody else has it");
    }
}

/// Drops a descriptor's owner, or if told to makes the future that closes it.
pub type Descriptor = Box<dyn Fn(bool) -> Option<Task>>;

struct Slot {
    future: Option<Task>,
    flag: Flag,
    done: bool,
}

/// The program that the adversary disturbs. One is on a thread at a time.
#[derive(Default)]
pub struct Stage {
    slots: RefCell<Vec<Slot>>,
    descriptors: RefCell<Vec<Descriptor>>,
    runtime: RefCell<Option<Rc<Runtime>>>,
    other: RefCell<Option<Rc<Runtime>>>,
    faults: RefCell<Vec<String>>,
    lost: Cell<u32>,
    closed: Cell<bool>,
    dropped: Cell<bool>,
    refused: Cell<bool>,
    moved: Cell<bool>,
}

impl Stage {
    /// Makes this thread's place for a stage, which is gone at its end before those that were made before.
    pub fn touch() {
        STAGE.with(|_| ());
    }

    /// Puts a new stage, with a runtime, on this thread.
    pub fn enter(runtime: Runtime) -> Rc<Self> {
        let stage = Rc::new(Stage::default());
        *stage.runtime.borrow_mut() = Some(Rc::new(runtime));
        STAGE.set(Some(Rc::clone(&stage)));
        stage
    }

    /// Takes the stage off this thread.
    pub fn leave() {
        STAGE.set(None);
    }

    /// The runtime. If the first is gone, another one.
    pub fn runtime(&self) -> Rc<Runtime> {
        let mut runtime = self.runtime.borrow_mut();
        let runtime = runtime.get_or_insert_with(|| Rc::new(make_runtime()));
        Rc::clone(runtime)
    }

    /// Takes the runtime out.
    pub fn take_runtime(&self) -> Option<Rc<Runtime>> {
        self.runtime.borrow_mut().take()
    }

    /// Lets go of the runtime, and says so.
    pub fn lose_runtime(&self) {
        let runtime = self.take_runtime();
        self.lost.set(self.losses() + u32::from(runtime.is_some()));
        drop(runtime);
    }

    /// Brings on another runtime.
    pub fn set_other(&self, other: Runtime) {
        *self.other.borrow_mut() = Some(Rc::new(other));
    }

    /// Takes that out.
    pub fn take_other(&self) -> Option<Rc<Runtime>> {
        self.other.borrow_mut().take()
    }

    /// Whether the first runtime is gone.
    pub fn is_lost(&self) -> bool {
        self.losses() > 0
    }

    /// How many runtimes are gone.
    pub fn losses(&self) -> u32 {
        self.lost.get()
    }

    /// Whether descriptors were dropped or closed.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Notes that.
    pub fn set_closed(&self) {
        self.closed.set(true);
    }

    /// Whether the adversary has dropped futures.
    pub fn is_dropped(&self) -> bool {
        self.dropped.get()
    }

    /// Whether a future was polled outside a runtime that needs one.
    pub fn is_refused(&self) -> bool {
        self.refused.get()
    }

    /// Whether futures were polled in a runtime that may not run any more.
    pub fn is_moved(&self) -> bool {
        self.moved.get()
    }

    /// Notes what must not be.
    pub fn fault(&self, fault: impl Into<String>) {
        self.faults.borrow_mut().push(fault.into());
    }

    /// All that was noted.
    pub fn faults(&self) -> Vec<String> {
        self.faults.borrow().clone()
    }

    /// Adds a future.
    pub fn add(&self, future: Task) {
        self.slots.borrow_mut().push(Slot {
            future: Some(future),
            flag: Flag::default(),
            done: false,
        });
    }

    /// Adds a descriptor.
    pub fn add_descriptor(&self, descriptor: Descriptor) {
        self.descriptors.borrow_mut().push(descriptor);
    }

    /// How many futures there are or were.
    pub fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Whether there never was one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a future is there, and neither ready nor at work.
    pub fn is_pending(&self, index: usize) -> bool {
        self.slots.borrow()[index].future.is_some()
    }

    /// Whether it was ready, of its own.
    pub fn is_done(&self, index: usize) -> bool {
        self.slots.borrow()[index].done
    }

    /// Whether it was woken since the last poll.
    pub fn was_woken(&self, index: usize) -> bool {
        self.slots.borrow()[index].flag.take()
    }

    /// Polls a future, with a waker of its own, unless it is at work or gone. One that is ready or panics is dropped.
    pub fn poll(&self, index: usize) -> Option<Poll<()>> {
        let (mut future, flag) = {
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[index];
            (slot.future.take()?, slot.flag.clone())
        };
        flag.take();
        let waker = flag.waker();
        let polled = planned(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        let polled = match polled {
            Ok(Some(Poll::Pending)) => {
                let mut slots = self.slots.borrow_mut();
                slots[index].future = Some(future);
                Some(Poll::Pending)
            }
            Ok(Some(Poll::Ready(()))) => {
                self.slots.borrow_mut()[index].done = true;
                self.discard(future);
                Some(Poll::Ready(()))
            }
            Ok(None) => {
                self.discard(future);
                None
            }
            Err(message) => {
                // What has to submit something says so.
                if message.contains("outside a saferring runtime") {
                    self.refused.set(true);
                } else {
                    self.fault(format!("future {index} panicked: {message}"));
                }
                self.discard(future);
                None
            }
        };
        self.discard(waker);
        polled
    }

    /// Polls all of them.
    pub fn poll_all(&self) {
        for index in 0..self.len() {
            self.poll(index);
        }
    }

    /// Drops what may panic as planned.
    pub fn discard<T>(&self, value: T) {
        if let Err(message) = planned(|| drop(value)) {
            self.fault(format!("a drop panicked: {message}"));
        }
    }

    /// Drops all futures that are not at work.
    pub fn drop_all(&self) {
        for index in 0..self.len() {
            let future = self.slots.borrow_mut()[index].future.take();
            self.discard(future);
        }
    }

    /// Drops all descriptors.
    pub fn drop_descriptors(&self) {
        let descriptors = self.descriptors.take();
        for descriptor in descriptors {
            let _ = descriptor(false);
        }
    }

    fn begin_close(&self) {
        let descriptors = self.descriptors.take();
        for descriptor in descriptors {
            if let Some(closing) = descriptor(true) {
                self.add(closing);
                self.poll(self.len() - 1);
            }
        }
    }

    /// Runs a runtime for a little, which is refused within another.
    pub fn block_on(&self, runtime: &Runtime) {
        let ran = planned(|| {
            runtime.block_on(async {
                self.moved.set(true);
                let _ = saferring::op::nop().await;
                self.poll_all();
                let _ = saferring::op::nop().await;
            });
        });
        match ran {
            Err(message) if message.contains("running on this thread already") => {}
            Err(message) => self.fault(format!("block_on: {message}")),
            Ok(None) => self.fault("a planned panic came out of block_on"),
            Ok(Some(())) => {}
        }
    }

    fn perform(&self, act: Act) {
        match act {
            Act::Panic => {}
            Act::PollOthers => self.poll_all(),
            Act::DropOthers => {
                self.dropped.set(true);
                self.drop_all();
            }
            Act::SpawnAndAbort => {
                let runtime = self.runtime.borrow().clone();
                if let Some(runtime) = runtime {
                    let task = runtime.spawn(std::future::pending::<()>());
                    task.abort();
                    let _ = task.is_finished();
                }
            }
            Act::BlockOnThis => {
                let runtime = self.runtime.borrow().clone();
                if let Some(runtime) = runtime {
                    self.block_on(&runtime);
                }
            }
            Act::BlockOnOther => {
                let other = self.other.borrow().clone();
                if let Some(other) = other {
                    self.block_on(&other);
                }
            }
            Act::DropRuntime => self.lose_runtime(),
            Act::ShutDown => self.shut_down(),
            Act::DropOther => drop(self.take_other()),
            Act::DropDescriptors => {
                self.set_closed();
                self.drop_descriptors();
            }
            Act::BeginClose => {
                self.set_closed();
                self.begin_close();
            }
            Act::WakeAll => wake_all(),
        }
    }

    fn shut_down(&self) {
        match self.take_runtime().map(Rc::try_unwrap) {
            Some(Ok(runtime)) => {
                self.lost.set(self.losses() + 1);
                if let Err(left) = runtime.shutdown_timeout(Duration::from_secs(5)) {
                    self.fault(format!("shut down with {left:?} left"));
                }
            }
            Some(Err(shared)) => *self.runtime.borrow_mut() = Some(shared),
            None => {}
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("futures", &self.len())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// How long the registered buffers are of a runtime that [`make_runtime`] makes.
pub const FIXED_SIZE: usize = 8;
/// How many there are.
pub const FIXED_COUNT: u32 = 4;

/// A runtime of small queues and few buffers, so that both run out.
///
/// # Panics
///
/// If there is no ring to be had.
pub fn make_runtime() -> Runtime {
    let runtime = Builder::new()
        .entries(16)
        .provided_buffers(512, 4, 1)
        .fixed_buffers(FIXED_SIZE, FIXED_COUNT)
        .shutdown_grace(Duration::from_secs(5))
        .build();
    match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Performs the act with what is on this thread, unless one is being performed; says whether it did.
pub(super) fn perform(act: Act) -> bool {
    if DEPTH.get() > 0 {
        return false;
    }
    DEPTH.set(1);
    // It may be gone at the end of its thread.
    let stage = STAGE.try_with(|stage| stage.borrow().clone());
    match stage.ok().flatten() {
        Some(stage) => {
            if let Err(message) = planned(|| stage.perform(act)) {
                stage.fault(format!("{act:?} panicked: {message}"));
            }
        }
        None => elsewhere(act),
    }
    DEPTH.set(0);
    true
}

/// What can be done on a thread that has no part in the program.
fn elsewhere(act: Act) {
    match act {
        Act::SpawnAndAbort | Act::BlockOnThis | Act::BlockOnOther | Act::DropRuntime => {
            let runtime = make_runtime();
            let task = runtime.spawn(std::future::pending::<()>());
            task.abort();
            // The crate may know that it runs a runtime there, although there is no stage any more.
            match planned(|| runtime.block_on(saferring::op::nop())) {
                Err(message) if message.contains("running on this thread already") => {}
                ran => assert!(matches!(ran, Ok(Some(Ok(())))), "{ran:?}"),
            }
        }
        Act::WakeAll => wake_all(),
        _ => {}
    }
}
