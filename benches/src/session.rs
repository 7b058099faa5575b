//! Runs workloads: all contenders alive at once, in slices that alternate.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cells::{Cell, Kind};
use crate::contender::{Contender, Work};
use crate::control::{Slice, histogram};
use crate::data;
use crate::load::Way;
use crate::measure::learn_cores;
use crate::progress::Progress;
use crate::report::{Entry, Figures, Latency, Outcome, Workload};
use crate::runner::{self, Runner};
use crate::settings::Settings;
use crate::stats::{Column, compare, shuffled};
use crate::syscalls::Counter;
use crate::web::wrk;

/// What all workloads share.
pub(crate) struct Session {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) settings: Settings,
    pub(crate) progress: Progress,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A contender and how it fares.
struct Lane {
    contender: Contender,
    /// `None` if it cannot do this, or has failed.
    runner: Option<Runner>,
    outcome: Outcome,
    samples: Vec<Slice>,
    latencies: Histogram<u64>,
    /// Of CPU time, as far as it was looked at: user and system.
    ticks: (i64, i64),
    memory: Option<f64>,
    syscalls: Option<f64>,
}

impl Session {
    /// # Errors
    ///
    /// If this process itself cannot go on; what contenders do wrong is in the result.
    pub(crate) fn run(&mut self, cell: &Cell) -> io::Result<Workload> {
        let (connections, message) = match cell.kind {
            Kind::Serve(Way::Tcp, connections, message) => (Some(connections), Some(message)),
            _ => (None, None),
        };
        let mut workload = Workload {
            name: cell.name.clone(),
            title: cell.title.clone(),
            operation: cell.operation.into(),
            bytes: cell.bytes,
            connections,
            message,
            base: cell.base().into(),
            skipped: too_few_cores(cell)
                .or_else(|| self.too_many_files(cell))
                .or_else(|| wrk::missing().filter(|_| cell.is_http())),
            entries: Vec::new(),
        };
        self.progress.begin(&cell.name);
        if workload.skipped.is_none() {
            let mut lanes: Vec<_> = self.contenders.iter().map(Lane::new).collect();
            match cell.kind {
                Kind::Idle(_) | Kind::Memory(_) => self.measure_memory(cell, &mut lanes)?,
                _ => self.race(cell, &mut lanes)?,
            }
            workload.entries = entries(lanes, cell.base());
        }
        self.progress.end();
        Ok(workload)
    }

    /// Why a workload cannot be run within the limit of open files.
    fn too_many_files(&self, cell: &Cell) -> Option<String> {
        let (Kind::Serve(_, connections, _) | Kind::Idle(connections)) = cell.kind else {
            return None;
        };
        let (needed, limit) = (connections as u64 + 200, self.settings.open_files);
        (needed > limit)
            .then(|| format!("it needs {needed} open files, and the limit (ulimit -Hn) is {limit}"))
    }

    fn check_stop(&self) -> io::Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    fn measure_memory(&self, cell: &Cell, lanes: &mut [Lane]) -> io::Result<()> {
        for lane in lanes {
            self.check_stop()?;
            match runner::memory(&lane.contender, &cell.kind) {
                Ok(None) => {}
                Ok(bytes) => (lane.outcome, lane.memory) = (Outcome::Measured, bytes),
                Err(error) => lane.fail(&error),
            }
        }
        Ok(())
    }

    fn race(&self, cell: &Cell, lanes: &mut [Lane]) -> io::Result<()> {
        let (rounds, restarts) = (self.settings.rounds_of(cell), self.settings.restarts);
        for restart in 0..restarts {
            self.start(cell, lanes, restart as u64)?;
            for round in (restart..rounds).step_by(restarts) {
                self.round(cell, lanes, round as u64)?;
            }
            for lane in &mut *lanes {
                lane.add_ticks(1);
            }
        }
        lanes
            .iter_mut()
            .try_for_each(|lane| self.count_syscalls(cell, lane))
    }

    /// Sets all up, in an order that differs every time.
    fn start(&self, cell: &Cell, lanes: &mut [Lane], restart: u64) -> io::Result<()> {
        prepare_round(cell)?;
        for index in shuffled(lanes.len(), restart + 1000) {
            self.check_stop()?;
            prepare_slice(cell)?;
            let lane = &mut lanes[index];
            if let Outcome::Failed(_) = lane.outcome {
                continue;
            }
            match Runner::start(&lane.contender, cell, self.settings.slice) {
                Ok(None) => {}
                Ok(runner) => {
                    (lane.outcome, lane.runner) = (Outcome::Measured, runner);
                    lane.add_ticks(-1);
                }
                Err(error) => lane.fail(&error),
            }
        }
        Ok(())
    }

    fn round(&self, cell: &Cell, lanes: &mut [Lane], round: u64) -> io::Result<()> {
        prepare_round(cell)?;
        for index in shuffled(lanes.len(), round + 1) {
            self.check_stop()?;
            let lane = &mut lanes[index];
            let Some(runner) = &mut lane.runner else {
                continue;
            };
            prepare_slice(cell)?;
            match runner.slice(self.settings.slice) {
                Ok(slice) => lane.add(slice),
                Err(error) => lane.fail(&error),
            }
        }
        Ok(())
    }

    /// A slice of its own, because counting costs.
    fn count_syscalls(&self, cell: &Cell, lane: &mut Lane) -> io::Result<()> {
        let counter = lane
            .runner
            .as_ref()
            .map(|runner| Counter::start(runner.process.id()));
        if let (Some(runner), Some(Ok(counter))) = (&mut lane.runner, counter) {
            prepare_slice(cell)?;
            let sample = runner.slice(self.settings.slice);
            let calls = sample.and_then(|sample| Ok(counter.read()? as f64 / sample.ops as f64));
            lane.syscalls = calls.ok();
        }
        Ok(())
    }
}

/// Why a workload cannot be run on the cores that this process has.
fn too_few_cores(cell: &Cell) -> Option<String> {
    let (needed, given) = (cell.cores(), learn_cores(None).len());
    (needed > given).then(|| format!("it needs {needed} cores, and there are {given}"))
}

/// What comes before each round.
pub(crate) fn prepare_round(cell: &Cell) -> io::Result<()> {
    let Some(work) = cell.kind.work() else {
        return Ok(());
    };
    if let Some(file) = work.file() {
        data::fill(&file.path, file.len)?;
    }
    match work {
        Work::Read { direct: true, .. } | Work::Copy(..) => Ok(()),
        work => work.file().map_or(Ok(()), |file| data::warm(&file.path)),
    }
}

/// What comes before each slice: nobody is to find the caches as another left them.
pub(crate) fn prepare_slice(cell: &Cell) -> io::Result<()> {
    match cell.kind.work() {
        Some(Work::Read {
            file, direct: true, ..
        }) => data::cool(&file.path),
        Some(Work::Copy(from, to)) => {
            data::clear(to)?;
            data::warm(&from.path)
        }
        _ => Ok(()),
    }
}

impl Lane {
    fn new(contender: &Contender) -> Self {
        Lane {
            contender: *contender,
            runner: None,
            outcome: Outcome::Unsupported,
            samples: Vec::new(),
            latencies: histogram(),
            ticks: (0, 0),
            memory: None,
            syscalls: None,
        }
    }

    fn add(&mut self, mut slice: Slice) {
        for (nanos, count) in slice.latencies.drain(..) {
            self.latencies.saturating_record_n(nanos, count);
        }
        self.samples.push(slice);
    }

    /// Ends its process, but keeps what was measured until then.
    fn fail(&mut self, error: &io::Error) {
        self.outcome = Outcome::Failed(error.to_string());
        self.runner = None;
    }

    /// Adds what it has used so far, or takes it away.
    fn add_ticks(&mut self, sign: i64) {
        let ticks = self.runner.as_ref().map(|runner| runner.process.ticks());
        let (user, system) = ticks.and_then(Result::ok).unwrap_or_default();
        self.ticks.0 += sign * user;
        self.ticks.1 += sign * system;
    }

    fn figures(&self) -> Option<Figures> {
        if self.samples.is_empty() {
            return None;
        }
        let per_op = |time: fn(&Slice) -> Duration| -> Vec<f64> {
            let per_op = |slice| time(slice).as_nanos() as f64 / slice.ops as f64;
            self.samples.iter().map(per_op).collect()
        };
        let (cpu, wall) = (per_op(|slice| slice.cpu), per_op(|slice| slice.wall));
        let ops: u64 = self.samples.iter().map(|slice| slice.ops).sum();
        let enters: Option<u64> = self.samples.iter().map(|slice| slice.enters).sum();
        let (user, ticks) = (self.ticks.0, self.ticks.0 + self.ticks.1);
        Some(Figures {
            throughput: Column::new(wall.iter().map(|nanos| 1e9 / nanos).collect()),
            cpu: Column::new(cpu),
            wall: Column::new(wall),
            // A tick is 10 ms, as a rule: of a few, nothing can be said. One that has failed was not looked at again.
            user_share: (self.runner.is_some() && ticks >= 20).then(|| user as f64 / ticks as f64),
            latency: latency(&self.latencies),
            enters: enters.map(|enters| enters as f64 / ops as f64),
            syscalls: self.syscalls,
            cpu_to_raw: None,
            wall_to_raw: None,
        })
    }
}

fn latency(histogram: &Histogram<u64>) -> Option<Latency> {
    if histogram.is_empty() {
        return None;
    }
    const PERCENTS: [f64; 12] = [
        10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999,
    ];
    let mut percents = Vec::from(PERCENTS);
    // Beyond what the count of values can show there is only the largest again.
    percents.retain(|percent| (100.0 - percent) / 100.0 * histogram.len() as f64 >= 1.0);
    let at = |percent| histogram.value_at_percentile(percent);
    Some(Latency {
        mean: histogram.mean(),
        deviation: histogram.stdev(),
        p50: at(50.0),
        p95: at(95.0),
        p99: at(99.0),
        p999: at(99.9),
        max: histogram.max(),
        curve: percents
            .iter()
            .map(|&percent| (percent, at(percent)))
            .collect(),
    })
}

/// The results, each compared with the base's.
fn entries(lanes: Vec<Lane>, base: &str) -> Vec<Entry> {
    let entry = |lane: Lane| Entry {
        contender: lane.contender.name.into(),
        figures: lane.figures(),
        outcome: lane.outcome,
        memory: lane.memory,
    };
    let mut entries: Vec<Entry> = lanes.into_iter().map(entry).collect();
    let found = entries.iter().find(|entry| entry.contender == base);
    let Some(figures) = found.and_then(|entry| entry.figures.as_ref()) else {
        return entries;
    };
    let (base_cpu, base_wall) = (figures.cpu.rounds.clone(), figures.wall.rounds.clone());
    for entry in entries.iter_mut().filter(|entry| entry.contender != base) {
        if let Some(figures) = &mut entry.figures {
            figures.cpu_to_raw = Some(compare(&figures.cpu.rounds, &base_cpu));
            figures.wall_to_raw = Some(compare(&figures.wall.rounds, &base_wall));
        }
    }
    entries
}
