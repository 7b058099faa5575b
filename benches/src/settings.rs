//! How much is measured.

use std::time::Duration;

use crate::cells::{Cell, Kind};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// Work whose slices are long has one round for so many of others.
    pub(crate) long: usize,
    /// How often all is set up anew meanwhile.
    pub(crate) restarts: usize,
    pub(crate) slice: Duration,
    /// How many files this process may have open.
    pub(crate) open_files: u64,
}

impl Settings {
    pub(crate) fn rounds_of(&self, cell: &Cell) -> usize {
        match cell.kind {
            Kind::Idle(_) | Kind::Memory(_) => 1,
            Kind::Long(..) => self.rounds.min((self.rounds / self.long).max(5)),
            _ => self.rounds,
        }
    }
}
