//! The state of a program: runtimes, descriptors, handles and chunks; and its steps.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::future::lazy;
use saferring::net::ProvidedBuf;
use saferring::op::Registry;
use saferring::runtime::{Builder, InFlightOp, Runtime, Setup, accounts};
use saferring_tests::{Watch, is_software, open_fds};

use super::handle::{Handle, Home};
use super::left::{check_accounts, check_buffers};
use super::object::Object;
use super::step::{Grace, OUTSIDE, Step, without};
use super::wakers::turn_by_wakers;

/// The payload of panics that belong to a program.
pub(crate) struct Wanted;

thread_local! {
    /// What the last panic said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the last panic of this thread said.
pub(crate) fn said() -> String {
    SAID.with_borrow(Clone::clone)
}

/// A place for runtimes, one after the other.
pub(crate) struct Slot {
    pub(crate) runtime: Option<Rc<Runtime>>,
    pub(crate) generation: u32,
    config: u8,
    pub(crate) registry: Option<Registry>,
}

pub(crate) struct World {
    pub(crate) slots: Vec<Slot>,
    pub(crate) objects: Vec<Object>,
    pub(crate) handles: Vec<Handle>,
    pub(crate) chunks: Vec<ProvidedBuf>,
    /// What tasks were at that have been aborted, and the runtimes that have not run since.
    pub(crate) aborted: Vec<(usize, Home)>,
    pub(crate) watch: Watch,
    /// Which step is being done.
    pub(crate) number: usize,
    pub(crate) next_id: u64,
    /// Buffers that were forgotten, and the most that runtimes have leaked and told of.
    pub(crate) forgotten: usize,
    pub(crate) leaked: usize,
    /// Provided buffers may be lost: their stream was forgotten, or they are with the kernel.
    pub(crate) pool_leaks: bool,
    /// What may stay open at the end.
    pub(crate) may_stay: BTreeSet<String>,
    pub(crate) connections_may_stay: usize,
}

/// Runs a program; what has gone wrong.
pub(crate) fn attempt(steps: &[Step]) -> Result<(), String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Those of a program are told with it.
            if std::thread::current().name().is_some() {
                before(info);
            }
            SAID.with_borrow_mut(|said| *said = info.to_string());
        }));
        // Whatever the first runtime of a process opens for good is open then.
        drop(Runtime::new().unwrap());
        drop(config(1).build().unwrap());
    });
    let (fds, before) = (open_fds(), accounts());
    // After a failure it is left as it is: its drop could hang.
    let mut world = ManuallyDrop::new(World::new());
    let done = catch_unwind(AssertUnwindSafe(|| {
        for (number, &step) in steps.iter().enumerate() {
            world.number = number;
            world.step(step);
        }
        world.end();
    }));
    if let Err(payload) = done {
        let what = payload
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_default();
        let what = if what.is_empty() { said() } else { what };
        let place = said().lines().next().unwrap_or_default().to_owned();
        return Err(format!("at step {}: {what} [{place}]", world.number));
    }
    let world = ManuallyDrop::into_inner(world);
    let may_stay = world.may_stay.clone();
    let mut connections = world.connections_may_stay;
    let watch = world.watch.clone();
    let (forgotten, leaked) = (world.forgotten, world.leaked);
    drop(world);
    check_buffers(&watch, forgotten, leaked)?;
    let forgets = steps.iter().any(|step| matches!(step, Step::Forget { .. }));
    check_accounts(before, forgets, leaked / 2)?;
    // A thread of the software ring may be about to close what came late.
    let since = Instant::now();
    let mut left;
    loop {
        left = Vec::new();
        for (fd, link) in open_fds() {
            if fds.contains(&(fd, link.clone())) {
                continue;
            }
            let connection = connections > 0 && link.starts_with("socket:");
            if may_stay.contains(&link) || connection {
                connections -= usize::from(!may_stay.contains(&link));
                // SAFETY: only what was forgotten knows of it, and that is never used or dropped.
                unsafe { libc::close(fd) };
            } else {
                left.push((fd, link));
            }
        }
        if left.is_empty() || !is_software() || since.elapsed() > Duration::from_secs(5) {
            break;
        }
        std::thread::yield_now();
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("descriptors are left open: {left:?}"))
    }
}

/// Small ones of all sorts.
fn config(number: u8) -> Builder {
    let builder = Builder::new().fixed_buffers(4096, 2).blocking_threads(1);
    match number {
        0 => builder.entries(8).provided_buffers(64, 4, 2),
        1 => builder
            .entries(2)
            .completion_entries(4)
            .provided_buffers(64, 1, 1),
        2 => builder.entries(4).provided_buffers(64, 2, 1),
        3 => builder
            .entries(8)
            .completion_entries(8)
            .setup(Setup::Cooperative)
            .provided_buffers(64, 4, 1),
        4 => builder.entries(64).provided_buffers(4096, 8, 2),
        _ => builder
            .entries(8)
            .setup(Setup::Plain)
            .provided_buffers(256, 2, 2),
    }
}

/// Takes the panics that belong to the program.
pub(crate) fn tolerate<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            resume_unless_wanted(payload);
            None
        }
    }
}

pub(crate) fn resume_unless_wanted(payload: Box<dyn Any + Send>) {
    if !payload.is::<Wanted>() {
        resume_unwind(payload);
    }
}

impl World {
    fn new() -> World {
        let slot = |config| Slot {
            runtime: None,
            generation: 0,
            config,
            registry: None,
        };
        World {
            slots: (0..OUTSIDE).map(slot).collect(),
            objects: Vec::new(),
            handles: Vec::new(),
            chunks: Vec::new(),
            aborted: Vec::new(),
            watch: Watch::new(),
            number: 0,
            next_id: 0,
            forgotten: 0,
            leaked: 0,
            pool_leaks: false,
            may_stay: BTreeSet::new(),
            connections_may_stay: 0,
        }
    }

    /// The runtime of a place, made if there is none.
    pub(crate) fn runtime(&mut self, slot: u8) -> Rc<Runtime> {
        let slot = &mut self.slots[slot as usize];
        let runtime = slot.runtime.get_or_insert_with(|| {
            let built = config(slot.config).build();
            let runtime = Rc::new(built.unwrap());
            turn_by_wakers(&runtime);
            runtime
        });
        Rc::clone(runtime)
    }

    pub(crate) fn home(&self, slot: u8) -> Home {
        (slot, self.slots[slot as usize].generation)
    }

    pub(crate) fn is_alive(&self, home: Home) -> bool {
        let slot = &self.slots[home.0 as usize];
        slot.runtime.is_some() && slot.generation == home.1
    }

    /// The object was used in a runtime.
    pub(crate) fn touch(&mut self, object: usize, slot: u8) {
        let home = self.home(slot);
        let homes = &mut self.objects[object].homes;
        if !homes.contains(&home) {
            homes.push(home);
        }
        let elsewhere = |&(one, other): &(usize, Home)| one == object && other != home;
        if self.aborted.iter().any(elsewhere) {
            self.objects[object].input.order.muddle();
        }
    }

    /// Does something in a runtime, or outside of all. A panic that belongs to the program ends it.
    pub(crate) fn at<R>(&mut self, at: u8, f: impl FnOnce(&mut World) -> R) -> Option<R> {
        if at == OUTSIDE && !without("outside") {
            return tolerate(|| f(self));
        }
        let runtime = self.runtime(at % OUTSIDE);
        tolerate(|| runtime.block_on(lazy(|_: &mut Context<'_>| f(self))))
    }

    /// Some turns of a runtime.
    pub(crate) fn turn(&mut self, slot: u8, turns: u32) {
        let runtime = self.runtime(slot);
        tolerate(|| {
            runtime.block_on(async {
                for _ in 0..turns {
                    saferring::op::nop().await.unwrap();
                }
            })
        });
        let home = self.home(slot);
        self.aborted.retain(|&(_, other)| other != home);
    }

    /// Some turns of every runtime that there is.
    pub(crate) fn turn_all(&mut self) {
        for slot in 0..OUTSIDE {
            if self.slots[slot as usize].runtime.is_some() {
                self.turn(slot, 2);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Turn { at } => self.turn(at % OUTSIDE, 3),
            Step::Make { kind, at } => {
                let at = at % OUTSIDE;
                self.at(at, |world| world.make(kind, at));
            }
            Step::Peer { object, act, size } => {
                if let Some(object) = index(object, self.objects.len()) {
                    self.peer(object, act, size);
                }
            }
            Step::Start {
                object,
                act,
                size,
                at,
                how,
                limit,
            } => {
                let Some(object) = index(object, self.objects.len()) else {
                    return;
                };
                if self.handles.len() < 16 {
                    let at = self.place_of_object(object, at % OUTSIDE);
                    self.begin(object, act, size, at, how, limit);
                }
            }
            Step::DropChunk { chunk, at } => {
                if let Some(chunk) = index(chunk, self.chunks.len()) {
                    let chunk = self.chunks.remove(chunk);
                    self.at(at, |_| drop(chunk));
                }
            }
            Step::Close { object, at } => {
                if let Some(object) = index(object, self.objects.len()) {
                    let at = self.place_of_object(object, at % OUTSIDE);
                    self.close(object, at);
                }
            }
            Step::DropObject { object, at } => {
                if let Some(object) = index(object, self.objects.len()) {
                    self.drop_object(object, at);
                }
            }
            Step::Shutdown { at, grace, next } => self.shut_down(at % OUTSIDE, grace, next),
            Step::Poll { .. }
            | Step::Await { .. }
            | Step::Cancel { .. }
            | Step::Drop { .. }
            | Step::Forget { .. }
            | Step::Lose { .. } => self.handle_step(step),
        }
    }

    /// Where an object is used: in one runtime, if crossing is left out.
    pub(crate) fn place_of_object(&self, object: usize, at: u8) -> u8 {
        if !without("cross-object") {
            return at;
        }
        match self.objects[object].homes.last() {
            Some(&home) => home.0,
            None => at,
        }
    }

    /// Shuts a runtime down.
    pub(crate) fn shut_down(&mut self, slot: u8, grace: Grace, next: u8) {
        let Some(runtime) = self.slots[slot as usize].runtime.take() else {
            self.slots[slot as usize].config = next;
            return;
        };
        let grace = match grace {
            Grace::Zero if !without("zero-grace") => Duration::ZERO,
            Grace::Short if !without("zero-grace") => Duration::from_millis(1),
            _ => Duration::from_secs(5),
        };
        for object in &mut self.objects {
            object.drain_peer();
        }
        let home = (slot, self.slots[slot as usize].generation);
        let runtime = Rc::try_unwrap(runtime).unwrap();
        let left = tolerate(|| runtime.shutdown_timeout(grace)).unwrap_or(Ok(()));
        if let Err(left) = left {
            assert!(
                grace < Duration::from_secs(1),
                "a shutdown did not end: {left:?}"
            );
            self.leave_behind(home, &left);
        }
        let slot = &mut self.slots[slot as usize];
        slot.generation += 1;
        slot.config = next;
        slot.registry = None;
    }

    /// Notes what a runtime did not get back from the kernel.
    fn leave_behind(&mut self, home: Home, left: &[InFlightOp]) {
        self.leaked += 2 * left.len();
        self.pool_leaks = true;
        for op in left {
            for object in self
                .objects
                .iter_mut()
                .filter(|object| object.homes.contains(&home))
            {
                if op.fd.is_none_or(|fd| fd == object.raw || object.raw < 0) {
                    object.kernel_stuck = true;
                    object.readers_stuck = true;
                    object.writers_stuck = true;
                    object.input.lossy = true;
                    object.output.cut = true;
                    object.may_stay |= op.name != "close" || without("queued-closes");
                }
            }
        }
        for handle in &mut self.handles {
            handle.doomed |= handle.homes.contains(&home);
        }
    }
}

/// The element that a number stands for.
pub(crate) fn index(number: u8, len: usize) -> Option<usize> {
    (len > 0).then(|| number as usize % len)
}
