//! What is going on, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::cells::{Cell, Kind};
use crate::session::Settings;

/// A line that is rewritten on a terminal; elsewhere a line for each workload.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    begun: usize,
    /// Seconds foreseen for each workload.
    foreseen: Vec<f64>,
    rounds: usize,
    started: Instant,
    name: String,
}

impl Progress {
    pub(crate) fn new(cells: &[Cell], settings: &Settings, contenders: usize) -> Self {
        Progress {
            terminal: io::stderr().is_terminal(),
            begun: 0,
            foreseen: cells
                .iter()
                .map(|cell| contenders as f64 * foreseen(cell, settings))
                .collect(),
            rounds: 0,
            started: Instant::now(),
            name: String::new(),
        }
    }

    pub(crate) fn begin(&mut self, cell: &Cell, rounds: usize) {
        self.begun += 1;
        self.rounds = rounds;
        self.name.clone_from(&cell.name);
        self.show(0);
    }

    pub(crate) fn round(&self, round: usize) {
        if self.terminal {
            self.show(round);
        }
    }

    /// Of a workload: what follows may be written elsewhere on the terminal.
    pub(crate) fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    fn show(&self, round: usize) {
        let part = round as f64 / self.rounds.max(1) as f64;
        let (before, rest) = self.foreseen.split_at(self.begun - 1);
        let done = before.iter().sum::<f64>() + rest[0] * part;
        let left = self.foreseen.iter().sum::<f64>() - done;
        // As foreseen at first, later by what it has taken so far.
        let seconds = match done {
            done if done > 3.0 => self.started.elapsed().as_secs_f64() / done * left,
            _ => left,
        };
        let text = format!(
            "[{}/{}] {}, {} left",
            self.begun,
            self.foreseen.len(),
            self.name,
            about(Duration::from_secs_f64(seconds.max(0.0)))
        );
        let mut err = io::stderr().lock();
        // Progress that cannot be shown is no reason to stop.
        let _ = match self.terminal {
            true => write!(err, "\r\x1b[K{text} (round {round} of {})", self.rounds),
            false => writeln!(err, "{text}"),
        };
        let _ = err.flush();
    }
}

fn about(time: Duration) -> String {
    match time.as_secs() {
        s if s < 90 => format!("about {s} s"),
        s => format!("about {} min", s.div_ceil(60)),
    }
}

/// Seconds that a workload will take of a contender, roughly.
fn foreseen(cell: &Cell, settings: &Settings) -> f64 {
    let slice = settings.slice.as_secs_f64() * 1.1;
    let (a_slice, start) = match cell.kind {
        Kind::Idle(_) | Kind::Memory(_) => (0.5, 0.0),
        Kind::Long(..) => (1.2, 2.0),
        Kind::Serve(_, connections, _) => (slice, 0.1 + connections as f64 * 5e-5),
        Kind::Work(_) => (slice, 0.2),
    };
    settings.rounds_of(cell) as f64 * a_slice + settings.restarts as f64 * start
}
