//! What all cores count, in one place.

use std::fmt::{self, Write};
use std::future::Future;

use futures_util::future::join_all;

use super::handle::Handle;
use super::report::CoreReport;
use crate::runtime::{self, SAMPLES};

/// What one core counts and has now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CoreMetrics {
    /// Connections that it serves now.
    pub live: usize,
    /// What it has done since it was started.
    pub report: CoreReport,
    /// What its runtime has counted; `None` if the core does not run.
    pub runtime: Option<runtime::Metrics>,
}

/// What all cores count; see [`Handle::metrics`].
///
/// Shown, it is text for Prometheus: a page of this is all that it wants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// By core.
    pub cores: Vec<CoreMetrics>,
}

impl Handle {
    /// What each core has counted, as it says itself between two of its tasks. A core that is held up by one keeps the answer
    /// waiting: put a timeout around it. What [`connections`](Handle::connections) and [`report`](Handle::report) tell needs no
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// A page for Prometheus:
    ///
    /// ```
    /// use saferring::cores::{Cores, Placement};
    ///
    /// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
    /// let handle = cores.handle();
    /// cores.run(async |_core| {
    ///     let metrics = handle.metrics().await;
    ///     assert!(metrics.to_string().contains("saferring_ticks_total{core=\"0\"}"));
    ///     assert_eq!(metrics.total().tasks, 1); // the one that counts
    /// })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self) -> impl Future<Output = Metrics> + Send + use<> {
        let cores = (0..self.count()).filter_map(|core| self.core(core));
        let asked: Vec<_> = cores
            .map(|core| core.run(async || runtime::metrics()))
            .collect();
        let this = self.clone();
        async move {
            let answers = join_all(asked).await;
            let reports = this.report().cores;
            let cores = this.connections().into_iter().zip(reports).zip(answers);
            let cores = cores.map(|((live, report), answer)| CoreMetrics {
                live,
                report,
                runtime: answer.ok(),
            });
            Metrics {
                cores: cores.collect(),
            }
        }
    }
}

impl Metrics {
    /// The sum of what the runtimes have counted.
    pub fn total(&self) -> runtime::Metrics {
        let runtimes = self.cores.iter().filter_map(|core| core.runtime);
        runtimes.fold(runtime::Metrics::default(), |sum, one| sum + one)
    }
}

/// One number of each core: its name, what it is, whether it only grows, and its value where there is one.
type Series = (&'static str, &'static str, bool, Vec<Option<u64>>);

impl Metrics {
    fn series(&self) -> Vec<Series> {
        let of_all = |value: fn(&CoreMetrics) -> u64| {
            self.cores.iter().map(|core| Some(value(core))).collect()
        };
        let mut all: Vec<Series> = vec![
            (
                "up",
                "Whether the core runs.",
                false,
                of_all(|core| core.runtime.is_some().into()),
            ),
            (
                "connections",
                "Connections served now.",
                false,
                of_all(|core| core.live as u64),
            ),
            (
                "accepted",
                "Connections taken.",
                true,
                of_all(|core| core.report.connections),
            ),
            (
                "ended",
                "Connections that have ended.",
                true,
                of_all(|core| core.report.ended),
            ),
            (
                "cut",
                "Connections cut off.",
                true,
                of_all(|core| core.report.cut),
            ),
            (
                "handler_panics",
                "Handlers that panicked.",
                true,
                of_all(|core| core.report.panicked),
            ),
            (
                "accept_errors",
                "Accepts that failed.",
                true,
                of_all(|core| core.report.accept_errors),
            ),
            (
                "restarts",
                "Restarts after a panic.",
                true,
                of_all(|core| core.report.restarts),
            ),
        ];
        for sample in SAMPLES {
            let value = |core: &CoreMetrics| Some((sample.value)(core.runtime.as_ref()?));
            let values = self.cores.iter().map(value).collect();
            all.push((sample.name, sample.help, sample.is_total, values));
        }
        all
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        for (short, help, is_total, values) in self.series() {
            name.clear();
            let (end, kind) = if is_total {
                ("_total", "counter")
            } else {
                ("", "gauge")
            };
            write!(name, "saferring_{short}{end}")?;
            writeln!(f, "# HELP {name} {help}")?;
            writeln!(f, "# TYPE {name} {kind}")?;
            for (core, value) in values.iter().enumerate() {
                if let Some(value) = value {
                    writeln!(f, "{name}{{core=\"{core}\"}} {value}")?;
                }
            }
        }
        Ok(())
    }
}
