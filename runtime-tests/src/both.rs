//! Each test on both backends: by itself a test runs on the kernel's ring, and one test of each binary runs all the others
//! once more, on the software ring.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::accounts::Books;
use crate::kernel_only::KERNEL_ONLY;

/// By which the library is told which ring to make.
const BACKEND: &str = "SAFERRING_BACKEND";
/// How long all tests of a binary may take.
const LIMIT: Duration = Duration::from_secs(900);
const NAME: &str = "on_the_software_ring";

/// Makes the test that runs all tests of this binary on the software ring.
///
/// It stands in the file at the root of each test binary that makes runtimes. Which tests cannot run there says
/// [`KERNEL_ONLY`].
///
/// Names and `--skip`s that were given to the binary hold there, too: `cargo test NAME` runs there what has `NAME` in its
/// name, if it chooses this test as well. To run one test on the software ring: `SAFERRING_BACKEND=software cargo test NAME`.
/// Where the variable is set, this test does nothing.
#[macro_export]
macro_rules! also_on_software {
    () => {
        #[test]
        fn on_the_software_ring() {
            $crate::run_on_software(env!("CARGO_CRATE_NAME"));
        }
    };
}

/// Whether the runtimes of this process are on the software ring.
pub fn is_software() -> bool {
    std::env::var_os(BACKEND).is_some_and(|backend| backend == "software")
}

/// What [`also_on_software`](crate::also_on_software) does; `binary` is the name of the test binary.
///
/// # Panics
///
/// If a test fails there, if they take too long, and if [`KERNEL_ONLY`] names a test that does not exist.
pub fn run_on_software(binary: &str) {
    if std::env::var_os(BACKEND).is_some() {
        return;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => panic!("cannot find the test binary: {error}"),
    };
    let skipped = kernel_only(binary, &list(&program, &[]));
    let mut names = list(&program, &chosen(std::env::args_os().skip(1)));
    names.retain(|name| name != NAME && !skipped.contains(&name.as_str()));
    if names.is_empty() {
        return;
    }
    // A name that no test takes: they call their files `saferring-{binary}-{id}`, and remove them.
    let log = format!("saferring-on-software-{binary}-{}.log", std::process::id());
    let log = std::env::temp_dir().join(log);
    let status = run(&program, &names, &log);
    let output = std::fs::read(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    let output = String::from_utf8_lossy(&output);
    let passes = status.is_some_and(|status| status.success()) && says_all_passed(&output, &names);
    // Straight to the descriptor: libtest keeps what is printed to itself, unless the test fails.
    let _ = io::stderr().write_all(report(binary, &skipped, &output, passes).as_bytes());
    let how = match status {
        Some(status) => status.to_string(),
        None => format!("did not end within {LIMIT:?}"),
    };
    assert!(passes, "tests fail on the software ring ({how}): see above");
}

/// The tests of this binary that do not run there.
fn kernel_only(binary: &str, all: &[String]) -> Vec<&'static str> {
    let listed = KERNEL_ONLY.iter().filter(|one| one.binary == binary);
    let names: Vec<_> = listed.map(|one| one.test).collect();
    for name in &names {
        assert!(
            all.iter().any(|one| one == name),
            "KERNEL_ONLY names {name} of {binary}, which does not exist"
        );
    }
    names
}

/// Those of our own arguments that choose tests. Who has asked for this very test means all of them.
fn chosen(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut chosen = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        match text.as_str() {
            NAME => return Vec::new(),
            "--skip" => chosen.extend([Some(argument), arguments.next()].into_iter().flatten()),
            "--exact" | "--ignored" | "--include-ignored" => chosen.push(argument),
            // Options with a value.
            "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed" | "-Z" => {
                arguments.next();
            }
            _ if text.starts_with("--skip=") || !text.starts_with('-') => chosen.push(argument),
            _ => {}
        }
    }
    chosen
}

/// The names of the tests that these arguments choose.
fn list(program: &Path, arguments: &[OsString]) -> Vec<String> {
    // The pipes to the child would be another test's descriptors.
    let _books = Books::open();
    let output = Command::new(program)
        .args(arguments)
        .args(["--list", "--format=terse"])
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => panic!("cannot list the tests: {error}"),
    };
    let names = output
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// Runs these tests on the software ring, beside what runs here. `None` if they did not end in time.
fn run(program: &PathBuf, names: &[String], log: &Path) -> Option<ExitStatus> {
    // It has the log, and we no descriptor of it: the tests that run here count them.
    let books = Books::open();
    let started = File::create(log).and_then(|file| {
        Command::new(program)
            .args(names)
            .arg("--exact")
            .env(BACKEND, "software")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
    });
    drop(books);
    let child = match started {
        Ok(child) => child,
        Err(error) => panic!("cannot start a child: {error}"),
    };
    wait(child)
}

fn wait(mut child: Child) -> Option<ExitStatus> {
    let id = child.id();
    let (ended, end) = mpsc::channel();
    let waiting = std::thread::spawn(move || {
        // Nobody listens any more if it was too late.
        let _ = ended.send(child.wait().ok());
    });
    let status = end.recv_timeout(LIMIT).ok().flatten();
    if status.is_none() {
        // SAFETY: two numbers; the child was not waited for, so its number is still its own.
        unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) };
    }
    let _ = waiting.join();
    status
}

/// Whether libtest says that so many have run, and none has failed.
fn says_all_passed(output: &str, names: &[String]) -> bool {
    let expected = format!("running {} test", names.len());
    output.lines().any(|line| line.starts_with(&expected))
        && output
            .lines()
            .any(|line| line.starts_with("test result: ok."))
}

fn report(binary: &str, skipped: &[&str], output: &str, passes: bool) -> String {
    if !passes {
        return format!("\n{binary} on the software ring:\n{output}\n");
    }
    let totals = output
        .lines()
        .rfind(|line| line.starts_with("test result:"));
    let without = match skipped {
        [] => String::new(),
        names => format!("; not there: {}", names.join(", ")),
    };
    format!(
        "\n{binary} on the software ring: {}{without}\n",
        totals.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_by(arguments: &[&str]) -> Vec<String> {
        let chosen = chosen(arguments.iter().map(OsString::from));
        let texts = chosen.iter().map(|one| one.to_string_lossy().into_owned());
        texts.collect()
    }

    #[test]
    fn what_chooses_tests_is_handed_on() {
        assert_eq!(chosen_by(&[]), [""; 0]);
        assert_eq!(
            chosen_by(&[
                "soft",
                "--nocapture",
                "--test-threads",
                "1",
                "--skip",
                "a",
                "--skip=b"
            ]),
            ["soft", "--skip", "a", "--skip=b"]
        );
        assert_eq!(chosen_by(&["x", "--exact", NAME]), [""; 0]);
    }

    #[test]
    fn totals_are_looked_at() {
        let names = ["a".to_owned(), "b".to_owned()];
        let all = "running 2 tests\n\ntest result: ok. 2 passed; 0 failed\n";
        assert!(says_all_passed(all, &names));
        assert!(!says_all_passed(all, &names[..1]));
        assert!(!says_all_passed("running 2 tests\n", &names));
    }
}
