//! The end of a thread whose thread-locals hold what is in flight. They are dropped in the reverse order of their making:
//! before those of the crate, or when the crate has none any more; with a stage still there, or none.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::lazy;
use saferring::net::UnixStream;
use saferring::op::nop;
use saferring::runtime::{Runtime, accounts};
use saferring_tests::adversary::{
    Act, Point, Stage, When, arm, count, disarm, know, make_runtime, planned, set, wake_all,
};
use saferring_tests::{Watch, poll_once};

use crate::program::{Books, Run};
use crate::scene::{Scene, Setup, Tools};
use crate::{
    chunks, direct, files, listeners, paths, pipes, polls, reads, splices, streams, tasks, timers,
    writes,
};

/// Which thread-locals there are first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// The cargo, so that it outlives all others.
    CargoFirst,
    /// The stage and then the cargo, before those of the crate.
    StageFirst,
    /// A runtime, which has not run, and then they.
    Between,
    /// All that the crate has.
    CrateFirst,
}

/// What becomes of the cargo, before it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing.
    Nothing,
    /// Its runtime is dropped before the rest.
    RuntimeFirst,
    /// Its futures are polled.
    Polled,
    /// They are polled in their runtime.
    Run,
    /// The runtime ends with the thread's work, and they are polled in another one.
    RunElsewhere,
}

const MADE: [Made; 4] = [
    Made::CargoFirst,
    Made::StageFirst,
    Made::Between,
    Made::CrateFirst,
];
const USES: [Use; 5] = [
    Use::Nothing,
    Use::RuntimeFirst,
    Use::Polled,
    Use::Run,
    Use::RunElsewhere,
];

#[derive(Clone, Copy)]
struct Combination {
    setup: Setup,
    made: Made,
    used: Use,
    trap: Option<(Point, Act, When)>,
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "end of {}/{:?}/{:?}", self.setup.0, self.made, self.used)?;
        match self.trap {
            Some((point, act, _)) => write!(f, "/{point:?}/{act:?}"),
            None => write!(f, "/nothing"),
        }
    }
}

/// What may be in flight then: scenes of each kind.
pub(crate) fn all() -> Vec<Setup> {
    vec![
        named(reads::READS, "read_vectored"),
        named(reads::ENDS, "close"),
        named(writes::ZERO_COPY, "write_all_zc"),
        named(chunks::CHUNKS, "recv_stream"),
        named(listeners::LISTENERS, "incoming"),
        named(files::FILES, "buffer_pool"),
        named(timers::TIMERS, "interval"),
        named(tasks::TASKS, "join_set"),
        named(tasks::BLOCKING, "spawn_blocking"),
        named(pipes::PIPES, "pipe_read"),
        named(splices::SPLICES, "splice_streams"),
        named(direct::DIRECT, "direct_accept"),
        named(polls::POLLS, "poll_add"),
        named(streams::STREAMS, "read_stream_held"),
        named(paths::PATHS, "fifo"),
    ]
}

fn named(scenes: &[Setup], name: &str) -> Setup {
    let found = scenes.iter().find(|(one, _)| *one == name);
    *found.unwrap_or_else(|| panic!("there is no scene {name:?}"))
}

/// Plays the scenes up to where all is in flight, and ends the thread.
pub(crate) fn run_all(scenes: &[Setup]) {
    crate::program::run_each(|run| {
        for &setup in scenes {
            for made in MADE {
                for used in USES {
                    combinations(run, setup, made, used);
                }
            }
        }
    });
}

fn combinations(run: &mut Run, setup: Setup, made: Made, used: Use) {
    let calm = Combination {
        setup,
        made,
        used,
        trap: None,
    };
    if !run.calm(&calm.to_string(), || play(calm)) {
        return;
    }
    for (point, count) in Point::ALL.map(|point| (point, count(point))) {
        for act in Act::ALL.into_iter().filter(|_| count > 0) {
            let trap = Some((point, act, When::Each));
            let combination = Combination { trap, ..calm };
            run.play(&combination.to_string(), || play(combination));
        }
    }
}

type Faults = Arc<Mutex<Vec<String>>>;

thread_local! {
    static CARGO: RefCell<Option<Cargo>> = const { RefCell::new(None) };
    static BESIDE: RefCell<Option<Beside>> = const { RefCell::new(None) };
}

/// What is in flight.
struct Cargo {
    used: Use,
    tools: Rc<Tools>,
    scene: Option<Scene>,
    faults: Faults,
}

impl Cargo {
    fn use_it(&self) {
        let stage = &self.tools.stage;
        match self.used {
            Use::Nothing => {}
            Use::RuntimeFirst => stage.lose_runtime(),
            Use::Polled => stage.poll_all(),
            Use::Run | Use::RunElsewhere => {
                let runtime = stage.runtime();
                stage.block_on(&runtime);
                stage.discard(runtime);
            }
        }
        wake_all();
    }
}

impl Drop for Cargo {
    fn drop(&mut self) {
        let stage = Rc::clone(&self.tools.stage);
        if let Err(message) = planned(|| self.use_it()) {
            stage.fault(format!("the use panicked: {message}"));
        }
        stage.drop_all();
        stage.drop_descriptors();
        stage.discard(stage.take_other());
        // Tasks, if there are any, with the runtime.
        stage.discard(self.scene.take());
        stage.discard(stage.take_runtime());
        let faults = stage.faults();
        self.faults.lock().unwrap().extend(faults);
    }
}

/// What has no part in that: a read in flight, and a runtime that works as ever.
struct Beside {
    read: Cell<Option<saferring::op::Submitted<saferring::op::Recv<saferring_tests::Tracked>>>>,
    theirs: std::os::unix::net::UnixStream,
    runtime: Runtime,
    faults: Faults,
}

impl Beside {
    #[allow(clippy::async_yields_async)] // The read outlives the run.
    fn new(watch: &Watch, faults: &Faults) -> Self {
        let runtime = make_runtime();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let ours = UnixStream::from_std(ours);
        let read = runtime.block_on(async {
            let mut read = ours.read(watch.buf(8)).submit();
            assert!(poll_once(&mut read).await.is_none());
            read
        });
        Beside {
            read: Cell::new(Some(read)),
            theirs,
            runtime,
            faults: Arc::clone(faults),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let worked = planned(|| {
            std::io::Write::write_all(&mut self.theirs, b"x").unwrap();
            self.runtime.block_on(async {
                nop().await.unwrap();
                let (result, buf) = self.read.take().unwrap().await;
                assert_eq!((result.unwrap(), buf.bytes()), (1, &b"x"[..]));
                saferring::time::sleep(Duration::ZERO).await;
            });
        });
        if !matches!(worked, Ok(Some(()))) {
            let mut faults = self.faults.lock().unwrap();
            faults.push(format!("who stands beside it did not work: {worked:?}"));
        }
    }
}

/// Plays one combination, on a thread of its own; returns what was wrong.
fn play(combination: Combination) -> Vec<String> {
    let (books, before) = (Books::open(), accounts());
    set(None);
    let (watch, calm_watch) = (
        Watch::calling(|| saferring_tests::adversary::at(Point::BufferDrop)),
        Watch::new(),
    );
    let faults = Faults::default();
    let (told, beside, theirs) = (watch.clone(), calm_watch.clone(), Arc::clone(&faults));
    let thread = std::thread::spawn(move || load(combination, told, &beside, &theirs));
    if thread.join().is_err() {
        faults
            .lock()
            .unwrap()
            .push("the thread panicked".to_owned());
    }
    disarm();
    let mut faults = std::mem::take(&mut *faults.lock().unwrap());
    faults.extend(books.left(&watch));
    if calm_watch.alive() != 0 {
        faults.push("the buffer beside it is left".to_owned());
    }
    let started = Instant::now();
    // A thread that waits for a FIFO may run a runtime when it ends.
    while accounts() != before && started.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if accounts() != before {
        faults.push(format!(
            "accounts before: {before:?}, now: {:?}",
            accounts()
        ));
    }
    faults
}

/// Puts everything in its place, with all in flight. What is left to do is done at the thread's end.
fn load(combination: Combination, watch: Watch, calm: &Watch, faults: &Faults) {
    let touch_cargo = || CARGO.with(|_| ());
    match combination.made {
        Made::CargoFirst => touch_cargo(),
        Made::StageFirst => {
            Stage::touch();
            touch_cargo();
        }
        Made::Between | Made::CrateFirst => {}
    }
    if combination.made != Made::CrateFirst {
        BESIDE.with(|_| ());
    }
    let runtime = make_runtime();
    if combination.made == Made::Between {
        Stage::touch();
        touch_cargo();
    }
    runtime.block_on(async { nop().await.unwrap() });
    BESIDE.set(Some(Beside::new(calm, faults)));
    let stage = Stage::enter(runtime);
    let tools = Tools::with(Rc::clone(&stage), watch);
    let runtime = stage.runtime();
    let mut scene = runtime.block_on(lazy(|_| (combination.setup.1)(&tools)));
    for subject in std::mem::take(&mut scene.subjects) {
        stage.add(subject);
    }
    for innocent in &scene.innocents {
        let task = innocent();
        drop(runtime.spawn(async move {
            saferring::task::yield_now().await;
            std::future::poll_fn(|cx| {
                know(cx.waker());
                std::task::Poll::Ready(())
            })
            .await;
            task.await;
        }));
    }
    runtime.block_on(lazy(|_| stage.poll_all()));
    (scene.cause)(0);
    runtime.block_on(async { nop().await.unwrap() });
    stage.set_other(make_runtime());
    drop(runtime);
    if combination.used == Use::RunElsewhere {
        stage.lose_runtime();
    }
    arm(combination.trap);
    let (used, faults) = (combination.used, Arc::clone(faults));
    CARGO.set(Some(Cargo {
        used,
        tools,
        scene: Some(scene),
        faults,
    }));
}
