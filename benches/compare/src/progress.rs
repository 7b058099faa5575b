//! What is going on, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::cells::{Cell, Kind};

/// A line that is rewritten on a terminal; elsewhere a line for each workload.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    cells: usize,
    begun: usize,
    /// Seconds as foreseen: of all, of those that have ended, and of the one that is running.
    total: f64,
    ended: f64,
    current: f64,
    rounds: usize,
    started: Instant,
    name: String,
}

impl Progress {
    /// With the seconds foreseen for each workload.
    pub(crate) fn new(foreseen: &[f64]) -> Self {
        Progress {
            terminal: io::stderr().is_terminal(),
            cells: foreseen.len(),
            begun: 0,
            total: foreseen.iter().sum(),
            ended: 0.0,
            current: 0.0,
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

    /// Says how much time the workload that begins is foreseen to take.
    pub(crate) fn foresee(&mut self, seconds: f64) {
        self.current = seconds;
    }

    pub(crate) fn round(&self, round: usize) {
        if self.terminal {
            self.show(round);
        }
    }

    pub(crate) fn end(&mut self) {
        self.ended += self.current;
        self.current = 0.0;
        if self.terminal && self.begun == self.cells {
            eprint!("\r\x1b[K");
        }
    }

    fn show(&self, round: usize) {
        let part = round as f64 / self.rounds.max(1) as f64;
        let done = self.ended + self.current * part;
        let left = self.total - done;
        // As foreseen at first, later by what it has taken so far.
        let seconds = match done {
            done if done > 3.0 => self.started.elapsed().as_secs_f64() / done * left,
            _ => left,
        };
        let text = format!(
            "[{}/{}] {}, {} left",
            self.begun,
            self.cells,
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

/// Seconds that a workload will take, roughly.
pub(crate) fn foreseen(cell: &Cell, rounds: usize, slice: Duration, contenders: usize) -> f64 {
    let slice = slice.as_secs_f64();
    let (a_slice, start) = match cell.kind {
        Kind::Idle { .. } | Kind::Memory(_) => (0.5, 0.0),
        Kind::Long(..) => (1.2, 2.0),
        Kind::Echo { connections, .. } => (slice * 1.1, 0.1 + connections as f64 * 5e-5),
        _ => (slice * 1.1, 0.2),
    };
    contenders as f64 * (rounds as f64 * a_slice + start)
}
