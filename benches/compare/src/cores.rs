//! Which core does what.

use std::sync::OnceLock;

use saferring_benches::measure::{allowed_cores, pin_to};

/// The cores this process was given: servers on the first, loads and other threads on the second.
static CORES: OnceLock<Vec<usize>> = OnceLock::new();

/// What this process may use, or what its parent said.
pub(crate) fn learn(said: Option<Vec<usize>>) -> &'static [usize] {
    CORES.get_or_init(|| said.unwrap_or_else(allowed_cores))
}

/// Keeps the calling thread, and those that it starts, on the servers' core for good.
pub(crate) fn serve() {
    settle(0);
}

/// Keeps the calling thread, and those that it starts, on the other core for good.
pub(crate) fn leave_for_other() {
    settle(1);
}

fn settle(n: usize) {
    if let Some(cores) = CORES.get().filter(|cores| !cores.is_empty()) {
        std::mem::forget(pin_to(cores[n % cores.len()])); // Dropping it would undo it.
    }
}
