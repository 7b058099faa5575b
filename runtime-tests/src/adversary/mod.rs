//! Foreign code that does the worst it may: at a chosen [`Point`] where the crate runs code of a user it performs a chosen
//! [`Act`].
//!
//! One trap is set at a time in a process ([`set`]): tests that use it run in a child of their own.

mod stage;
mod waker;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

pub use stage::{Descriptor, FIXED_COUNT, FIXED_SIZE, Held, Stage, Task, make_runtime};
pub use waker::{Flag, wakers_alive};

/// Where foreign code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The clone of a waker.
    WakerClone,
    /// A wake that uses the waker up.
    Wake,
    /// A wake that leaves the waker.
    WakeByRef,
    /// The drop of a waker.
    WakerDrop,
    /// The drop of a buffer.
    BufferDrop,
    /// The drop of a task's future.
    FutureDrop,
    /// The drop of what a task has given.
    OutputDrop,
    /// A job on a blocking thread.
    Job,
    /// The drop of what such a job holds.
    CaptureDrop,
    /// The drop of what it has given.
    ResultDrop,
    /// Somebody else's file is asked for its descriptor.
    AsFd,
    /// The drop of such a file.
    FileDrop,
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 12] = [
        Point::WakerClone,
        Point::Wake,
        Point::WakeByRef,
        Point::WakerDrop,
        Point::BufferDrop,
        Point::FutureDrop,
        Point::OutputDrop,
        Point::Job,
        Point::CaptureDrop,
        Point::ResultDrop,
        Point::AsFd,
        Point::FileDrop,
    ];
}

/// What it does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Panics.
    Panic,
    /// Polls all futures of the stage but the one that is at work.
    PollOthers,
    /// Drops them.
    DropOthers,
    /// Spawns a task, and aborts it.
    SpawnAndAbort,
    /// Runs the runtime.
    BlockOnThis,
    /// Runs another one.
    BlockOnOther,
    /// Lets go of the runtime.
    DropRuntime,
    /// Shuts the runtime down, if nobody else holds it.
    ShutDown,
    /// Drops the other runtime, which has a read in flight.
    DropOther,
    /// Drops the descriptors.
    DropDescriptors,
    /// Begins to close them.
    BeginClose,
    /// Wakes all tasks.
    WakeAll,
}

impl Act {
    /// All of them.
    pub const ALL: [Act; 12] = [
        Act::Panic,
        Act::PollOthers,
        Act::DropOthers,
        Act::SpawnAndAbort,
        Act::BlockOnThis,
        Act::BlockOnOther,
        Act::DropRuntime,
        Act::ShutDown,
        Act::DropOther,
        Act::DropDescriptors,
        Act::BeginClose,
        Act::WakeAll,
    ];
}

/// When it does that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the n-th time, counted from zero.
    Nth(usize),
    /// Each time up to the eighth, but not within itself.
    Each,
}

#[derive(Clone, Copy)]
struct Trap {
    point: Point,
    act: Act,
    when: When,
}

static TRAP: Mutex<Option<Trap>> = Mutex::new(None);
static COUNTS: [AtomicUsize; Point::ALL.len()] = [const { AtomicUsize::new(0) }; Point::ALL.len()];
const EACH_MAX: usize = 8;
static FIRED: AtomicUsize = AtomicUsize::new(0);
/// Tasks that [`Act::WakeAll`] wakes.
static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the trap, or none, and begins to count anew. No task is known any more.
pub fn set(trap: Option<(Point, Act, When)>) {
    arm(trap);
    lock(&WAKERS).clear();
}

/// As [`set`], and the tasks that are known stay so.
pub fn arm(trap: Option<(Point, Act, When)>) {
    for count in &COUNTS {
        count.store(0, Ordering::SeqCst);
    }
    FIRED.store(0, Ordering::SeqCst);
    *lock(&TRAP) = trap.map(|(point, act, when)| Trap { point, act, when });
}

/// Takes the trap away; what was counted stays. No task is known any more.
pub fn disarm() {
    *lock(&TRAP) = None;
    lock(&WAKERS).clear();
}

/// How often a point was come by since the trap was set.
pub fn count(point: Point) -> usize {
    COUNTS[point as usize].load(Ordering::SeqCst)
}

/// How often the trap has gone off.
pub fn fired() -> usize {
    FIRED.load(Ordering::SeqCst)
}

/// Makes a task's waker known.
pub fn know(waker: &Waker) {
    lock(&WAKERS).push(waker.clone());
}

/// Foreign code calls this wherever it runs.
pub fn at(point: Point) {
    let nth = COUNTS[point as usize].fetch_add(1, Ordering::SeqCst);
    let Some(trap) = *lock(&TRAP) else { return };
    let is_time = match trap.when {
        When::Nth(wanted) => nth == wanted,
        When::Each => fired() < EACH_MAX,
    };
    if trap.point != point || !is_time {
        return;
    }
    if trap.act == Act::Panic {
        // A second panic while one unwinds would end the process, and be the test's own fault.
        if !std::thread::panicking() {
            FIRED.fetch_add(1, Ordering::SeqCst);
            resume_unwind(Box::new(Planned));
        }
    } else if stage::perform(trap.act) {
        FIRED.fetch_add(1, Ordering::SeqCst);
    }
}

/// Wakes all that are known.
pub fn wake_all() {
    let wakers = lock(&WAKERS).clone();
    for waker in wakers {
        waker.wake_by_ref();
    }
}

/// What [`Act::Panic`] carries. It is thrown past the panic hook, so that it is not told of.
#[derive(Debug)]
pub struct Planned;

/// Runs `code`, whose panic may be a planned one; gives the message of any other.
///
/// # Errors
///
/// The message.
pub fn planned<R>(code: impl FnOnce() -> R) -> Result<Option<R>, String> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(value) => Ok(Some(value)),
        Err(payload) if payload.is::<Planned>() => Ok(None),
        Err(payload) => Err(message(&*payload)),
    }
}

/// What a panic says.
pub fn message(payload: &(dyn Any + Send)) -> String {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ if payload.is::<Planned>() => "planned".to_owned(),
        _ => "a panic of unknown make".to_owned(),
    }
}

/// Is dropped at a point.
#[derive(Debug)]
pub struct Guard(Point);

impl Guard {
    /// One for `point`.
    pub fn new(point: Point) -> Self {
        Guard(point)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        at(self.0);
    }
}
