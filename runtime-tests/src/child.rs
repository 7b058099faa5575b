//! Tests in a process of their own: limits and filters concern the whole process, and so do checks in the middle of a test
//! of what it has leaked.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::TIME_LIMIT;

use crate::accounts::Books;
use crate::skip::SKIPPED;

pub(crate) const CHILD: &str = "SAFERRING_TEST_CHILD";
const NOTE: &str = "SAFERRING_TEST_NOTE";

/// Leaves word of what the child is about to do, which is told if that ends it.
pub fn note(text: &str) {
    if let Some(path) = std::env::var_os(NOTE) {
        // Without it the test tells less, and is right all the same.
        let _ = std::fs::write(path, text);
    }
}

/// Runs `body` in a child process, [`bounded`](crate::bounded), and fails if it fails. `name` is the calling test's.
///
/// The child is this test binary, told to run this test only; there this function runs `body`.
///
/// # Panics
///
/// If the child cannot be started or does not succeed.
pub fn in_child(name: &str, body: impl FnOnce() + Send + 'static) {
    in_child_within(TIME_LIMIT, name, body);
}

/// [`in_child`] with a limit of its own.
///
/// # Panics
///
/// As [`in_child`].
pub fn in_child_within(limit: Duration, name: &str, body: impl FnOnce() + Send + 'static) {
    if std::env::var_os(CHILD).is_some_and(|child| child == name) {
        crate::bounded_by(limit, body);
        println!("{name}: the child has run");
        return;
    }
    // The pipes to the child would be another test's descriptors.
    let books = Books::open();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => panic!("cannot find the test binary: {error}"),
    };
    let note = std::env::temp_dir().join(format!("saferring-{name}-{}", std::process::id()));
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .env(NOTE, &note)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("cannot start a child: {error}"),
    };
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let last = std::fs::read_to_string(&note).unwrap_or_default();
    let _ = std::fs::remove_file(&note);
    // Without the second condition a misspelt name would pass.
    assert!(
        output.status.success() && out.contains("the child has run"),
        "{name} failed in its child ({}):\n{out}\n{err}\n{last}",
        output.status,
    );
    for line in err.lines().filter(|line| line.starts_with(SKIPPED)) {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
    if let Some(books) = books {
        books.close();
    }
}
