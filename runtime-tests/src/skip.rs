//! Tests that have nothing to test on this kernel.

use std::io::Write;

use saferring::{Feature, Status};

use crate::both::is_software;
use crate::child::CHILD;

/// What the line begins with that [`skipped`] writes; then come the test's name and the reason, each behind a colon.
pub(crate) const SKIPPED: &str = "skipped: ";

/// Whether the runtimes of this process are on the kernel's ring, and use this of it.
///
/// For what only tests see: how often something is asked for, or where it is counted. Answers are the same without.
pub fn uses(feature: Feature) -> bool {
    let may_be = |status| matches!(status, Status::Used | Status::Available { .. });
    !is_software() && may_be(saferring::features().status(feature))
}

/// Whether the environment makes features look absent, and the running test is none for that: it ends here. What a test looks
/// for in the kernel is not to be found then.
pub fn is_masked() -> bool {
    let masked = std::env::var_os("SAFERRING_DISABLE").is_some();
    if masked {
        skipped("it looks for what SAFERRING_DISABLE switches off");
    }
    masked
}

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
