//! How many cores, which, and with what runtimes.

use std::sync::Arc;
use std::time::Duration;

use super::cores::Cores;
use super::placement::{Cpu, Placement, PlacementError, place};
use super::report::CoreReport;
use super::settings::{MakeRuntime, OnPanic, Settings};
use super::shared::Shared;
use crate::runtime;

/// What a core's thread is called.
type MakeName = Arc<dyn Fn(usize) -> String + Send + Sync>;

/// Makes [`Cores`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use saferring::cores::{Cores, OnPanic, Placement};
/// use saferring::runtime;
///
/// let cores = Cores::builder()
///     .cores(Placement::Count(1))
///     .thread_name(|core| format!("shard-{core}"))
///     .runtime(|_core| runtime::Builder::new().entries(64))
///     .grace(Duration::from_secs(2))
///     .on_panic(OnPanic::Restart)
///     .build()?;
/// assert_eq!(cores.count(), 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    placement: Placement,
    pinned: bool,
    name: MakeName,
    runtime: MakeRuntime,
    grace: Duration,
    requests: usize,
    on_panic: OnPanic,
    signals: bool,
}

impl Cores {
    /// Which cores, and what with.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Self {
        Builder {
            placement: Placement::default(),
            pinned: true,
            name: Arc::new(|core| format!("core-{core}")),
            runtime: Arc::new(|_| runtime::Builder::new()),
            grace: Duration::from_secs(10),
            requests: 1024,
            on_panic: OnPanic::Stop,
            signals: true,
        }
    }

    /// Which CPUs get a core each; by default all that the process may use.
    pub fn cores(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether each core is kept on its CPU; by default it is. Where that is refused the core runs all the same, and its
    /// [report](CoreReport::notes) says so.
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.pinned = pinned;
        self
    }

    /// What the thread of each core is called: by default `core-0` and so on. The kernel shows the first 15 bytes.
    pub fn thread_name(mut self, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.name = Arc::new(name);
        self
    }

    /// The runtime of each core, which is made on its thread when that is on its CPU: so rings, buffers and tables lie in the
    /// memory of its NUMA node.
    pub fn runtime(
        mut self,
        runtime: impl Fn(usize) -> runtime::Builder + Send + Sync + 'static,
    ) -> Self {
        self.runtime = Arc::new(runtime);
        self
    }

    /// How long what is told to stop may take to end by itself; by default ten seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many calls of one core may wait at another, at least one; by default 1,024. See [`Core::call`](super::Core::call).
    pub fn requests(mut self, requests: usize) -> Self {
        self.requests = requests.max(1);
        self
    }

    /// What becomes of the others when the closure of a core panics.
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = on_panic;
        self
    }

    /// Whether `SIGINT` and `SIGTERM` tell the cores to stop, and a second one cuts off what is left; by default they do. A
    /// third one ends the process, if a core hangs: nothing else can. It is so from the call of [`Cores::run`] on, for the rest of the process: then neither ends it by itself any more.
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// Finds the CPUs. No thread runs yet.
    ///
    /// # Errors
    ///
    /// If the [`Placement`] names CPUs that there are not, or none.
    pub fn build(self) -> Result<Cores, PlacementError> {
        let placed = place(&self.placement)?;
        let cpus: Vec<Option<Cpu>> = match self.placement {
            Placement::Unpinned(0) => return Err(PlacementError::Empty),
            Placement::Unpinned(count) => vec![None; count],
            _ => placed.cpus.iter().copied().map(Some).collect(),
        };
        let pinned = |cpu: &Option<Cpu>| cpu.filter(|_| self.pinned);
        let report = |(core, cpu): (usize, &Option<Cpu>)| CoreReport {
            core,
            cpu: pinned(cpu).map(|cpu| cpu.cpu),
            node: pinned(cpu).and_then(|cpu| cpu.node),
            ..CoreReport::default()
        };
        let reports: Vec<_> = cpus.iter().enumerate().map(report).collect();
        let count = reports.len();
        // With one node there is nothing to keep to.
        let node = |cpu: &Option<Cpu>| match pinned(cpu).and_then(|cpu| cpu.node) {
            Some(node) if placed.nodes.len() > 1 => placed.nodes.get(&node),
            _ => None,
        };
        // Without the core's own: the kernel puts a worker on what its mask and its thread's have in common, if anything.
        let workers = |cpu: &Option<Cpu>| {
            let others = |&&other: &&usize| pinned(cpu).is_none_or(|own| own.cpu != other);
            node(cpu).map(|cpus| cpus.iter().filter(others).copied().collect())
        };
        let workers = cpus.iter().map(workers).collect();
        let settings = Settings {
            runtime: self.runtime,
            names: (0..count).map(|core| (self.name)(core)).collect(),
            on_panic: self.on_panic,
            signals: self.signals,
            notes: placed.notes,
            workers,
        };
        let shared = Shared::new(
            reports,
            self.grace,
            self.requests,
            self.on_panic == OnPanic::Restart,
        );
        Ok(Cores::new(shared, settings))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("placement", &self.placement)
            .field("pinned", &self.pinned)
            .field("grace", &self.grace)
            .field("requests", &self.requests)
            .field("on_panic", &self.on_panic)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}
