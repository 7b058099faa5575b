//! The life of one core: its thread, its runtime, and what is left of it.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use super::core::{Core, Entered};
use super::error::CoreOutput;
use super::listener::Accepting;
use super::outbox::give;
use super::placement::pin;
use super::ports::SamePorts;
use super::settings::{OnPanic, Settings};
use super::shared::{Phase, Shared, lock};
use super::stop::{Note, note_stop, stop, tell_all};
use crate::foreign;
use crate::net::share_ports;
use crate::runtime::{Message, Runtime, caught};
use crate::task::JoinError;

/// A core that panics sooner than this after its start waits before the next.
const QUICK: Duration = Duration::from_secs(1);
/// The first such wait; each is twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How a core has ended.
pub(super) enum Ended<T, E> {
    Done(T),
    Failed(E),
    Panicked(JoinError),
    CutOff,
    /// It could not start, or did not because another could not.
    NotStarted(Option<io::Error>),
}

/// No core begins before all are ready.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    ready: usize,
    is_open: bool,
    /// One is not ready, and none begins.
    is_refused: bool,
}

impl Gate {
    /// One is not ready: none begins, unless all have.
    pub(super) fn refuse(&self) {
        lock(&self.state).is_refused = true;
        self.changed.notify_all();
    }

    /// Waits until so many are ready. False: one is not.
    pub(super) fn wait_for(&self, cores: usize) -> bool {
        let mut state = lock(&self.state);
        while state.ready < cores && !state.is_refused {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_refused
    }

    /// Lets all begin.
    pub(super) fn open(&self) {
        lock(&self.state).is_open = true;
        self.changed.notify_all();
    }

    /// One more is ready; waits for the others. False: one is not.
    fn pass(&self) -> bool {
        let mut state = lock(&self.state);
        state.ready += 1;
        self.changed.notify_all();
        while !state.is_open && !state.is_refused {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_open
    }
}

/// What the thread of a core begins with.
pub(super) struct CoreThread<'a> {
    pub(super) id: usize,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) settings: &'a Settings,
    pub(super) accepting: &'a [Arc<Accepting>],
}

/// How one life of a core has ended.
enum Life<T, E> {
    Output(Result<T, E>),
    Panicked(JoinError),
    CutOff,
}

impl CoreThread<'_> {
    /// All of it. Tells `run` when it is over.
    pub(super) fn run<F, Fut, R>(self, gate: &Gate, main: &F) -> Ended<R::Value, R::Error>
    where
        F: Fn(Core) -> Fut,
        Fut: Future<Output = R>,
        R: CoreOutput,
    {
        let ended = catch_unwind(AssertUnwindSafe(|| self.live(gate, main)));
        let ended = ended.unwrap_or_else(|panic| {
            // Of the closure that makes the builder, or of what the core kept.
            gate.refuse();
            Ended::Panicked(JoinError::panicked(panic))
        });
        if matches!(ended, Ended::Failed(_) | Ended::Panicked(_)) {
            self.fail();
        }
        let seat = &self.shared.seats[self.id];
        seat.has_ended.store(true, Ordering::Release);
        seat.inbox.end(); // If it has not run at all.
        for accepting in self.accepting {
            accepting.end_own(self.shared, self.id);
        }
        tell_all(self.shared, Note::Ended(self.id));
        self.shared.note_end();
        ended
    }

    /// All are to stop, because of this core or another that has failed before.
    fn fail(&self) {
        lock(&self.shared.failed).get_or_insert(self.id);
        stop(self.shared);
    }

    fn live<F, Fut, R>(&self, gate: &Gate, main: &F) -> Ended<R::Value, R::Error>
    where
        F: Fn(Core) -> Fut,
        Fut: Future<Output = R>,
        R: CoreOutput,
    {
        self.pin();
        let mut runtime = match self.make_runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                gate.refuse();
                return Ended::NotStarted(Some(error));
            }
        };
        if !gate.pass() {
            return Ended::NotStarted(None);
        }
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            let panic = match self.live_once(runtime, main) {
                Life::Output(Ok(value)) => return Ended::Done(value),
                Life::Output(Err(error)) => return Ended::Failed(error),
                Life::CutOff => return Ended::CutOff,
                Life::Panicked(panic) => panic,
            };
            if !self.may_restart() {
                return Ended::Panicked(panic);
            }
            if began.elapsed() < QUICK {
                self.shared.pause(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            } else {
                pause = PAUSE_MIN;
            }
            runtime = match self.make_runtime() {
                Ok(runtime) if self.shared.phase() == Phase::Running => runtime,
                Ok(_) => return Ended::Panicked(panic),
                Err(error) => {
                    self.note(format!("it could not be started again: {error}"));
                    return Ended::Panicked(panic);
                }
            };
            self.begin_again();
        }
    }

    /// Whether it starts again when it has panicked.
    fn may_restart(&self) -> bool {
        self.settings.on_panic == OnPanic::Restart && self.shared.phase() == Phase::Running
    }

    /// From the first poll of its closure to the end of its runtime.
    fn live_once<F, Fut, R>(&self, runtime: Runtime, main: &F) -> Life<R::Value, R::Error>
    where
        F: Fn(Core) -> Fut,
        Fut: Future<Output = R>,
        R: CoreOutput,
    {
        let (life, entered) = runtime.block_on(async {
            let entered = Core::enter(self.id, self.shared, &runtime);
            let core = &entered.0;
            share_ports(Some(Rc::new(SamePorts::new(self.shared))));
            runtime.set_inbox(Arc::clone(&self.shared.seats[self.id].inbox));
            let life = lived(core, main).await;
            match &life {
                Life::Output(Err(_)) => self.fail(),
                Life::Panicked(_) if !self.may_restart() => self.fail(),
                _ => {}
            }
            (life, entered)
        });
        share_ports(None);
        let grace = runtime.shutdown_grace();
        let leaked = runtime.shutdown_timeout(grace).err().unwrap_or_default();
        lock(&self.shared.seats[self.id].report).leaked += leaked.len();
        self.leave(entered);
        life
    }

    /// What the core kept is dropped last, when no task is left that could ask for it.
    fn leave(&self, entered: Entered) {
        foreign::guarded(|| drop(entered));
    }

    fn make_runtime(&self) -> io::Result<Runtime> {
        let mut builder = (self.settings.runtime)(self.id);
        if let Some(cpus) = self.settings.workers.get(self.id).and_then(Option::as_ref) {
            builder = builder.kernel_workers_on(cpus.clone());
        }
        Ok(builder.build()?)
    }

    /// Everything that was there of it is told of its new life.
    fn begin_again(&self) {
        lock(&self.shared.seats[self.id].report).restarts += 1;
        self.shared.seats[self.id].inbox.reopen();
        self.hear_of_ends();
        tell_all(self.shared, Note::Restarted(self.id));
    }

    /// It is told of the cores that have ended while its inbox was closed; behind what those have sent since it is open.
    fn hear_of_ends(&self) {
        for (other, seat) in self.shared.seats.iter().enumerate() {
            if seat.has_ended.load(Ordering::Acquire) {
                let note = Arc::new(Note::Ended(other));
                give(self.shared, self.id, Message::Do(note));
            }
        }
    }

    fn pin(&self) {
        let cpu = lock(&self.shared.seats[self.id].report).cpu;
        let Some(cpu) = cpu else { return };
        if let Err(error) = pin(cpu) {
            self.note(format!("it is not kept on CPU {cpu}: {error}"));
        }
    }

    fn note(&self, note: String) {
        lock(&self.shared.seats[self.id].report).notes.push(note);
    }
}

/// The closure of a core, until it ends, panics or is cut off.
async fn lived<F, Fut, R>(core: &Core, main: &F) -> Life<R::Value, R::Error>
where
    F: Fn(Core) -> Fut,
    Fut: Future<Output = R>,
    R: CoreOutput,
{
    let mut cut = pin!(core.cut());
    let stop = |cx: &mut Context<'_>| {
        // The inbox of a core that starts again may have been closed when this was told.
        if core.shared().phase() >= Phase::Stopping {
            note_stop(core);
        }
        cut.as_mut().poll(cx)
    };
    match caught(|| main(core.clone()), stop).await {
        Some(Ok(output)) => Life::Output(output.into_result()),
        Some(Err(panic)) => Life::Panicked(JoinError::panicked(panic)),
        None => Life::CutOff,
    }
}
