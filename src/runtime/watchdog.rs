//! The watchdog: one thread for all runtimes of the process that want to know when a task holds up their loop.
//!
//! It compares what each loop shows of itself ([`PulseRef`]) with what it showed before. It is made with the first such runtime,
//! and ends when the last is gone. It has no descriptor and sends no signal.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::stall::{Finding, Limit, Sight, Who};
use crate::op;
use crate::task::PulseRef;
use crate::warning;

/// Its thread's name.
const NAME: &str = "saferring-stall";
/// No bound is shorter: the scheduler alone may take as long.
const BOUND_MIN: Duration = Duration::from_millis(1);
/// So many looks within a bound.
const LOOKS: u32 = 4;

static STATE: Mutex<State> = Mutex::new(State {
    cores: Vec::new(),
    has_thread: false,
    has_changed: false,
    limit: Limit::new(),
});
/// Signalled when a runtime comes, or the last has gone.
static CHANGED: Condvar = Condvar::new();
/// How often all were looked at.
static LOOKED: AtomicU64 = AtomicU64::new(0);

/// What the watchdog knows. No foreign code runs under the lock, and nothing that waits.
struct State {
    cores: Vec<Core>,
    has_thread: bool,
    /// The thread is to look at once.
    has_changed: bool,
    limit: Limit,
}

/// A loop that is watched.
struct Core {
    pulse: Arc<PulseRef>,
    /// What it is called: by its thread.
    name: String,
    sight: Sight,
    /// Who held it, if that was told.
    told: Option<Who>,
}

/// Has a loop watched until it is dropped.
pub(super) struct Watched {
    pulse: Arc<PulseRef>,
}

impl Watched {
    /// Watches the loop of the calling thread: it may stand still for `bound`.
    ///
    /// # Errors
    ///
    /// If the watchdog's thread cannot be made.
    pub(super) fn new(pulse: PulseRef, bound: Duration) -> io::Result<Self> {
        static FORKS: Once = Once::new();
        FORKS.call_once(|| op::at_fork(before_fork, in_parent, in_child));
        let pulse = Arc::new(pulse);
        let mut state = lock();
        if !state.has_thread {
            thread::Builder::new().name(NAME.to_owned()).spawn(watch)?;
            state.has_thread = true;
        }
        state.cores.push(Core {
            pulse: Arc::clone(&pulse),
            name: core_name(),
            sight: Sight::new(bound.max(BOUND_MIN)),
            told: None,
        });
        state.has_changed = true;
        drop(state);
        CHANGED.notify_one();
        Ok(Watched { pulse })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = lock();
        state
            .cores
            .retain(|core| !Arc::ptr_eq(&core.pulse, &self.pulse));
        if state.cores.is_empty() {
            state.has_changed = true;
            drop(state);
            CHANGED.notify_one();
        }
    }
}

fn core_name() -> String {
    match thread::current().name() {
        Some(name) => format!("core {name:?}"),
        None => format!(
            "core of thread {}",
            rustix::thread::gettid().as_raw_nonzero()
        ),
    }
}

/// Nothing panics under it, so a poisoned lock holds no broken state.
fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of the thread.
fn watch() {
    let mut last = Instant::now();
    let mut asked = Duration::ZERO;
    loop {
        let mut state = lock();
        if state.cores.is_empty() {
            state.has_thread = false;
            return;
        }
        state.has_changed = false;
        let now = Instant::now();
        let lines = state.look(now, counted(now - last, asked));
        asked = state.interval();
        last = now;
        drop(state);
        for line in lines {
            warning::always(&line);
        }
        LOOKED.fetch_add(1, Ordering::Release);
        let waited = CHANGED.wait_timeout_while(lock(), asked, |state| !state.has_changed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// How much of the time since the last look counts. Who has slept far longer than it asked for was stopped, and so may all others
/// have been.
fn counted(passed: Duration, asked: Duration) -> Duration {
    match passed > asked * 2 {
        true => asked,
        false => passed,
    }
}

impl State {
    /// Looks at all loops; what is to be said of them.
    fn look(&mut self, now: Instant, passed: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        for core in &mut self.cores {
            let line = match core.sight.see(core.pulse.look(), passed) {
                Finding::Nothing => None,
                Finding::Stalls {
                    still,
                    first,
                    by_one,
                } => {
                    if first {
                        core.pulse.count_stall();
                    }
                    self.limit.admit(now).map(|left_out| {
                        let who = Who::new(core.pulse.holder(), by_one);
                        let line = who.stalls(&core.name, still, left_out);
                        core.told = Some(who);
                        line
                    })
                }
                Finding::Over(still) => core.told.take().and_then(|who| {
                    let left_out = self.limit.admit(now)?;
                    Some(who.over(&core.name, still, left_out))
                }),
            };
            lines.extend(line);
        }
        lines
    }

    /// The time to the next look.
    fn interval(&self) -> Duration {
        let bounds = self.cores.iter().map(|core| core.sight.bound());
        bounds.min().unwrap_or(BOUND_MIN) / LOOKS
    }
}

thread_local! {
    /// The lock, which the thread that forks has meanwhile: else the child might find it held by a thread that it has not.
    static FORKING: RefCell<Option<MutexGuard<'static, State>>> = const { RefCell::new(None) };
}

extern "C" fn before_fork() {
    // At the thread's end there may be no place for it.
    let _ = FORKING.try_with(|guard| guard.replace(Some(lock())));
}

extern "C" fn in_parent() {
    let _ = FORKING.try_with(RefCell::take);
}

/// The child has no watchdog, and none of the loops. A runtime that it makes begins anew.
extern "C" fn in_child() {
    let _ = FORKING.try_with(|guard| {
        if let Some(mut state) = guard.take() {
            state.cores.clear();
            state.has_thread = false;
        }
    });
}

/// How often the watchdog has looked at all runtimes, for tests that wait for it.
#[doc(hidden)]
pub fn stall_looks() -> u64 {
    LOOKED.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_watchdog_was_stopped_counts_as_one_look() {
        let asked = Duration::from_millis(25);
        assert_eq!(counted(asked, asked), asked);
        assert_eq!(counted(asked * 2, asked), asked * 2);
        assert_eq!(counted(Duration::from_secs(3600), asked), asked);
        // It was woken early.
        assert_eq!(counted(Duration::ZERO, asked), Duration::ZERO);
    }
}
