//! Runs workloads: all contenders alive at once, in slices that alternate.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use saferring_benches::compare_stats::compare;
use saferring_benches::stats::shuffled;

use crate::cells::{COPY_FILE, Cell, Kind, READ_FILE, READ_LEN, copy_len};
use crate::contender::{Contender, Work};
use crate::data::{self, Data};
use crate::progress::Progress;
use crate::racer::{self, Racer};
use crate::report::{Column, Entry, Figures, Latency, Outcome, RAW, Workload};
use crate::syscalls::Counter;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
    pub(crate) quick: bool,
    /// How many files this process may have open.
    pub(crate) open_files: u64,
}

impl Settings {
    pub(crate) fn rounds_of(&self, cell: &Cell) -> usize {
        match cell.kind {
            Kind::Idle { .. } | Kind::Memory(_) => 1,
            Kind::Long(..) => self.rounds.min((self.rounds / 5).max(5)),
            _ => self.rounds,
        }
    }
}

/// What all workloads share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) settings: Settings,
    pub(crate) data: Data,
    pub(crate) progress: Progress,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A contender and how it fares.
struct Place {
    name: &'static str,
    racer: Option<Racer>,
    outcome: Outcome,
    memory: Option<f64>,
    ticks: Option<(u64, u64)>,
    user_share: Option<f64>,
    syscalls: Option<f64>,
    /// Kept when the process is gone.
    ended: Option<Racer>,
}

impl Session {
    /// # Errors
    ///
    /// If this process itself cannot go on; what contenders do wrong is in the result.
    pub(crate) fn run(&mut self, cell: &Cell) -> io::Result<Workload> {
        let (connections, message) = match cell.kind {
            Kind::Echo {
                connections,
                message,
            } => (Some(connections), Some(message)),
            _ => (None, None),
        };
        let mut workload = Workload {
            name: cell.name.clone(),
            title: cell.title.clone(),
            operation: cell.operation.into(),
            bytes: cell.bytes,
            connections,
            message,
            skipped: self.too_many_files(cell),
            entries: Vec::new(),
        };
        self.progress.begin(cell, self.settings.rounds_of(cell));
        if workload.skipped.is_none() {
            let places = match cell.kind {
                Kind::Idle { .. } | Kind::Memory(_) => self.measure_memory(cell)?,
                _ => self.race(cell)?,
            };
            workload.entries = entries(places);
        }
        self.progress.end();
        Ok(workload)
    }

    /// Why a workload cannot be run within the limit of open files.
    fn too_many_files(&self, cell: &Cell) -> Option<String> {
        let needed = match cell.kind {
            Kind::Echo { connections, .. } | Kind::Idle { connections } => connections + 200,
            _ => 0,
        };
        let limit = self.settings.open_files;
        (needed as u64 > limit)
            .then(|| format!("it needs {needed} open files, and the limit (ulimit -Hn) is {limit}"))
    }

    fn check_stop(&self) -> io::Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    fn prepare_files(&self, cell: &Cell) -> io::Result<()> {
        let dir = self.data.dir();
        match &cell.kind {
            Kind::Work(
                Work::RandomRead { .. } | Work::SequentialRead { .. } | Work::Streams { .. },
            ) => data::fill(&dir.join(READ_FILE), READ_LEN),
            Kind::Long(Work::Copy { .. }, _) => {
                data::fill(&dir.join(COPY_FILE), copy_len(self.settings.quick))
            }
            _ => Ok(()),
        }
    }

    /// What comes before each slice: nobody is to find the caches as another left them.
    fn prepare_slice(&self, cell: &Cell) -> io::Result<()> {
        match &cell.kind {
            Kind::Work(Work::RandomRead {
                path, direct: true, ..
            }) => data::cool(path),
            Kind::Long(Work::Copy { from, to, .. }, _) => {
                data::clear(to)?;
                data::warm(from)
            }
            _ => Ok(()),
        }
    }

    /// What comes before each round.
    fn prepare_round(&self, cell: &Cell) -> io::Result<()> {
        match &cell.kind {
            Kind::Work(
                Work::RandomRead {
                    path,
                    direct: false,
                    ..
                }
                | Work::SequentialRead { path, .. }
                | Work::Streams { path, .. },
            ) => data::warm(path),
            _ => Ok(()),
        }
    }

    fn measure_memory(&mut self, cell: &Cell) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for contender in &self.contenders {
            self.check_stop()?;
            let measured = match &cell.kind {
                Kind::Memory(work) => racer::work_memory(contender, work),
                kind => racer::idle_memory(contender, kind),
            };
            let mut place = Place::new(contender.name);
            match measured {
                Ok(Some(bytes)) => {
                    place.outcome = Outcome::Measured;
                    place.memory = Some(bytes);
                }
                Ok(None) => {}
                Err(error) => place.outcome = Outcome::Failed(error.to_string()),
            }
            places.push(place);
        }
        Ok(places)
    }

    fn race(&mut self, cell: &Cell) -> io::Result<Vec<Place>> {
        self.prepare_files(cell)?;
        self.prepare_round(cell)?;
        let slice = self.settings.slice;
        let mut places = Vec::new();
        for contender in self.contenders.clone() {
            self.check_stop()?;
            self.prepare_slice(cell)?;
            let mut place = Place::new(contender.name);
            match Racer::start(&contender, cell, slice) {
                Ok(Some(racer)) => {
                    place.ticks = racer.process.ticks().ok();
                    place.racer = Some(racer);
                    place.outcome = Outcome::Measured;
                }
                Ok(None) => {}
                Err(error) => place.outcome = Outcome::Failed(error.to_string()),
            }
            places.push(place);
        }
        for round in 0..self.settings.rounds_of(cell) {
            self.prepare_round(cell)?;
            for index in shuffled(places.len(), round as u64 + 1) {
                self.check_stop()?;
                let place = &mut places[index];
                if let Some(racer) = &mut place.racer {
                    self.prepare_slice(cell)?;
                    if let Err(error) = racer.slice(slice) {
                        place.fail(&error);
                    }
                }
            }
            self.progress.round(round + 1);
        }
        for place in &mut places {
            place.share_ticks();
            self.count_syscalls(cell, place)?;
        }
        Ok(places)
    }

    /// A slice of its own, because counting costs.
    fn count_syscalls(&mut self, cell: &Cell, place: &mut Place) -> io::Result<()> {
        let Some(racer) = &mut place.racer else {
            return Ok(());
        };
        let Ok(counter) = Counter::start(racer.process.id()) else {
            return Ok(());
        };
        self.prepare_slice(cell)?;
        let sample = racer.slice(self.settings.slice);
        if let (Ok(sample), Ok(calls)) = (sample, counter.read()) {
            racer.samples.pop();
            place.syscalls = Some(calls as f64 / sample.ops as f64);
        }
        Ok(())
    }
}

impl Place {
    fn new(name: &'static str) -> Self {
        Place {
            name,
            racer: None,
            outcome: Outcome::Unsupported,
            memory: None,
            ticks: None,
            user_share: None,
            syscalls: None,
            ended: None,
        }
    }

    /// Ends its process, but keeps what was measured until then.
    fn fail(&mut self, error: &io::Error) {
        self.outcome = Outcome::Failed(error.to_string());
        if let Some(mut racer) = self.racer.take() {
            racer.process.end_now();
            self.ended = Some(racer);
        }
    }

    fn share_ticks(&mut self) {
        let now = self
            .racer
            .as_ref()
            .and_then(|racer| racer.process.ticks().ok());
        if let (Some(before), Some(now)) = (self.ticks, now) {
            let (user, system) = (now.0 - before.0, now.1 - before.1);
            // A tick is 10 ms, as a rule: of a few, nothing can be said.
            if user + system >= 20 {
                self.user_share = Some(user as f64 / (user + system) as f64);
            }
        }
    }

    fn figures(&self) -> Option<Figures> {
        let racer = self.racer.as_ref().or(self.ended.as_ref())?;
        if racer.samples.is_empty() {
            return None;
        }
        let per_op = |time: fn(&racer::Sample) -> Duration| {
            let per_op = |sample| time(sample).as_nanos() as f64 / sample.ops as f64;
            racer.samples.iter().map(per_op).collect::<Vec<f64>>()
        };
        let cpu = per_op(|sample| sample.cpu);
        let wall = per_op(|sample| sample.wall);
        Some(Figures {
            throughput: Column::new(wall.iter().map(|nanos| 1e9 / nanos).collect()),
            cpu: Column::new(cpu),
            wall: Column::new(wall),
            user_share: self.user_share,
            latency: latency(&racer.latencies),
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
    let mut percents = vec![10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9];
    percents.extend([99.95, 99.99, 99.999]);
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
            .into_iter()
            .map(|percent| (percent, at(percent)))
            .collect(),
    })
}

/// The results, each compared with raw.
fn entries(places: Vec<Place>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = places
        .into_iter()
        .map(|place| Entry {
            contender: place.name.into(),
            figures: place.figures(),
            outcome: place.outcome,
            memory: place.memory,
        })
        .collect();
    let raw = entries.iter().find(|entry| entry.contender == RAW);
    let Some(raw) = raw.and_then(|raw| raw.figures.as_ref()) else {
        return entries;
    };
    let (raw_cpu, raw_wall) = (raw.cpu.rounds.clone(), raw.wall.rounds.clone());
    for entry in entries.iter_mut().filter(|entry| entry.contender != RAW) {
        if let Some(figures) = &mut entry.figures {
            figures.cpu_to_raw = Some(compare(&figures.cpu.rounds, &raw_cpu).into());
            figures.wall_to_raw = Some(compare(&figures.wall.rounds, &raw_wall).into());
        }
    }
    entries
}
