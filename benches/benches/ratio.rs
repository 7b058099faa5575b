//! Compares saferring with the hand-written loop: `cargo bench --bench ratio -- --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    saferring_benches::ratio()
}
