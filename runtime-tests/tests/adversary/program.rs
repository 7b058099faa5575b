//! How a scene is played: which combinations there are, and the steps of each.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::lazy;
use saferring::net::UnixStream;
use saferring::runtime::{Runtime, metrics};
use saferring::task::JoinHandle;
use saferring_tests::adversary::{
    Act, Guard, Planned, Point, Stage, Task, When, count, fired, know, make_runtime, message,
    planned, set, wakers_alive,
};
use saferring_tests::{Watch, note, open_fds, quarantine};

use crate::scene::{Scene, Setup, Tools, task};

/// Where the subjects are polled and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// By the future of `block_on`.
    Inside,
    /// Outside any runtime, but for the first poll.
    Outside,
    /// They are tasks; it is their handles that are polled and dropped outside.
    Tasks,
}

/// How long the subjects live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Until they are ready.
    Finish,
    /// Until what they wait for has come, but nobody has looked.
    DropLate,
    /// Until they wait.
    DropEarly,
}

const PLACES: [Place; 3] = [Place::Inside, Place::Outside, Place::Tasks];
const PLANS: [Plan; 3] = [Plan::Finish, Plan::DropLate, Plan::DropEarly];

/// How many turns the subjects get at least.
const ROUNDS: u32 = 20;

/// How long other threads may take to let go of what they have.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
struct Combination {
    setup: Setup,
    place: Place,
    plan: Plan,
    trap: Option<(Point, Act, When)>,
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.setup.0)?;
        match self.trap {
            Some((point, act, _)) => write!(f, "{point:?}/{act:?}")?,
            None => write!(f, "nothing")?,
        }
        write!(f, "/{:?}/{:?}", self.place, self.plan)?;
        match self.trap {
            Some((_, _, When::Nth(nth))) => write!(f, "/{nth}"),
            Some((_, _, When::Each)) => write!(f, "/each"),
            None => Ok(()),
        }
    }
}

/// Plays the scenes in all combinations.
pub(crate) fn run_all(scenes: &[Setup]) {
    run_each(|run| {
        for &setup in scenes {
            for place in PLACES {
                for plan in PLANS {
                    run.combinations(setup, place, plan);
                }
            }
        }
    });
}

/// Has `play` play combinations, and fails if one has failed.
pub(crate) fn run_each(play: impl FnOnce(&mut Run)) {
    let mut run = Run {
        filter: std::env::var("ADVERSARY").unwrap_or_default(),
        ..Run::default()
    };
    // The address sanitizer knows more of freed memory than the quarantine, if it gets it.
    if std::env::var_os("ASAN_OPTIONS").is_none() {
        quarantine::activate();
    }
    // What panics is told with its combination, if it should not have.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    play(&mut run);
    std::panic::set_hook(hook);
    println!("{} combinations, {} went off", run.played, run.fired);
    assert!(
        run.failures.is_empty(),
        "{} of {} combinations failed:\n{}",
        run.failures.len(),
        run.played,
        run.failures.join("\n")
    );
    assert!(!run.filter.is_empty() || run.fired > 0, "nothing went off");
}

/// What was played.
#[derive(Default)]
pub(crate) struct Run {
    filter: String,
    played: usize,
    fired: usize,
    failures: Vec<String>,
}

impl Run {
    fn combinations(&mut self, setup: Setup, place: Place, plan: Plan) {
        let calm = Combination {
            setup,
            place,
            plan,
            trap: None,
        };
        // Undisturbed, it tells how often each point comes.
        if !self.calm(&calm.to_string(), || play(calm)) {
            return;
        }
        let counts = Point::ALL.map(|point| (point, count(point)));
        for (point, count) in counts {
            for act in Act::ALL {
                for when in times(count) {
                    let trap = Some((point, act, when));
                    let combination = Combination { trap, ..calm };
                    self.play(&combination.to_string(), || play(combination));
                }
            }
        }
    }

    /// Plays a combination, if it is wanted.
    pub(crate) fn play(&mut self, name: &str, play: impl FnOnce() -> Vec<String>) {
        if name.contains(&self.filter) {
            self.calm(name, play);
        }
    }

    /// Plays a combination, whatever is wanted. Whether it went well.
    pub(crate) fn calm(&mut self, name: &str, play: impl FnOnce() -> Vec<String>) -> bool {
        note(name);
        self.played += 1;
        let faults = play();
        self.fired += usize::from(fired() > 0);
        if faults.is_empty() {
            return true;
        }
        self.failures.push(format!("{name}: {}", faults.join("; ")));
        false
    }
}

/// At which of its times a point is used: the first, the last and one between; and each.
fn times(count: usize) -> Vec<When> {
    let mut times = match count {
        0 => return Vec::new(),
        1 => return vec![When::Nth(0)],
        _ => vec![0, count / 2, count - 1],
    };
    times.dedup();
    let mut times: Vec<_> = times.into_iter().map(When::Nth).collect();
    times.push(When::Each);
    times
}

/// Plays one combination; returns what was wrong.
fn play(combination: Combination) -> Vec<String> {
    let books = Books::open();
    set(None);
    let stage = Stage::enter(make_runtime());
    let tools = Tools::new(Rc::clone(&stage));
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut player = Player::new(combination, &tools);
        player.play();
        player.finish();
    }));
    if let Err(payload) = played {
        stage.fault(format!("the program panicked: {}", message(&*payload)));
    }
    Stage::leave();
    let watch = tools.watch.clone();
    drop(tools);
    let mut faults = stage.faults();
    stage.drop_descriptors();
    drop(stage);
    faults.extend(books.left(&watch));
    faults
}

/// What there was before a combination was played.
pub(crate) struct Books {
    fds: Vec<(i32, String)>,
    wakers: isize,
}

impl Books {
    pub(crate) fn open() -> Self {
        Books {
            fds: open_fds(),
            wakers: wakers_alive(),
        }
    }

    /// What there is more, or less; and what has happened to buffers and to freed memory.
    pub(crate) fn left(&self, watch: &Watch) -> Vec<String> {
        let (fds, wakers) = (&self.fds, self.wakers);
        let mut faults = Vec::new();
        if watch.alive() != 0 {
            faults.push(format!("{} buffers are left", watch.alive() as isize));
        }
        if watch.dropped_twice() != 0 {
            faults.push(format!(
                "{} buffers were dropped twice",
                watch.dropped_twice()
            ));
        }
        // A thread that waits for a FIFO is let go when nobody waits for the thread; and it ends when it comes to that.
        let started = Instant::now();
        while (wakers_alive() != wakers || open_fds() != *fds) && started.elapsed() < SETTLE_LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        if wakers_alive() != wakers {
            faults.push(format!("{} wakers are left", wakers_alive() - wakers));
        }
        let left = open_fds();
        if left != *fds {
            faults.push(format!("descriptors before: {fds:?}, after: {left:?}"));
        }
        if let Some((size, offset, byte)) = quarantine::release() {
            faults.push(format!(
                "a freed block of {size} bytes was written to at {offset}: {byte:#x}"
            ));
        }
        faults
    }
}

struct Player<'a> {
    combination: Combination,
    tools: &'a Rc<Tools>,
    scene: Scene,
    innocents: Vec<JoinHandle<()>>,
}

impl<'a> Player<'a> {
    fn new(combination: Combination, tools: &'a Rc<Tools>) -> Self {
        let stage = &tools.stage;
        let runtime = stage.runtime();
        let mut scene = runtime.block_on(lazy(|_| (combination.setup.1)(tools)));
        for (index, subject) in std::mem::take(&mut scene.subjects).into_iter().enumerate() {
            match combination.place {
                Place::Inside | Place::Outside => stage.add(subject),
                Place::Tasks => stage.add(handle(tools, &runtime, subject, index)),
            }
        }
        if let Some((_, Act::BlockOnOther | Act::DropOther, _)) = combination.trap {
            bring_other(stage);
        }
        let mut player = Player {
            combination,
            tools,
            scene,
            innocents: Vec::new(),
        };
        player.spawn_innocents(&runtime);
        player
    }

    fn stage(&self) -> &Rc<Stage> {
        &self.tools.stage
    }

    fn spawn_innocents(&mut self, runtime: &Runtime) {
        for innocent in &self.scene.innocents {
            self.innocents.push(runtime.spawn(known(innocent())));
        }
        self.innocents.push(runtime.spawn(known(task(ping_pong()))));
    }

    fn play(&mut self) {
        set(self.combination.trap);
        match self.combination.place {
            Place::Inside => {
                let runtime = self.stage().runtime();
                runtime.block_on(self.script());
            }
            Place::Outside | Place::Tasks => {
                let played = self.script().now_or_never();
                assert!(played.is_some(), "a step waits");
            }
        }
    }

    /// The steps. Outside a runtime none of them waits.
    async fn script(&self) {
        let stage = self.stage();
        match self.combination.place {
            Place::Inside => stage.poll_all(),
            Place::Outside | Place::Tasks => {
                let runtime = stage.runtime();
                runtime.block_on(lazy(|_| stage.poll_all()));
            }
        }
        self.turns(1).await;
        for index in 0..stage.len() {
            match stage.was_woken(index) {
                true => self.poll(index),
                // For nothing, and anywhere.
                false => stage.poll(index),
            };
        }
        if self.combination.plan == Plan::DropEarly {
            stage.drop_all();
        }
        (self.scene.cause)(0);
        self.turns(2).await;
        if self.combination.plan == Plan::DropLate {
            stage.drop_all();
        }
        self.rounds().await;
        stage.drop_all();
        self.turns(1).await;
    }

    /// Polls the subjects as they are woken, until they are ready.
    async fn rounds(&self) {
        let stage = self.stage();
        let started = Instant::now();
        for round in 1.. {
            let waits = !self.is_disturbed() && started.elapsed() < self.scene.patience;
            if round > ROUNDS && !waits {
                break;
            }
            let mut any = false;
            for index in 0..stage.len() {
                if stage.is_pending(index) {
                    any = true;
                    if stage.was_woken(index) {
                        self.poll(index);
                    }
                }
            }
            if !any {
                return;
            }
            (self.scene.cause)(round);
            self.turns(1).await;
        }
        for index in 0..stage.len() {
            if !stage.is_pending(index) {
                continue;
            }
            let woken = stage.was_woken(index);
            match self.poll(index) {
                Some(Poll::Ready(())) if !woken => {
                    stage.fault(format!("subject {index} is ready, and was not woken"));
                }
                Some(Poll::Pending) if !self.is_disturbed() => {
                    let in_flight = stage.runtime().in_flight();
                    stage.fault(format!(
                        "subject {index} did not become ready; {in_flight:?}"
                    ));
                }
                _ => {}
            }
        }
    }

    /// Polls a subject to which something has come.
    fn poll(&self, index: usize) -> Option<Poll<()>> {
        let stage = self.stage();
        if self.combination.place == Place::Inside || !self.scene.submits {
            return stage.poll(index);
        }
        let polled = Cell::new(None);
        self.run(lazy(|_| polled.set(stage.poll(index))));
        polled.get()
    }

    /// Whether the adversary may have taken away what a subject waits for.
    fn is_disturbed(&self) -> bool {
        let stage = self.stage();
        let taken = stage.is_closed() || stage.is_lost() || stage.is_dropped();
        let moved = self.scene.moves && stage.is_moved();
        taken || moved || stage.is_refused() || self.scene.competes
    }

    /// Turns of the loop.
    async fn turns(&self, count: u32) {
        let turns = async move {
            for _ in 0..count {
                let _ = saferring::op::nop().await;
            }
        };
        match self.combination.place {
            Place::Inside => turns.await,
            Place::Outside | Place::Tasks => self.run(turns),
        }
    }

    fn run(&self, future: impl Future<Output = ()>) {
        let runtime = self.stage().runtime();
        match planned(|| runtime.block_on(future)) {
            Ok(Some(())) => {}
            Ok(None) => self.stage().fault("a planned panic came out of block_on"),
            Err(message) => self.stage().fault(format!("block_on panicked: {message}")),
        }
        // It may have been taken away meanwhile; then this drops it.
        if let Err(message) = planned(|| drop(runtime)) {
            self.stage()
                .fault(format!("the end of a runtime panicked: {message}"));
        }
    }

    /// Lets the innocents come to their end, and shuts down.
    fn finish(&mut self) {
        let stage = Rc::clone(self.stage());
        (self.scene.end)();
        let started = Instant::now();
        let (mut round, mut losses) = (0, 0);
        loop {
            if losses != stage.losses() {
                // Those of a runtime that is gone are gone with it.
                let runtime = stage.runtime();
                self.spawn_innocents(&runtime);
                losses = stage.losses();
            }
            if self.innocents.iter().all(JoinHandle::is_finished) {
                break;
            }
            if started.elapsed() > Duration::from_secs(2) {
                let left = self.innocents.iter().map(|task| !task.is_finished());
                stage.fault(format!("innocents wait: {:?}", left.collect::<Vec<_>>()));
                break;
            }
            round += 1;
            (self.scene.cause)(round);
            self.run(async {
                let _ = saferring::op::nop().await;
            });
            std::thread::yield_now();
        }
        for innocent in std::mem::take(&mut self.innocents) {
            if !innocent.is_finished() {
                continue;
            }
            match innocent.now_or_never() {
                Some(Ok(())) => {}
                Some(Err(error)) if error.is_cancelled() && stage.is_lost() => {}
                Some(Err(error)) => stage.fault(format!("an innocent ended with {error}")),
                None => stage.fault("a task that has ended has no answer"),
            }
        }
        stage.drop_all();
        self.run(health());
        self.shut_down();
    }

    fn shut_down(&mut self) {
        let stage = Rc::clone(self.stage());
        stage.discard(stage.take_other());
        if let Some(runtime) = stage.take_runtime() {
            match Rc::try_unwrap(runtime) {
                Ok(runtime) => match planned(|| runtime.shutdown_timeout(Duration::from_secs(5))) {
                    Ok(Some(Ok(()))) => {}
                    Ok(Some(Err(left))) => stage.fault(format!("shut down with {left:?} left")),
                    Ok(None) => stage.fault("a planned panic came out of the shutdown"),
                    Err(message) => stage.fault(format!("the shutdown panicked: {message}")),
                },
                Err(_) => stage.fault("somebody holds the runtime"),
            }
        }
        let scene = std::mem::take(&mut self.scene);
        let check = scene.check;
        stage.discard((scene.innocents, scene.cause, scene.end));
        if let Err(fault) = check(self.tools) {
            stage.fault(fault);
        }
    }
}

/// Makes a subject a task. What is left is to await its handle; dropped, it aborts the task or leaves it.
fn handle(tools: &Rc<Tools>, runtime: &Runtime, subject: Task, index: usize) -> Task {
    struct Handle(JoinHandle<Guard>, bool);
    impl Drop for Handle {
        fn drop(&mut self) {
            if self.1 {
                self.0.abort();
            }
        }
    }
    let task = runtime.spawn(async move {
        let _held = Guard::new(Point::FutureDrop);
        subject.await;
        Guard::new(Point::OutputDrop)
    });
    let tools = Rc::clone(tools);
    let mut handle = Handle(task, index.is_multiple_of(2));
    Box::pin(async move {
        match (&mut handle.0).await {
            Ok(output) => drop(output),
            Err(error) if error.is_cancelled() => {
                if !tools.stage.is_lost() {
                    tools.stage.fault("a subject was cancelled");
                }
            }
            Err(error) => {
                let payload = error.into_panic();
                if !payload.is::<Planned>() {
                    let message = message(&*payload);
                    tools.stage.fault(format!("a subject panicked: {message}"));
                }
            }
        }
    })
}

/// Another runtime, of which a read is in flight that is polled on the stage.
fn bring_other(stage: &Rc<Stage>) {
    let other = make_runtime();
    let read = other.block_on(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ours.read(vec![0; 8]).submit(), ours, theirs)
    });
    stage.add(Box::pin(async move {
        let (read, _ours, theirs) = read;
        drop(theirs.shutdown(std::net::Shutdown::Both));
        drop(read.await);
    }));
    stage.set_other(other);
}

/// Makes the task's waker known to the adversary.
async fn known(task: Task) {
    let mut task = task;
    let mut first = true;
    std::future::poll_fn(move |cx| {
        if std::mem::take(&mut first) {
            know(cx.waker());
        }
        task.as_mut().poll(cx)
    })
    .await;
}

/// What runs beside the scene and has no part in it.
async fn ping_pong() {
    let (one, other) = UnixStream::pair().unwrap();
    for round in 0..3u8 {
        let (written, _) = one.write_all(vec![round; 8]).await;
        written.unwrap();
        let (read, bytes) = other.read_exact(vec![0; 8]).await;
        read.unwrap();
        assert_eq!(bytes, [round; 8]);
        saferring::task::yield_now().await;
    }
}

/// The runtime still works, and nothing of the scene is left in it.
async fn health() {
    let echo = saferring::spawn(ping_pong());
    saferring::time::sleep(Duration::ZERO).await;
    echo.await.unwrap();
    let started = Instant::now();
    while metrics().orphans > 1 {
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "orphans: {:?}",
            saferring::runtime::in_flight()
        );
        let _ = saferring::op::nop().await;
    }
}
