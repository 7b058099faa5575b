//! The cores as any thread sees them.

use std::fmt;
use std::sync::Arc;

use super::report::Report;
use super::shared::{Shared, lock};
use super::stop::stop;
use crate::runtime;

/// The cores of a [`Cores`](super::Cores), from any thread and any runtime, before, while and after they run.
///
/// # Examples
///
/// ```
/// use saferring::cores::{Cores, Placement};
///
/// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
/// let handle = cores.handle();
/// let other = std::thread::spawn(move || {
///     let core = handle.core(0).expect("there is one");
///     let answer = core.run(async || 6 * 7).wait();
///     handle.shutdown();
///     answer
/// });
/// cores.run(async |core| core.stopping().await)?;
/// assert_eq!(other.join().unwrap()?, 42);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    notes: Arc<[String]>,
}

impl Handle {
    pub(super) fn new(shared: &Arc<Shared>, notes: &[String]) -> Self {
        Handle {
            shared: Arc::clone(shared),
            notes: notes.into(),
        }
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.shared.seats.len()
    }

    /// The runtime of a core, to give it work; `None` if there is no core with this number. Work that is given before
    /// the core runs waits until it does.
    pub fn core(&self, core: usize) -> Option<runtime::Handle> {
        let seat = self.shared.seats.get(core)?;
        Some(runtime::Handle::of(&seat.inbox))
    }

    /// Tells all cores to stop, as a signal does; see [`Core::stopping`](super::Core::stopping).
    pub fn shutdown(&self) {
        stop(&self.shared);
    }

    /// How many connections each core serves now, of those that [`Core::serve`](super::Core::serve) has accepted.
    pub fn connections(&self) -> Vec<usize> {
        self.shared.connections()
    }

    /// What each core has done by now, and what has been in its way.
    pub fn report(&self) -> Report {
        let seats = self.shared.seats.iter();
        Report {
            cores: seats.map(|seat| lock(&seat.report).clone()).collect(),
            notes: self.notes.to_vec(),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
