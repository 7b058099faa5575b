//! What is going on, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::cells::{Cell, Kind};
use crate::contender::Contender;
use crate::settings::Settings;

/// A line that is rewritten on a terminal; elsewhere a line for each workload.
pub(crate) struct Progress {
    begun: usize,
    /// Seconds foreseen for each workload.
    foreseen: Vec<f64>,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(cells: &[Cell], settings: &Settings, contenders: &[Contender]) -> Self {
        let foreseen = |cell: &Cell| {
            let those = contenders.iter().filter(|one| cell.may_suit(one));
            those.count() as f64 * foreseen(cell, settings)
        };
        Progress {
            begun: 0,
            foreseen: cells.iter().map(foreseen).collect(),
            started: Instant::now(),
        }
    }

    /// Says which workload begins.
    pub(crate) fn begin(&mut self, name: &str) {
        let (all, done): (f64, f64) = (
            self.foreseen.iter().sum(),
            self.foreseen[..self.begun].iter().sum(),
        );
        // As foreseen at first, later by what it has taken so far.
        let pace = if done > 3.0 {
            self.started.elapsed().as_secs_f64() / done
        } else {
            1.0
        };
        let left = match Duration::from_secs_f64(pace * (all - done)).as_secs() {
            s if s < 90 => format!("about {s} s"),
            s => format!("about {} min", s.div_ceil(60)),
        };
        self.begun += 1;
        let mut err = io::stderr().lock();
        let (before, behind) = if err.is_terminal() {
            ("\r\x1b[K", "")
        } else {
            ("", "\n")
        };
        let (begun, count) = (self.begun, self.foreseen.len());
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(err, "{before}[{begun}/{count}] {name}, {left} left{behind}");
        let _ = err.flush();
    }

    /// What follows may be written elsewhere on the terminal.
    pub(crate) fn end(&self) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

/// Seconds that a workload will take of a contender, roughly.
fn foreseen(cell: &Cell, settings: &Settings) -> f64 {
    let slice = settings.slice.as_secs_f64() * 1.1;
    let (a_slice, start) = match cell.kind {
        Kind::Idle(_) | Kind::Memory(_) => (0.5, 0.0),
        Kind::Long(..) => (1.2, 2.0),
        // Of TLS, but then it costs twice as much.
        Kind::Serve(_, connections, _) if cell.is_http() => {
            (slice + 0.01, 1.3 + connections as f64 * 1e-3)
        }
        Kind::Serve(_, connections, _) => (slice, 0.1 + connections as f64 * 5e-5),
        Kind::Work(_) => (slice, 0.2),
    };
    settings.rounds_of(cell) as f64 * a_slice + settings.restarts as f64 * start
}
