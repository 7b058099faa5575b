//! Tests that have nothing to test on this kernel.

use std::io::Write;

use crate::child::CHILD;

/// What the line begins with that [`skipped`] writes; then come the test's name and the reason, each behind a colon.
pub(crate) const SKIPPED: &str = "skipped: ";

/// Says that the running test ends here, because what it is about does not exist: on this kernel, for this user, on this
/// file system. To libtest it passes; `runtime-tests/kernels/run` counts it as skipped, and tells why.
///
/// For a test that returns early. One that only has less to test has passed.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    let test = std::env::var(CHILD).unwrap_or(thread.name().unwrap_or("a test").to_owned());
    // Not by a macro: libtest keeps what those write of tests that pass. In one piece, as other threads write, too.
    let line = format!("{SKIPPED}{test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
