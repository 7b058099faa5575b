//! `Cores`: a runtime on each of several CPUs.

use std::fmt;
use std::future::Future;
use std::io;
use std::process;
use std::sync::Arc;
use std::thread;

use super::bell::{Listening, bell};
use super::core::Core;
use super::error::{CoreOutput, RunError};
use super::handle::Handle;
use super::listener::Accepting;
use super::settings::Settings;
use super::shared::{Phase, Shared, lock};
use super::stop::{cut, stop};
use super::thread::{CoreThread, Ended, Gate};
use crate::runtime::refuse_to_block;
use crate::warning;

/// A program on several cores, each with a thread, a runtime and a ring of its own.
///
/// [`run`](Cores::run) has the whole story.
pub struct Cores {
    shared: Arc<Shared>,
    settings: Settings,
    pub(super) accepting: Vec<Arc<Accepting>>,
}

/// What the threads of the cores give: by core, how it has ended.
type Endings<T, E> = Vec<Ended<T, E>>;

impl Cores {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings) -> Self {
        Cores {
            shared,
            settings,
            accepting: Vec::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shared.seats.len()
    }

    /// The cores as any thread sees them, also while they run and when they have ended.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.shared, &self.settings.notes)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Calls `main` on the thread of each core, and waits until all have ended.
    ///
    /// The future stays on its thread, so nothing in it need be `Send`. A core ends when its future does, and then takes
    /// nothing from the others any more: a core that is there for the others waits for [`Core::stopping`]. No future is made
    /// before every core has its runtime.
    ///
    /// # Errors
    ///
    /// [`RunError::Start`] if a thread or a runtime cannot be had: then `main` was not called at all.
    /// [`RunError::Failed`] and [`RunError::Panicked`] with the first error or panic of a `main`, once the others have been
    /// told to stop and have ended; see [`Builder::on_panic`](super::Builder::on_panic). [`RunError::CutOff`] if some did not end when they were told.
    ///
    /// # Panics
    ///
    /// In a runtime, whose other tasks it would hold up.
    ///
    /// # Examples
    ///
    /// Each core counts its own connections, without atomics:
    ///
    /// ```no_run
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// use saferring::cores::{Balance, Cores};
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut cores = Cores::builder().build()?;
    ///     let listener = cores.bind("127.0.0.1:7000", Balance::Hash)?;
    ///     let served = cores.run(async |core| {
    ///         let served = Rc::new(Cell::new(0));
    ///         let counted = Rc::clone(&served);
    ///         core.serve(&listener, move |stream| {
    ///             counted.set(counted.get() + 1);
    ///             async move { drop(stream.write_all("hello\n").await) }
    ///         })
    ///         .await?;
    ///         Ok::<_, std::io::Error>(served.get())
    ///     })?;
    ///     println!("served: {served:?}");
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn run<F, Fut>(
        self,
        main: F,
    ) -> Result<Vec<<Fut::Output as CoreOutput>::Value>, RunError<<Fut::Output as CoreOutput>::Error>>
    where
        F: Fn(Core) -> Fut + Sync,
        Fut: Future<Output: CoreOutput>,
    {
        refuse_to_block("Cores::run", "call it on another thread (spawn_blocking)");
        let start = |core, source| RunError::Start { core, source };
        self.check_names()?;
        let (bell, listening) = bell().map_err(|error| start(0, error))?;
        // Before the threads, so that none comes first.
        let _signals = match self.settings.signals {
            true => Some(bell.hear_signals().map_err(|error| start(0, error))?),
            false => None,
        };
        self.shared.set_bell(Some(bell));
        let gate = Gate::default();
        let (endings, refused) = thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut refused = None;
            for core in 0..self.count() {
                let builder = thread::Builder::new().name(self.settings.names[core].clone());
                let (gate, main) = (&gate, &main);
                let thread = CoreThread {
                    id: core,
                    shared: &self.shared,
                    settings: &self.settings,
                    accepting: &self.accepting,
                };
                match builder.spawn_scoped(scope, move || thread.run(gate, main)) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        refused = Some((core, error));
                        break;
                    }
                }
            }
            if refused.is_some() {
                gate.refuse();
            }
            if gate.wait_for(threads.len()) {
                let mut all = self.accepting.iter();
                match all.try_for_each(|one| one.start(scope, &self.shared)) {
                    Ok(()) => gate.open(),
                    Err(error) => {
                        refused = Some((0, error));
                        gate.refuse();
                    }
                }
            }
            self.watch(&listening, threads.len());
            let endings: Endings<_, _> = threads.into_iter().map(joined).collect();
            (endings, refused)
        });
        self.shared.set_bell(None);
        match refused {
            Some((core, source)) => Err(start(core, source)),
            None => self.outcome(endings),
        }
    }

    /// The library of Rust panics at a name that the system cannot take.
    fn check_names<E>(&self) -> Result<(), RunError<E>> {
        let names = &self.settings.names;
        match names.iter().position(|name| name.contains('\0')) {
            None => Ok(()),
            Some(core) => Err(RunError::Start {
                core,
                source: io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the name of its thread has a NUL in it",
                ),
            }),
        }
    }

    /// Waits until all cores have ended; hears of signals meanwhile.
    fn watch(&self, listening: &Listening, cores: usize) {
        loop {
            // They may have been told before they ran.
            if self.shared.phase() >= Phase::Stopping {
                for accepting in &self.accepting {
                    accepting.stop_if_served(&self.shared);
                }
            }
            if self.shared.ended() >= cores {
                break;
            }
            for _ in 0..listening.wait() {
                match self.shared.phase() {
                    Phase::Running => stop(&self.shared),
                    Phase::Stopping => cut(&self.shared),
                    Phase::Cut => self.give_up(),
                }
            }
        }
        self.stop_accepting();
    }

    /// A core does not even end when it is cut off, and somebody asks for the third time.
    fn give_up(&self) {
        warning::always(&format!(
            "{} of {} cores have ended; what holds up the others is ended with the process",
            self.shared.ended(),
            self.count()
        ));
        process::exit(130); // As a shell says of who died of Ctrl-C.
    }

    fn stop_accepting(&self) {
        for accepting in &self.accepting {
            accepting.stop(&self.shared);
        }
    }

    /// What all have come to.
    fn outcome<T, E>(&self, endings: Endings<T, E>) -> Result<Vec<T>, RunError<E>> {
        let first = *lock(&self.shared.failed);
        let mut values = Vec::new();
        let mut cut = Vec::new();
        let mut failure = None;
        for (core, ending) in endings.into_iter().enumerate() {
            match ending {
                Ended::Done(value) => values.push(value),
                Ended::CutOff => cut.push(core),
                Ended::NotStarted(None) => {}
                Ended::NotStarted(Some(source)) => {
                    return Err(RunError::Start { core, source });
                }
                Ended::Failed(error) if first == Some(core) => {
                    failure = Some(RunError::Failed { core, error });
                }
                Ended::Panicked(panic) if first == Some(core) => {
                    failure = Some(RunError::Panicked { core, panic });
                }
                Ended::Failed(_) | Ended::Panicked(_) => {}
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None if !cut.is_empty() => Err(RunError::CutOff { cores: cut }),
            None => Ok(values),
        }
    }
}

impl Drop for Cores {
    /// What was given to cores that have not run, and never will, is refused.
    fn drop(&mut self) {
        for seat in &self.shared.seats {
            seat.inbox.end();
        }
    }
}

/// How a core's thread has ended; it catches all panics itself.
fn joined<T, E>(thread: thread::ScopedJoinHandle<'_, Ended<T, E>>) -> Ended<T, E> {
    match thread.join() {
        Ok(ending) => ending,
        Err(_) => Ended::NotStarted(Some(io::Error::other("its thread has panicked"))),
    }
}

impl fmt::Debug for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cores")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
