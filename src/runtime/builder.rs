//! How a runtime is made.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::advanced::AdvancedConfig;
use super::event_loop::Core;
use super::park::Spin;
use super::runtime::Runtime;
use super::watchdog::Watched;
use crate::Error;
use crate::driver::{Driver, PoolConfig};
use crate::sys::{Backend, Notifier, RingConfig, RingTuning, Setup, ThreadPool};
use crate::task::{Executor, Unpark};

/// Makes a [`Runtime`].
///
/// # Examples
///
/// ```
/// use saferring::runtime::Builder;
/// use std::time::Duration;
///
/// let runtime = Builder::new()
///     .entries(1024)
///     .shutdown_grace(Duration::from_secs(2))
///     .build()?;
/// # drop(runtime);
/// # Ok::<_, saferring::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    entries: u32,
    completion_entries: Option<u32>,
    backend: Backend,
    setup: Setup,
    pub(super) event_interval: u32,
    pub(super) spin: Duration,
    /// What the latency options add to the ring's configuration.
    pub(super) ring: RingTuning,
    advanced: AdvancedConfig,
    blocking_threads: usize,
    shutdown_grace: Duration,
    provided: PoolConfig,
    fixed: (usize, u32),
    stall_bound: Option<Duration>,
}

/// How many threads look up names, and copy files, at most.
const OWN_THREADS: usize = 16;
/// Small, because rings are charged to the locked-memory limit: with its completions 80 KiB, so that the usual limit of
/// 8 MiB has room for a hundred. What does not fit waits in a queue of ours, which costs a second enter.
const ENTRIES: u32 = 256;
/// Multishot operations answer many times: the completion queue has to be the larger one.
const COMPLETIONS_PER_ENTRY: u32 = 16;

impl Builder {
    /// The defaults: 256 entries, 4096 completions, the best setup flags, 256 polls between two looks at the kernel,
    /// up to 64 blocking threads, five seconds of grace.
    pub fn new() -> Self {
        Builder {
            entries: ENTRIES,
            completion_entries: None,
            backend: Backend::default(),
            setup: Setup::default(),
            event_interval: 256,
            spin: Duration::ZERO,
            ring: RingTuning::default(),
            advanced: AdvancedConfig::default(),
            blocking_threads: 64,
            shutdown_grace: Duration::from_secs(5),
            provided: PoolConfig {
                buffer_size: 16 * 1024,
                buffers: 256,
                groups_max: 16,
            },
            fixed: (64 * 1024, 32),
            stall_bound: None,
        }
    }

    /// Entries of the submission queue, at least eight: how many operations one enter can submit. The kernel rounds up
    /// to a power of two and allows 32,768; where the locked-memory limit is too low, the runtime makes do with fewer
    /// ([`Runtime::ring_info`] tells). More operations than entries can be in flight.
    pub fn entries(mut self, entries: u32) -> Self {
        self.entries = entries;
        self
    }

    /// Entries of the completion queue; by default 16 times those of the submission queue.
    pub fn completion_entries(mut self, entries: u32) -> Self {
        self.completion_entries = Some(entries);
        self
    }

    /// What carries the operations out.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// The setup flags to try first.
    pub fn setup(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// Which features of the kernel the runtime may use, and what happens without them.
    pub fn advanced(mut self, config: AdvancedConfig) -> Self {
        self.advanced = config;
        self
    }

    /// The most threads that [`spawn_blocking`](super::spawn_blocking) uses at a time; at least one. They are made
    /// when needed and end when idle for ten seconds.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = threads.max(1);
        self
    }

    /// The most threads of the kernel that do what would block the calling thread: `bounded` of them what ends soon,
    /// such as opens, writes and syncs of files; `unbounded` of them what may wait for somebody else, such as reads of
    /// terminals. 0, the default, leaves the kernel's own limit: of the first as many as [entries](Builder::entries),
    /// at most four a CPU; of the second what `RLIMIT_NPROC` allows.
    ///
    /// On two CPUs, where the kernel allows 8, other numbers from 1 to 32 changed nothing beyond the noise for stats,
    /// cached writes and opens; syncs of 32 files at once took 50, 35, 26, 20, 17 and 17 µs each with 1, 2, 4, 8, 16
    /// and 32.
    ///
    /// They are made when needed, end when idle for five seconds, and belong to the thread: of several runtimes on one,
    /// the last that was made sets the limits. [`Runtime::ring_info`] tells what held when the ring was made.
    ///
    /// # Kernel
    ///
    /// 5.15 (`IORING_REGISTER_IOWQ_MAX_WORKERS`, see io_uring_register(2)); ignored before.
    pub fn kernel_workers(mut self, bounded: u32, unbounded: u32) -> Self {
        self.ring.workers = [bounded, unbounded];
        self
    }

    /// The CPUs that those threads may run on, such as the others of the thread's NUMA node; none leaves the choice to the
    /// kernel, as does a refusal: of a CPU that the process's cpuset has not. It holds for threads that are made later, and as
    /// the limits do, for all runtimes of the thread.
    ///
    /// 5.14 (`IORING_REGISTER_IOWQ_AFF`), where their number can be limited. From 6.2 on they inherit where the thread is pinned,
    /// and run on what that and these CPUs have in common; on these if that is nothing. So a pinned thread names CPUs besides
    /// its own: else they run there, and it waits for them.
    pub(crate) fn kernel_workers_on(mut self, cpus: Vec<usize>) -> Self {
        self.ring.worker_cpus = cpus;
        self
    }

    /// The provided buffers of streams of chunks: their size in bytes, how many there are in a group (at most 32,768;
    /// rounded up to a power of two), and how many groups there may be. A group is made when the ones before are out;
    /// its memory is taken page by page as it is used. By default up to 16 groups of 256 buffers of 16 KiB.
    ///
    /// A buffer smaller than the usual message costs a completion for each piece; send the pieces on together
    /// ([`RecvStream::next_batch`](crate::net::RecvStream::next_batch)).
    pub fn provided_buffers(mut self, size: u32, buffers: u16, groups_max: u16) -> Self {
        self.provided = PoolConfig {
            buffer_size: size,
            buffers,
            groups_max: groups_max.max(1),
        };
        self
    }

    /// The runtime's pool of registered buffers ([`fixed_buffers`](super::fixed_buffers)): the size of each in bytes,
    /// and how many there are. It is made when it is first used; by default 32 of 64 KiB, which is one huge page.
    pub fn fixed_buffers(mut self, size: usize, buffers: u32) -> Self {
        self.fixed = (size, buffers);
        self
    }

    /// How long shutdown waits for the kernel, and for blocking threads, to finish.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// Reports a loop that stands still for longer than `bound`, and who holds it: a task that blocks or computes, and so
    /// keeps all others of its core waiting. Off by default; at least a millisecond.
    ///
    /// A report is a line on stderr, or an event of `tracing`:
    ///
    /// ```text
    /// saferring: core "shard-2" has not turned its loop for 125 ms: task 17 "compact", spawned at src/main.rs:40:9, holds it
    /// ```
    ///
    /// The core has the name of its thread. A stall that goes on is reported again each time that it has become twice as long, and
    /// once more when it is over. There are at most ten reports a minute in a process; the next one tells how many were left
    /// out. [`Metrics::stalls`](super::Metrics::stalls) counts all. The [runtime's page](super#stalls) says what counts as one.
    ///
    /// # Errors
    ///
    /// [`build`](Builder::build) fails if the thread that watches cannot be made.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use saferring::runtime::Builder;
    ///
    /// let bound = Duration::from_millis(100);
    /// let runtime = Builder::new().stall_detector(bound).build()?;
    /// runtime.block_on(async { /* ... */ });
    /// println!("{} stalls", runtime.metrics().stalls);
    /// # Ok::<_, saferring::Error>(())
    /// ```
    pub fn stall_detector(mut self, bound: Duration) -> Self {
        self.stall_bound = Some(bound);
        self
    }

    /// Makes the runtime, for the calling thread.
    ///
    /// # Errors
    ///
    /// If io_uring cannot be had and [`Backend::IoUring`] was asked for (the error names the cause and the cure), or no
    /// descriptor is free, or no thread for the [stall detector](Builder::stall_detector); if `SAFERRING_DISABLE`
    /// names a feature that there is not; if the kernel lacks a feature, and is not to
    /// ([`FallbackStrategy::Strict`](super::FallbackStrategy::Strict)).
    pub fn build(self) -> Result<Runtime, Error> {
        let ring = RingConfig {
            backend: self.choose_backend()?,
            entries: self.entries,
            completions: self
                .completion_entries
                .unwrap_or_else(|| self.entries.saturating_mul(COMPLETIONS_PER_ENTRY)),
            setup: self.setup,
            tuning: self.ring,
            policy: self.advanced.policy()?,
        };
        let driver = Rc::new(Driver::new(&ring, self.provided)?);
        crate::op::register(&driver);
        let notifier = driver.notifier().map_err(|source| Error::Resource {
            what: match source.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => {
                    "no descriptor is free for an eventfd; raise the limit (`ulimit -n`, or LimitNOFILE= in the \
                     service's unit)"
                }
                _ => "an eventfd",
            },
            source,
        })?;
        let notifier = Arc::new(notifier);
        let unparker = Unparker(Arc::clone(&notifier));
        let executor = Executor::new(Box::new(unparker), self.stall_bound.is_some());
        let watched = self.stall_bound;
        let watched = watched.map(|bound| Watched::new(executor.pulse_ref(), bound));
        let watched = watched.transpose().map_err(|source| Error::Resource {
            what: "a thread for the stall detector; the limit on processes may be reached (`ulimit -u`, LimitNPROC= or \
                   TasksMax= in the service's unit, or the container's pids limit)",
            source,
        })?;
        Ok(Runtime {
            core: Rc::new(Core {
                executor,
                driver,
                blocking: ThreadPool::new("saferring-blocking", self.blocking_threads),
                own_blocking: ThreadPool::new("saferring-blocking", OWN_THREADS),
                run_here: Cell::new(0),
                notifier,
                event_armed: Rc::new(Cell::new(false)),
                event_interval: self.event_interval,
                spin: Spin::new(self.spin),
                shutdown_grace: self.shutdown_grace,
                ticks: Cell::new(0),
                _watched: watched,
                fixed: OnceCell::new(),
                fixed_config: self.fixed,
                inbox: OnceCell::new(),
                own_tasks: Cell::new(0),
                readiness: OnceCell::new(),
                rests: Cell::new(false),
            }),
        })
    }

    /// The environment decides where the program leaves it open.
    fn choose_backend(&self) -> Result<Backend, Error> {
        if self.backend != Backend::Auto {
            return Ok(self.backend);
        }
        match std::env::var_os("SAFERRING_BACKEND") {
            None => Ok(Backend::Auto),
            Some(name) if name == "auto" => Ok(Backend::Auto),
            Some(name) if name == "io_uring" => Ok(Backend::IoUring),
            Some(name) if name == "software" => Ok(Backend::Software),
            Some(name) => Err(Error::UnknownBackend {
                name: name.to_string_lossy().into_owned(),
            }),
        }
    }
}

/// Ends the wait in the kernel of the runtime that owns the notifier.
struct Unparker(Arc<Notifier>);

impl Unpark for Unparker {
    fn unpark(&self) {
        self.0.notify();
    }
}

impl Runtime {
    /// A runtime with the defaults of [`Builder`].
    ///
    /// # Errors
    ///
    /// If no descriptor is free; see [`Builder::build`].
    pub fn new() -> Result<Self, Error> {
        Builder::new().build()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{read_dir, read_to_string};
    use std::path::Path;

    use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};

    use super::*;
    use crate::feature::Feature;
    use crate::op::Statx;
    use crate::sys::Status;

    /// The masks of the kernel's threads for a thread that may be pinned to `home`, after they have done something.
    fn workers(home: Option<usize>, on: Vec<usize>) -> Vec<String> {
        let thread = std::thread::spawn(move || {
            if let Some(home) = home {
                let mut pinned = CpuSet::new();
                pinned.set(home);
                sched_setaffinity(None, &pinned).unwrap();
            }
            let builder = Builder::new().backend(Backend::IoUring);
            let runtime = builder.kernel_workers_on(on).build().unwrap();
            runtime.block_on(async {
                let stat = Statx::path(Path::new("/proc/self/status"), 0).unwrap();
                stat.await.unwrap();
            });
            masks(&format!("iou-wrk-{}", gettid().as_raw_nonzero()))
        });
        thread.join().unwrap()
    }

    /// The masks that the process's threads of this name have.
    fn masks(name: &str) -> Vec<String> {
        let tasks = read_dir("/proc/self/task").unwrap();
        // Other threads may end meanwhile.
        let texts = tasks.filter_map(|task| read_to_string(task.ok()?.path().join("status")).ok());
        let value = |text: &str, key| {
            let value = text.lines().find_map(|line| line.strip_prefix(key));
            value.unwrap_or_default().trim().to_owned()
        };
        let masks: BTreeSet<_> = texts
            .filter(|text| value(text, "Name:") == name)
            .map(|text| value(&text, "Cpus_allowed_list:"))
            .collect();
        masks.into_iter().collect()
    }

    #[test]
    fn the_kernels_threads_keep_to_their_cpus() {
        let status = crate::op::features().status(Feature::KernelWorkers);
        let allowed = sched_getaffinity(None).unwrap();
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let (true, Some(home), Some(other)) = (
            matches!(status, Status::Used | Status::Available { .. }),
            cpus.next(),
            cpus.next(),
        ) else {
            return; // Without such threads, or a choice of CPUs.
        };
        let (own, others) = (home.to_string(), [other.to_string()]);
        // Not where the thread is, and not wherever they want.
        assert_eq!(workers(Some(home), vec![other]), others);
        assert_eq!(workers(None, vec![other]), others);
        assert_ne!(workers(Some(home), vec![]), others);
        // Kernels before 6.2 do not look where the thread is pinned.
        let both = workers(Some(home), vec![home, other]);
        let expected = [
            own.clone(),
            format!("{home},{other}"),
            format!("{home}-{other}"),
        ];
        assert!(both.len() == 1 && expected.contains(&both[0]), "{both:?}");
        // What is refused is no error.
        for refused in [vec![usize::MAX], vec![CpuSet::MAX_CPU * 8 - 1]] {
            assert_eq!(workers(Some(home), refused).len(), 1);
        }
    }
}
