//! Tests in a process of their own: limits and filters concern the whole process, and so do checks in the middle of a test
//! of what it has leaked.

use std::process::{Command, Stdio};

use crate::accounts::Books;

const CHILD: &str = "SAFERRING_TEST_CHILD";

/// Runs `body` in a child process, [`bounded`](crate::bounded), and fails if it fails. `name` is the calling test's.
///
/// The child is this test binary, told to run this test only; there this function runs `body`.
///
/// # Panics
///
/// If the child cannot be started or does not succeed.
pub fn in_child(name: &str, body: impl FnOnce() + Send + 'static) {
    if std::env::var_os(CHILD).is_some_and(|child| child == name) {
        crate::bounded(body);
        println!("{name}: the child has run");
        return;
    }
    // The pipes to the child would be another test's descriptors.
    let books = Books::open();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => panic!("cannot find the test binary: {error}"),
    };
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("cannot start a child: {error}"),
    };
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    // Without the second condition a misspelt name would pass.
    assert!(
        output.status.success() && out.contains("the child has run"),
        "{name} failed in its child ({}):\n{out}\n{err}",
        output.status,
    );
    if let Some(books) = books {
        books.close();
    }
}
