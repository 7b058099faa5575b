//! A runtime on each of several CPUs, and what goes between them.

#[path = "cores/calls.rs"]
mod calls;
#[path = "cores/mesh.rs"]
mod mesh;
#[path = "cores/panics.rs"]
mod panics;
#[path = "cores/per_core.rs"]
mod per_core;
#[path = "cores/run.rs"]
mod run;
#[path = "cores/serve.rs"]
mod serve;
#[path = "cores/stop.rs"]
mod stop;

use std::any::Any;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};

use saferring::cores::{Builder, Core, Cores, PerCore, Placement};

saferring_tests::also_on_software!();

/// So many cores, however many CPUs there are.
fn builder(count: usize) -> Builder {
    Cores::builder()
        .cores(Placement::Unpinned(count))
        .signals(false)
}

/// The text of a panic.
fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

static DONE: PerCore<usize> = PerCore::new(|_| 0);

/// Waits until all cores are here, and tells all to stop.
async fn all_done(core: &Core) {
    // From now on it has the grace period.
    assert!(!core.is_stopping());
    let count = |done: &mut usize| {
        *done += 1;
        *done
    };
    if DONE.with_on(0, count).await.unwrap() == core.count() {
        core.shutdown();
    }
    core.stopping().await;
}

/// A gate that blocks threads, not tasks, until somebody opens it.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<[bool; 2]>, Condvar)>);

impl Gate {
    /// Blocks the thread until the gate is open.
    fn block(&self) {
        let mut state = self.0.0.lock().unwrap();
        state[0] = true;
        self.0.1.notify_all();
        drop(self.0.1.wait_while(state, |state| !state[1]).unwrap());
    }

    /// Waits until somebody is blocked.
    fn wait_for_blocked(&self) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| !state[0]).unwrap());
    }

    fn open(&self) {
        self.0.0.lock().unwrap()[1] = true;
        self.0.1.notify_all();
    }
}

/// The threads on which things were dropped.
#[derive(Clone, Default)]
struct Drops(Arc<Mutex<Vec<ThreadId>>>);

impl Drops {
    /// Something that tells when it is dropped.
    fn thing(&self) -> Dropped {
        Dropped(self.clone())
    }

    fn threads(&self) -> Vec<ThreadId> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// See [`Drops::thing`].
struct Dropped(Drops);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb");
    }
}
